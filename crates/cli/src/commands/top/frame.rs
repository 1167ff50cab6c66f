//! One frame of `amends top`: overview and groups as lines that fit a size. Pure.

use crate::moment::{clock, relative};
use amends_api::signs::{QUARANTINED, Sign, Signed, trouble_sign};
use amends_api::{CaseState, Cause, GroupView, Overview, ServiceHealth, ServiceView};
use amends_protocol::Timestamp;

/// Heights of the bars of the pace.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Cells of a service's bar.
const BAR: usize = 16;

/// The lines, none longer than the width, at most as many as the height.
pub(super) fn frame(
    overview: &Overview,
    groups: &[GroupView],
    (width, height): (usize, usize),
    now: Timestamp,
) -> Vec<String> {
    let mut lines = head(overview, now);
    lines.push(String::new());
    lines.push(format!(
        "{:<14} {:<14} {BAR_HEAD:<BAR$} {:>5} {:>5} {:>5} {:>4} {:>7}",
        "SERVICE", "STATE", "WAIT", "RETRY", "STUCK", "ERR", "P99"
    ));
    // Half of what is left is for services, so that what is wrong is always on the screen.
    let left = height.saturating_sub(lines.len() + 2);
    let mut services: Vec<&ServiceView> = overview.services.iter().collect();
    services.sort_by_key(|s| std::cmp::Reverse(trouble(s)));
    let most = left.div_ceil(2).max(1);
    lines.extend(services.iter().take(most).map(|view| service(view)));
    if services.len() > most {
        lines.push(format!("… and {} more services", services.len() - most));
    }
    lines.push(String::new());
    lines.extend(wrong(overview, groups, now));
    lines.truncate(height);
    lines.iter().map(|line| line.chars().take(width).collect()).collect()
}

const BAR_HEAD: &str = "HOW FAR";

fn head(overview: &Overview, now: Timestamp) -> Vec<String> {
    let cases: Vec<String> = CaseState::ALL
        .iter()
        .map(|state| {
            let sign = state.sign();
            let count = overview.cases.get(state).copied().unwrap_or(0);
            format!("{} {count} {}", sign.shape, sign.word)
        })
        .collect();
    let oldest = overview
        .oldest_open_at
        .map_or(String::new(), |at| format!("   oldest open: {}", relative(at, now)));
    let late = match overview.late {
        0 => String::new(),
        late => format!("   {late} late"),
    };
    let questions = match overview.questions.values().sum::<u64>() {
        0 => String::new(),
        number => {
            format!("   {} {number} {}", Cause::Question.sign().shape, counted("question", number))
        }
    };
    let quarantined = match overview.quarantined + overview.unreadable_rows {
        0 => String::new(),
        number => format!("   {} {number} {}", QUARANTINED.shape, QUARANTINED.word),
    };
    let rejected = match overview.rejected_reports {
        0 => String::new(),
        number => {
            format!("   {} {number} rejected {}", QUARANTINED.shape, counted("report", number))
        }
    };
    let silent: String = overview
        .silent_nodes
        .iter()
        .map(|node| format!("   no answer from {}", node.name))
        .collect();
    let ms = |ms: Option<u64>| ms.map_or("-".to_owned(), |ms| format!("{ms} ms"));
    let settle = &overview.time_to_settle;
    let (last, before) = match overview.minutes.as_slice() {
        [.., before, last] => (last.clone(), before.clone()),
        _ => Default::default(),
    };
    vec![
        format!(
            "amends   {}   waiting for approval: {}{oldest}",
            clock(overview.at),
            overview.awaiting_approval
        ),
        cases.join("   ") + &late + &questions + &quarantined + &rejected + &silent,
        format!(
            "settled {}/min (now {})   to settle p50 {} p99 {}",
            before.settled,
            last.settled,
            ms(settle.p50_ms),
            ms(settle.p99_ms)
        ),
        pace(overview),
    ]
}

fn counted(word: &str, number: u64) -> String {
    format!("{word}{}", if number == 1 { "" } else { "s" })
}

/// Settled cases of the last hour, one sign a minute.
fn pace(overview: &Overview) -> String {
    let most = overview.minutes.iter().map(|m| m.settled).max().unwrap_or(0);
    let bar = |settled: u64| match most {
        0 => BARS[0],
        most => BARS[usize::try_from(settled * 7 / most).unwrap_or(7).min(7)],
    };
    let bars: String = overview.minutes.iter().map(|m| bar(m.settled)).collect();
    format!("{bars} an hour, most {most}")
}

fn trouble(view: &ServiceView) -> (bool, u64) {
    let away = view.health.is_trouble() || view.health == ServiceHealth::Paused;
    (away, view.progress.stuck + view.progress.retrying + view.progress.waiting)
}

fn service(view: &ServiceView) -> String {
    let sign = view.health.sign();
    let state = format!("{} {}", sign.shape, sign.word);
    let progress = &view.progress;
    let p99 = view.attempts.p99_ms.map_or("-".to_owned(), |ms| format!("{ms:.0}ms"));
    format!(
        "{:<14} {state:<14} {} {:>5} {:>5} {:>5} {:>3.0}% {p99:>7}",
        view.name.chars().take(14).collect::<String>(),
        bar(view),
        progress.waiting + progress.in_flight,
        progress.retrying,
        progress.stuck,
        view.attempts.error_rate * 100.0,
    )
}

/// How far a service is in open cases: `█` done, `~` waived, `▒` under way, `!` stuck.
fn bar(view: &ServiceView) -> String {
    let progress = &view.progress;
    let going = progress.waiting + progress.in_flight + progress.retrying;
    let all = progress.done + progress.waived + going + progress.stuck;
    if all == 0 {
        return "·".repeat(BAR);
    }
    // What is stuck is never rounded away.
    let cells = |n: u64| usize::try_from((n * BAR as u64).div_ceil(all)).unwrap_or(BAR);
    let stuck = cells(progress.stuck);
    let going = cells(going).min(BAR - stuck);
    // Nor is it shown as done that somebody went without.
    let waived = cells(progress.waived).min(BAR - stuck - going);
    let done = BAR - stuck - going - waived;
    let parts = [("█", done), ("~", waived), ("▒", going), ("!", stuck)];
    parts.map(|(sign, cells)| sign.repeat(cells)).concat()
}

/// What is wrong, then what needs a person.
fn wrong(overview: &Overview, groups: &[GroupView], now: Timestamp) -> Vec<String> {
    let mut lines: Vec<String> = groups
        .iter()
        .filter(|group| group.cause.is_trouble())
        .map(|group| {
            let next = group
                .next_try_at
                .map_or(String::new(), |at| format!(", next try {}", relative(at, now)));
            format!("{} {}{next}", group.cause.sign().shape, group.title)
        })
        .collect();
    if lines.is_empty() {
        lines.push(format!("{} nothing is held up", CaseState::Settled.sign().shape));
    }
    lines.extend(overview.troubles.iter().map(|trouble| {
        let message = trouble.message.as_deref().map_or(String::new(), |m| format!(": {m}"));
        let Sign { word, shape, .. } = trouble_sign(trouble.why);
        let at = relative(trouble.at, now);
        format!("{shape} {} {}, {word} {at}{message}", trouble.case_id, trouble.subject)
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_api::{BreakerState, MinuteView, Progress, TroubleReason, TroubleView};
    use amends_protocol::CaseId;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn service(name: &str, health: ServiceHealth, progress: Progress) -> ServiceView {
        ServiceView {
            health,
            name: name.to_owned(),
            rulebook: "r".to_owned(),
            url: None,
            breaker: BreakerState::Closed,
            breakers: Vec::new(),
            paused: false,
            pause: None,
            limits: None,
            in_flight: 0,
            concurrency: 16,
            per_second: None,
            queued: 0,
            failures: 0,
            message: None,
            histories_unavailable_since: None,
            histories_message: None,
            progress,
            attempts: Default::default(),
        }
    }

    fn group(cause: Cause, title: &str) -> GroupView {
        GroupView {
            id: "g-1".to_owned(),
            title: title.to_owned(),
            service: "payment".to_owned(),
            action: None,
            verb: None,
            cause,
            stuck: false,
            error: None,
            count: 412,
            cases: 412,
            amounts: Vec::new(),
            without_amount: 0,
            since: NOW,
            next_try_at: Some(NOW.plus_ms(2_000)),
            example_case: CaseId(1),
            example_step: None,
            list: String::new(),
        }
    }

    fn busy() -> Overview {
        let waiting = Progress { done: 10, retrying: 5, stuck: 1, ..Progress::default() };
        let mut services = vec![service("payment", ServiceHealth::OutOfReach, waiting)];
        services.extend(
            (0..40).map(|n| service(&format!("s-{n}"), ServiceHealth::Idle, Progress::default())),
        );
        let minute =
            |n: i64| MinuteView { at: Timestamp(n), reported: 0, settled: n.cast_unsigned() };
        Overview {
            at: NOW,
            cases: [(CaseState::Open, 412), (CaseState::Settled, 1_000_000)].into(),
            oldest_open_at: Some(Timestamp(NOW.0 - 61_000)),
            late: 7,
            minutes: (0..60).map(minute).collect(),
            services,
            troubles: (0..20)
                .map(|n| TroubleView {
                    at: NOW,
                    case_id: CaseId(n),
                    step_id: None,
                    subject: "compensate payment.pay".to_owned(),
                    why: TroubleReason::Refused,
                    message: Some("x".repeat(200)),
                })
                .collect(),
            ..Overview::default()
        }
    }

    #[test]
    fn a_frame_fits_the_smallest_terminal_and_shows_what_is_wrong() {
        let groups =
            [group(Cause::Unreachable, "payment unreachable: 412 waiting since 22:13 UTC")];
        let lines = frame(&busy(), &groups, (80, 24), NOW);
        assert_eq!(lines.len(), 24);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
        let text = lines.join("\n");
        for part in [
            "◐ 412 open",
            "1000000 settled",
            "oldest open: 1m 1s ago",
            "1000000 settled   7 late",
            "payment        ⊗ out of reach ██████████▒▒▒▒▒!",
            "⊗ payment unreachable: 412 waiting since 22:13 UTC, next try in 2s",
            "✗ c-0 compensate payment.pay, refused now: xxx",
            "more services",
        ] {
            assert!(text.contains(part), "`{part}` is missing in\n{text}");
        }
    }

    #[test]
    fn an_idle_supervisor_says_so() {
        let text = frame(&Overview::default(), &[], (80, 24), NOW).join("\n");
        assert!(text.contains("nothing is held up"), "{text}");
    }
}
