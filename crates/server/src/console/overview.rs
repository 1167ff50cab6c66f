//! `/`: what is open, what is wrong, how each service is doing; and, when nothing ever came, how to begin.

use super::cases::{group_acts, totals};
use super::page::{Frame, PageError, Part, see, show};
use super::picture::{Bar, Spark};
use super::visitor::Visitor;
use super::words::{date_and_time, millis, relative, upcoming};
use crate::http::App;
use crate::views::{bare_groups, bare_overview};
use amends_api::remedies::{Remedied, Remedy};
use amends_api::signs::{self, QUARANTINED, Sign, Signed, Tone};
use amends_api::{
    CaseState, GroupView, Overview, QuestionKind, ServiceHealth, ServiceView, StuckReason,
    TroubleView, WayView, amounts_in_words,
};
use amends_protocol::Timestamp;
use amends_store::Store;
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use std::collections::BTreeMap;

/// Groups that are shown; the rest is behind a link.
const GROUPS: usize = 8;
/// Minutes that "lately" means.
const LATELY: usize = 5;

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    frame: Frame,
    overview: Overview,
    groups: Vec<GroupView>,
    more_groups: usize,
    spark: Spark,
    /// By which name the reader came here.
    host: String,
}

/// `GET /`
pub(super) async fn show_overview<S: Store>(
    State(app): State<App<S>>,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    if !visitor.caller.reads(None) {
        // It counts everything, and is for who may see that.
        return Ok(see("/cases"));
    }
    let mut frame = Frame::live(&app, Part::Overview, "Overview", "/".to_owned(), &visitor);
    let (mut overview, mut groups) = app.supervisor.overview_and_groups(frame.now).await?;
    frame.silent = std::mem::take(&mut overview.silent_nodes);
    if !visitor.caller.sees_data() {
        bare_overview(&mut overview);
        bare_groups(&mut groups);
    }
    groups.retain(|group| group.cause.is_trouble());
    let more_groups = groups.len().saturating_sub(GROUPS);
    groups.truncate(GROUPS);
    let spark = Spark::of(&overview.minutes);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.unwrap_or("127.0.0.1:7100").to_owned();
    Ok(show(&Page { frame, overview, groups, more_groups, spark, host }))
}

impl Page {
    fn count(&self, state: CaseState) -> u64 {
        self.overview.cases.get(&state).copied().unwrap_or_default()
    }

    fn open(&self) -> u64 {
        self.count(CaseState::Open)
    }

    fn stuck(&self) -> u64 {
        self.count(CaseState::Stuck)
    }

    /// Open questions that hold cases, and those that are only shown.
    fn questions(&self) -> (u64, u64) {
        let sum = |counts: &BTreeMap<QuestionKind, u64>| counts.values().sum::<u64>();
        (sum(&self.overview.questions), sum(&self.overview.noted_questions))
    }

    fn unmatched(&self) -> u64 {
        self.count(CaseState::Unmatched)
    }

    fn settled(&self) -> u64 {
        self.count(CaseState::Settled)
    }

    fn is_empty(&self) -> bool {
        self.overview.cases.values().sum::<u64>() == 0
    }

    /// Reports and settled cases of the last minutes, the running one included.
    fn lately(&self) -> (u64, u64) {
        let last = self.overview.minutes.iter().rev().take(LATELY);
        last.fold((0, 0), |(r, s), m| (r + m.reported, s + m.settled))
    }

    /// Since when these are counted: minutes before the start are not known.
    fn lately_since(&self) -> Timestamp {
        let first = self.overview.minutes.iter().rev().take(LATELY).next_back();
        let known = self.overview.counted_since;
        first.map_or(known, |minute| minute.at.max(known))
    }

    /// What matters, in one sentence.
    fn headline(&self) -> String {
        let mut parts = Vec::new();
        let needy = self.stuck() + self.unmatched();
        if needy > 0 {
            // A step that waits for approval makes its case stuck, so it is one of these.
            let of_these = match self.overview.awaiting_approval {
                0 => String::new(),
                number => {
                    format!(" ({} for approval)", counted(number, "step waits", "steps wait"))
                }
            };
            let cases = counted(needy, "case needs", "cases need");
            parts.push(format!("{cases} a person{of_these}"));
        }
        if let number @ 1.. = self.overview.quarantined {
            parts.push(format!("{} quarantined", counted(number, "case is", "cases are")));
        }
        if let number @ 1.. = self.overview.unreadable_rows {
            let rows = counted(number, "other stored row", "other stored rows");
            parts.push(format!("{rows} can't be read"));
        }
        if let number @ 1.. = self.overview.rejected_reports {
            parts.push(format!("{} rejected", counted(number, "report is", "reports are")));
        }
        parts.extend(told_of_services(&self.overview.services));
        parts.extend(
            self.silent_ways().map(|way| format!("no reports come by {}", way.way.title())),
        );
        parts.extend(self.overview.holds.iter().map(|hold| format!("{} is held", hold.what())));
        match (parts.is_empty(), self.open()) {
            (true, 0) => "All is well: nothing is open.".to_owned(),
            (true, open) => {
                format!(
                    "All is well: {} by itself, and nobody is needed.",
                    counted(open, "open case goes on", "open cases go on")
                )
            }
            (false, _) => {
                let text = parts.join("; ");
                let mut letters = text.chars();
                let first =
                    letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
                format!("{first}{}.", letters.as_str())
            }
        }
    }

    /// How the sentence looks: a pause and a hold are somebody's decision and no trouble.
    fn tone(&self) -> Tone {
        let stopped =
            self.overview.services.iter().any(|s| s.paused) || !self.overview.holds.is_empty();
        match (self.is_well(), stopped) {
            (false, _) => Tone::Bad,
            (true, true) => Tone::Decided,
            (true, false) => Tone::Good,
        }
    }

    fn is_well(&self) -> bool {
        let unusable = self.overview.quarantined
            + self.overview.unreadable_rows
            + self.overview.rejected_reports;
        self.stuck() + self.unmatched() + self.overview.awaiting_approval + unusable == 0
            && !self.overview.services.iter().any(|service| service.health.is_trouble())
            && self.silent_ways().next().is_none()
    }

    /// Brokers that no reports come from, longer than a connection takes.
    fn silent_ways(&self) -> impl Iterator<Item = &WayView> {
        let at = self.overview.at;
        self.overview
            .ways
            .iter()
            .filter(move |way| !way.connected && at.ms_since(way.since) > CONNECTING_MS)
    }
}

/// How long a broker may take until its reports come, without a word about it.
const CONNECTING_MS: u64 = 15_000;

/// `payment is out of reach`, `2 services are paused: coupon, sms`.
fn told_of_services(services: &[ServiceView]) -> Vec<String> {
    let mut by_word: BTreeMap<(bool, &str), Vec<&str>> = BTreeMap::new();
    for service in services {
        let word = match service.health {
            ServiceHealth::Healthy | ServiceHealth::Idle => continue,
            // It is asked once a second, and is out of reach until it answers.
            ServiceHealth::Probing => ServiceHealth::OutOfReach.sign().word,
            health => health.sign().word,
        };
        let names = by_word.entry((!service.health.is_trouble(), word)).or_default();
        names.push(&service.name);
    }
    let told = by_word.into_iter().map(|((_, word), names)| match names.as_slice() {
        [one] => format!("{one} is {word}"),
        many => format!("{} services are {word}: {}", many.len(), many.join(", ")),
    });
    told.collect()
}

/// `1 case needs`, `3 cases need`.
fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn trouble_sign(trouble: &TroubleView) -> Sign {
    signs::trouble_sign(trouble.why)
}

fn bar(service: &ServiceView) -> Bar {
    Bar::of(&service.progress)
}
