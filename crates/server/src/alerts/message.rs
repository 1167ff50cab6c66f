//! What a message says: one sentence for people, and the same as data. Pure.

use super::grouper::NAMED_CASES;
use super::{Group, Kind};
use amends_api::{Money, amounts_in_words};
use amends_protocol::{CaseId, Timestamp};
use serde_json::{Value, json};

/// Where the pages of alerts are read.
const PAGES: &str = "https://github.com/amends-dev/amends/blob/main/docs/alerts";

/// What the store knows of the first case of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// `service/code` of its first report.
    pub(super) report: Option<String>,
    /// That report's message.
    pub(super) message: Option<String>,
    /// Its saga.
    pub(super) saga: Option<String>,
    /// Whom it concerns.
    pub(super) customer: Option<String>,
    /// How much it is about.
    pub(super) amounts: Vec<Money>,
}

/// One sentence: what has happened, how often, why.
pub(super) fn sentence(group: &Group) -> String {
    let cases = counted(group.count, "case");
    let text = match group.kind {
        Kind::Stuck => format!("{cases} stuck at `{}`: {}", group.subject, group.reason),
        Kind::Question => format!("{cases} held by a question: {}", group.reason),
        Kind::Unmatched => format!("{cases} without a rule: {}", group.reason),
        Kind::Quarantined if group.cases.is_empty() => {
            format!("{} that can't be read: {}", counted(group.count, "stored row"), group.reason)
        }
        Kind::Quarantined => format!("{cases} quarantined: {}", group.reason),
        Kind::Rejected => {
            let messages = counted(group.count, "message");
            format!(
                "{messages} of a broker could not be taken ({}): {}",
                group.subject, group.reason
            )
        }
        Kind::OutOfReach => format!("`{}` is out of reach: {}", group.subject, group.reason),
        Kind::Rejecting => {
            format!("`{}` rejects whatever it is asked: {}", group.subject, group.reason)
        }
        Kind::HistoriesUnavailable => {
            format!("no History of `{}` could be read for 10 min: {}", group.subject, group.reason)
        }
        Kind::DeadlineMissed => format!("{cases} past the saga's deadline: {}", group.reason),
        Kind::ClockJumped => format!("the wall clock jumped {}", group.reason),
        Kind::BreakGlass => {
            format!(
                "the token `{}`, kept for emergencies, was used {}",
                group.subject, group.reason
            )
        }
        Kind::NodeSilent => format!("the node `{}` is silent: {}", group.subject, group.reason),
        Kind::NodeClockOff => {
            format!("the clock of the node `{}` is off: {}", group.subject, group.reason)
        }
        Kind::Unheld => format!("partitions are held by nobody who lives: {}", group.reason),
        Kind::LettersWaiting => format!("letters between nodes are not taken: {}", group.reason),
        Kind::TooOld if group.subject.is_empty() => {
            format!("{cases} open for longer than the objective of {}", group.reason)
        }
        Kind::TooOld => format!(
            "{cases} open for longer than the objective of rule `{}`: {}",
            group.subject, group.reason
        ),
    };
    text.trim_end_matches([':', ' ']).to_owned()
}

/// `1 case`, `2 cases`.
fn counted(number: u64, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// What happens next without anybody, and what does not.
pub(super) const fn next(group: &Group) -> &'static str {
    match group.kind {
        Kind::Stuck => {
            "nothing more is tried at these steps until a person acts, and later stages of their cases wait; all else goes on"
        }
        Kind::Question => {
            "the case does not settle until a person answers, or better evidence comes; its steps go on"
        }
        Kind::Unmatched => "nothing is undone until a person plans it or a rule answers it",
        Kind::Quarantined if group.cases.is_empty() => {
            "the row stays as it is in the store and what needs it does without; everything else goes on"
        }
        Kind::Quarantined => {
            "its reports are stored and its callbacks refused until a person repairs or discards it; all others go on"
        }
        Kind::Rejected => {
            "it lies there until a person has it read once more or discards it: what it reports is not undone meanwhile; all other messages are taken"
        }
        Kind::OutOfReach => {
            "one try a second; when the service is back, everything that waits for it goes out by itself"
        }
        Kind::Rejecting => {
            "one try a second; at its first other answer everything that waits for it goes out by itself"
        }
        Kind::HistoriesUnavailable => {
            "they are asked for again and again; compensations go on, and cases that need a History wait"
        }
        Kind::DeadlineMissed => {
            "the case is answered by the rule for `supervisor/deadline`; without one it waits for a person"
        }
        Kind::TooOld => {
            "what can go on does; what is stuck, in doubt or without a rule waits for a person"
        }
        Kind::ClockJumped => {
            "no timer is moved by it; deadlines from before the start, and the removal of settled cases, wait until the clock can be trusted again"
        }
        Kind::NodeSilent => {
            "the others take what it held, within some seconds, and ask again under the same keys; when it comes back, it takes its share again"
        }
        Kind::NodeClockOff => {
            "all nodes go by the clock of the database; started anew it is not let in with such a clock"
        }
        Kind::Unheld => {
            "what they have is durable, and nothing of it is worked on until a node takes them; all else goes on"
        }
        Kind::LettersWaiting => {
            "nothing is lost: they are taken once their node works, or another has taken its place"
        }
        Kind::BreakGlass => {
            "what is done with it stands in the audit; it works until it expires or somebody revokes it"
        }
    }
}

/// What went wrong last; nothing where it is only late, a clock, a node, or a person.
fn last_error(group: &Group) -> Option<&str> {
    let is_error = match group.kind {
        Kind::Stuck
        | Kind::Question
        | Kind::Unmatched
        | Kind::Quarantined
        | Kind::Rejected
        | Kind::OutOfReach
        | Kind::Rejecting
        | Kind::HistoriesUnavailable => true,
        Kind::DeadlineMissed | Kind::TooOld | Kind::ClockJumped | Kind::BreakGlass => false,
        Kind::NodeSilent | Kind::NodeClockOff | Kind::Unheld | Kind::LettersWaiting => false,
    };
    Some(&*group.reason).filter(|reason| is_error && !reason.is_empty())
}

/// The page that says what an alert means, what to look at and what to do.
fn page(kind: Kind) -> String {
    format!("{PAGES}/{}.md", page_name(kind))
}

fn page_name(kind: Kind) -> String {
    kind.as_str().replace(['.', '_'], "-")
}

/// The address of a case.
fn link(public_url: &str, case: CaseId) -> String {
    format!("{}/cases/{case}", public_url.trim_end_matches('/'))
}

/// Where a person looks first.
fn look(public_url: &str, group: &Group) -> String {
    let base = public_url.trim_end_matches('/');
    match (group.kind, group.cases.as_slice()) {
        (Kind::OutOfReach | Kind::Rejecting | Kind::HistoriesUnavailable, _) => {
            format!("{base}/services")
        }
        (Kind::Quarantined, [only]) => format!("{base}/quarantine/{only}"),
        (Kind::Quarantined, _) => format!("{base}/quarantine"),
        (Kind::Rejected, _) => format!("{base}/rejected"),
        (Kind::ClockJumped, _) => format!("{base}/"),
        (Kind::BreakGlass, _) => format!("{base}/audit"),
        (Kind::NodeSilent | Kind::NodeClockOff | Kind::Unheld | Kind::LettersWaiting, _) => {
            format!("{base}/nodes")
        }
        (_, [only]) => link(base, *only),
        (Kind::Question, _) => format!("{base}/questions"),
        (Kind::Stuck, _) => format!("{base}/cases?state=stuck"),
        (Kind::Unmatched, _) => format!("{base}/cases?state=unmatched"),
        (Kind::TooOld, _) => format!("{base}/cases?group=g-late"),
        (Kind::DeadlineMissed, _) => format!("{base}/cases?state=open,stuck"),
    }
}

/// The body of a Standard Webhooks message.
pub(super) fn webhook(group: &Group, known: &Known, public_url: &str, now: Timestamp) -> Value {
    let cases: Vec<Value> = group
        .cases
        .iter()
        .take(NAMED_CASES)
        .map(|case| json!({ "id": case.to_string(), "link": link(public_url, *case) }))
        .collect();
    json!({
        "type": format!("amends.{}", group.kind),
        "timestamp": now.to_string(),
        "data": {
            "summary": sentence(group),
            "subject": group.subject,
            "count": group.count,
            "since": group.since.to_string(),
            "lastError": last_error(group),
            "next": next(group),
            "link": look(public_url, group),
            "page": page(group.kind),
            "cases": cases,
            "rootReport": known.report,
            "rootMessage": known.message,
            "sagaId": known.saga,
            "customer": known.customer,
            "amounts": known.amounts,
        },
    })
}

/// The body that Slack and those compatible with it take.
pub(super) fn slack(group: &Group, known: &Known, public_url: &str) -> Value {
    let mut text = format!("*{}*\n", escaped(&sentence(group)));
    if let (Some(report), Some(saga)) = (&known.report, &known.saga) {
        let said = known.message.as_deref().map(|m| format!(": {m}")).unwrap_or_default();
        let whom = known.customer.as_deref().map(|who| format!(", customer {who}"));
        let much = Some(amounts_in_words(&known.amounts)).filter(|words| !words.is_empty());
        let much = much.map(|words| format!(", {words}")).unwrap_or_default();
        let whom = whom.unwrap_or_default();
        let line = format!("First: saga {saga}{whom}{much}, report {report}{said}");
        text.push_str(&escaped(&line));
        text.push('\n');
    }
    let (look, page) = (look(public_url, group), page(group.kind));
    text.push_str(&format!("Next: {}.\n<{look}|Look> · <{page}|What to do>", next(group)));
    json!({ "text": text })
}

/// Slack's three control characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::{Alert, AlertGrouper};

    fn group(kind: Kind, subject: &str, cases: &[u64], reason: &str) -> Group {
        let mut grouper = AlertGrouper::new(0, 0);
        let alert = |case| Alert {
            at: Timestamp(0),
            kind,
            subject: subject.to_owned(),
            case,
            reason: reason.to_owned(),
        };
        match cases {
            [] => grouper.observe(alert(None)),
            cases => cases.iter().for_each(|case| grouper.observe(alert(Some(CaseId(*case))))),
        }
        grouper.due(Timestamp(0)).remove(0)
    }

    #[test]
    fn a_sentence_says_what_how_often_and_why() {
        let stuck = group(Kind::Stuck, "compensate payment.pay", &[1, 2], "refused: closed");
        assert_eq!(sentence(&stuck), "2 cases stuck at `compensate payment.pay`: refused: closed");
        let late = group(Kind::TooOld, "payment/*", &[1, 2], "15m; opened at noon");
        let said =
            "2 cases open for longer than the objective of rule `payment/*`: 15m; opened at noon";
        assert_eq!(sentence(&late), said);
        let lost = group(Kind::Quarantined, "", &[1], "report 0 of case `c-1`: not JSON");
        assert_eq!(sentence(&lost), "1 case quarantined: report 0 of case `c-1`: not JSON");
        let gone = group(Kind::OutOfReach, "payment", &[], "connection refused: 127.0.0.1:1");
        assert_eq!(sentence(&gone), "`payment` is out of reach: connection refused: 127.0.0.1:1");
        assert_eq!(sentence(&group(Kind::OutOfReach, "sms", &[], "")), "`sms` is out of reach");
    }

    #[test]
    fn one_case_is_linked_itself_and_many_by_their_list() {
        let known = Known::default();
        let one = webhook(&group(Kind::Stuck, "x", &[7], "r"), &known, "https://a/", Timestamp(0));
        assert_eq!(one["data"]["link"], "https://a/cases/c-7");
        assert_eq!(one["type"], "amends.case.stuck");
        let many = group(Kind::Stuck, "x", &(1..=12).collect::<Vec<_>>(), "r");
        let many = webhook(&many, &known, "https://a", Timestamp(0));
        assert_eq!(many["data"]["link"], "https://a/cases?state=stuck");
        assert_eq!(many["data"]["count"], 12);
        assert_eq!(many["data"]["cases"].as_array().map(Vec::len), Some(NAMED_CASES));
    }

    #[test]
    fn slack_gets_no_markup_from_an_error_text() {
        let known = Known {
            report: Some("payment/report-1".to_owned()),
            message: Some("a <b> & c".to_owned()),
            saga: Some("order-1".to_owned()),
            ..Known::default()
        };
        let body = slack(&group(Kind::Stuck, "x", &[7], "<!channel>"), &known, "https://a");
        let text = body["text"].as_str().expect("text");
        assert!(
            text.contains("&lt;!channel&gt;") && text.contains("a &lt;b&gt; &amp; c"),
            "{text}"
        );
        assert!(text.contains("<https://a/cases/c-7|Look> · <https://"), "{text}");
    }

    #[test]
    fn every_kind_has_its_page_and_every_page_its_kind_or_its_rule() {
        let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/alerts");
        let mut found: Vec<String> = std::fs::read_dir(pages)
            .expect("the pages are there")
            .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
            .collect();
        found.retain(|name| name != "README.md");
        let text = |name: &str| std::fs::read_to_string(format!("{pages}/{name}")).expect(name);
        let (index, reference) = (text("README.md"), text("../reference/alerts.md"));
        let rules = text("../../deploy/prometheus/amends.rules.yml");
        for kind in Kind::ALL {
            let name = format!("{}.md", page_name(kind));
            assert!(found.contains(&name), "docs/alerts has no `{name}`");
            assert!(text(&name).contains(&format!("`amends.{kind}`")), "{name} names its kind");
            let row = format!("[`amends.{kind}`](../alerts/{name})");
            assert!(reference.contains(&row), "docs/reference/alerts.md has no {row}");
        }
        for name in &found {
            let of_kind = Kind::ALL.iter().any(|kind| *name == format!("{}.md", page_name(*kind)));
            let of_rule = rules.contains(&format!("{PAGES}/{name}"));
            assert!(of_kind || of_rule, "docs/alerts/{name} is about nothing that is told");
            assert!(index.contains(&format!("]({name})")), "the index has no `{name}`");
            for part in ["## What it means", "## Look at", "## Do"] {
                assert!(text(name).contains(part), "docs/alerts/{name} has no `{part}`");
            }
        }
        let mut alerts = 0;
        for rule in rules.split("- alert: ").skip(1) {
            alerts += 1;
            let (name, _) = rule.split_once('\n').expect("a line");
            let page = rule.split(&format!("runbook_url: {PAGES}/")).nth(1);
            let page = page.and_then(|rest| rest.lines().next()).unwrap_or_default();
            assert!(found.iter().any(|one| one == page), "{name} links to no page: `{page}`");
            assert!(text(page).contains(&format!("`{name}`")), "docs/alerts/{page} names {name}");
        }
        assert!(alerts >= 13, "only {alerts} rules were found");
    }

    #[test]
    fn what_is_only_late_has_no_last_error() {
        let known = Known::default();
        let told = |kind, cases: &[u64]| {
            webhook(&group(kind, "x", cases, "why"), &known, "https://a", Timestamp(0))
        };
        for kind in Kind::ALL {
            let data = &told(kind, &[7])["data"];
            let late = matches!(
                kind,
                Kind::DeadlineMissed
                    | Kind::TooOld
                    | Kind::ClockJumped
                    | Kind::BreakGlass
                    | Kind::NodeSilent
                    | Kind::NodeClockOff
                    | Kind::Unheld
                    | Kind::LettersWaiting
            );
            assert_eq!(data["lastError"].is_null(), late, "{data}");
            assert!(data["summary"].as_str().is_some_and(|s| s.ends_with("why")), "{data}");
            assert!(data["page"].as_str().is_some_and(|page| page.starts_with(PAGES)), "{data}");
        }
        let row = told(Kind::Quarantined, &[]);
        let next = row["data"]["next"].as_str().expect("text");
        assert!(next.starts_with("the row stays"), "nobody refuses callbacks of no case: {next}");
    }
}
