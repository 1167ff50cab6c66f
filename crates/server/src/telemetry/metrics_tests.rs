//! What a scrape says, after what has happened.

use super::*;
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
