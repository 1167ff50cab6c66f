//! What a scrape says, after what has happened.

use super::*;
use amends_api::{NodeState, NodeView, NodesView};
use amends_engine::StepReading;
use amends_engine::{HistoryResult, StepResult};
use amends_protocol::{ActionName, CaseId, SagaId, StepId, Timestamp};
use std::collections::BTreeMap;

fn step(state: StepState) -> Event {
    let step = StepId { case: CaseId(1), ordinal: 1, tag: 7, part: None };
    let action: ActionName = "payment.pay".parse().expect("a name");
    let what = DomainEvent::Step { step, verb: Verb::Compensate, action, state, message: None };
    Event { at: Timestamp(2_000), what }
}

fn scraped(metrics: &Metrics) -> String {
    let overview = Overview {
        cases: BTreeMap::from([(CaseState::Open, 3), (CaseState::Settled, 40)]),
        oldest_open_at: Some(Timestamp(1_500)),
        late: 2,
        ..Overview::default()
    };
    metrics.scrape(&Standing {
        overview: Some(&overview),
        nodes: None,
        queued_inputs: 2,
        files_rejected: 1,
        files_differing: 4,
    })
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "`{line}` is not in:\n{text}");
}

#[test]
fn what_has_happened_is_counted_by_how_it_ended() {
    let metrics = Metrics::new();
    metrics.know_services(["payment"].into_iter());
    metrics.observe(&[
        step(StepState::InFlight),
        step(StepState::Done(Outcome::Compensated)),
        Event {
            at: Timestamp(2_000),
            what: DomainEvent::Case {
                case: CaseId(1),
                saga: SagaId::new("s").expect("an id"),
                state: CaseState::Settled,
                opened_at: Timestamp(1_750),
                rulebook: Some("shop".into()),
                closed_on: Some(ClosedOn::Quiet),
                noted: [QuestionKind::Contradiction].into(),
            },
        },
    ]);
    metrics.report_taken("payment", false);
    metrics.report_turned_away(400);
    metrics.report_turned_away(503);
    let walked = HistoryResult::Told(Vec::new().into());
    let ended = EffectResult::History(walked);
    metrics.attempted("payment", &ended, Duration::from_millis(3));
    let text = scraped(&metrics);
    has(
        &text,
        r#"amends_steps_total{service="payment",action="pay",verb="compensate",outcome="compensated"} 1"#,
    );
    has(&text, r#"amends_reports_total{service="payment",result="accepted"} 1"#);
    has(&text, r#"amends_reports_total{service="other",result="rejected"} 1"#);
    has(&text, r#"amends_reports_total{service="other",result="refused"} 1"#);
    has(&text, r#"amends_attempts_total{service="payment",result="history"} 1"#);
    has(&text, "amends_case_settle_duration_seconds_sum 0.25");
    has(&text, r#"amends_cases_settled_total{closed_on="quiet"} 1"#);
    has(&text, r#"amends_cases_settled_total{closed_on="proven"} 0"#);
    has(&text, r#"amends_cases_noted_total{rulebook="shop",kind="contradiction"} 1"#);
}

#[test]
fn known_services_start_at_zero_and_strangers_share_one_name() {
    let metrics = Metrics::new();
    metrics.know_services(["payment"].into_iter());
    metrics.report_taken("a-stranger", false);
    let text = scraped(&metrics);
    has(&text, r#"amends_reports_total{service="payment",result="accepted"} 0"#);
    has(&text, r#"amends_attempts_total{service="payment",result="not_sent"} 0"#);
    has(&text, r#"amends_reports_total{service="other",result="accepted"} 1"#);
    assert!(!text.contains("a-stranger"));
}

#[test]
fn gauges_are_read_when_they_are_scraped() {
    let text = scraped(&Metrics::new());
    has(&text, r#"amends_cases{state="open"} 3"#);
    has(&text, r#"amends_cases{state="stuck"} 0"#);
    has(&text, "amends_oldest_unsettled_case_timestamp_seconds 1.5");
    has(&text, "amends_late_cases 2");
    has(&text, "amends_queued_inputs 2");
    has(&text, "amends_rulebook_files_rejected 1");
    has(&text, "amends_rulebook_files_differing 4");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn every_reading_of_an_answer_is_in_the_closed_list() {
    let readings = [
        StepReading::Done(Outcome::Compensated),
        StepReading::Accepted { location: None, retry_after_ms: None },
        StepReading::Refused,
        StepReading::Rejected,
        StepReading::Unsendable,
        StepReading::Busy { overloaded: true, retry_after_ms: None },
        StepReading::NotSent,
        StepReading::Unknown,
    ];
    for answer in readings {
        let result = StepResult::new(answer, None);
        let word = AttemptResult::of(&EffectResult::Step(result));
        assert!(AttemptResult::ALL.contains(&word), "{word}");
    }
}

#[test]
fn nodes_are_told_as_long_as_they_are_known_and_each_metric_of_them_has_its_row() {
    let node = |name: &str, state, parts: u16| NodeView {
        name: name.to_owned(),
        answering: false,
        state,
        parts: (0..parts).collect(),
        seat: parts > 30,
        since: Timestamp(0),
        silent_ms: 500,
        clock_off_ms: Some(-250),
        version: 4,
    };
    let metrics = Metrics::new();
    let scrape = |nodes| {
        let view = NodesView {
            shared: true,
            nodes,
            without_owner: 20,
            letters_waiting: 3,
            oldest_letter_ms: Some(1_000),
        };
        metrics.scrape(&Standing {
            overview: None,
            nodes: Some((&view, Timestamp(10_000))),
            queued_inputs: 0,
            files_rejected: 0,
            files_differing: 0,
        })
    };
    let nodes = vec![
        node("a", NodeState::Alive, 40),
        node("b", NodeState::Draining, 5),
        node("c", NodeState::Silent, 20),
    ];
    let text = scrape(nodes);
    for line in [
        "amends_node_partitions{node=\"a\"} 40",
        "amends_node_partitions{node=\"c\"} 0",
        "amends_node_seat{node=\"a\"} 1",
        "amends_node_seat{node=\"b\"} 0",
        "amends_node_draining{node=\"b\"} 1",
        "amends_node_seen_timestamp_seconds{node=\"a\"} 9.5",
        "amends_node_clock_offset_seconds{node=\"a\"} -0.25",
        "amends_partitions_unheld 20",
        "amends_letters_waiting 3",
        "amends_oldest_letter_timestamp_seconds 9.0",
    ] {
        has(&text, line);
    }
    let page = include_str!("../../../../docs/reference/metrics.md");
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE amends_node_")) {
        let (name, _) = name.split_once(' ').expect("a kind");
        assert!(
            page.contains(&format!("`amends_node_{name}`")),
            "the page lacks amends_node_{name}"
        );
    }
    assert!(!scrape(vec![node("a", NodeState::Alive, 64)]).contains("node=\"b\""), "it is gone");
}
