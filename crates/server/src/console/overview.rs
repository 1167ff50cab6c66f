//! `/`: what is open, what is wrong, how each service is doing; and, when nothing ever came, how to begin.

use super::cases::{group_deed, group_word, totals};
use super::page::{Frame, PageError, Part, show};
use super::picture::{Bar, Spark};
use super::words::{breaker_sign, date_and_time, millis, relative, upcoming};
use crate::http::App;
use amends_api::signs::{Sign, Signed, Tone};
use amends_api::{
    CaseState, Cause, GroupView, Overview, QuestionKind, ServiceView, StuckReason, TroubleView,
    amounts_in_words,
};
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
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let frame = Frame::live(&app, Part::Overview, "Overview", "/".to_owned(), &headers);
    let (overview, mut groups) = app.supervisor.overview_and_groups(frame.now).await?;
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
        let away: Vec<&str> = self
            .overview
            .services
            .iter()
            .filter(|s| s.breaker != "closed")
            .map(|s| s.name.as_str())
            .collect();
        match away.as_slice() {
            [] => {}
            [one] => parts.push(format!("{one} is out of reach")),
            many => {
                parts.push(format!("{} services are out of reach: {}", many.len(), many.join(", ")))
            }
        }
        for service in self.overview.services.iter().filter(|s| s.paused) {
            parts.push(format!("{} is paused", service.name));
        }
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

    /// How the sentence looks: a pause is somebody's decision and no trouble.
    fn tone(&self) -> Tone {
        let paused = self.overview.services.iter().any(|s| s.paused);
        match (self.is_well(), paused) {
            (false, _) => Tone::Bad,
            (true, true) => Tone::Decided,
            (true, false) => Tone::Good,
        }
    }

    fn is_well(&self) -> bool {
        let unusable = self.overview.quarantined + self.overview.unreadable_rows;
        self.stuck() + self.unmatched() + self.overview.awaiting_approval + unusable == 0
            && self.overview.services.iter().all(|s| s.breaker == "closed")
    }
}

/// `1 case needs`, `3 cases need`.
fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The sign of a trouble: its reason of being stuck, or that no rule answers it.
fn trouble_sign(trouble: &TroubleView) -> Sign {
    let reason = trouble.why.parse::<StuckReason>().ok().map(Signed::sign);
    let doubt = || trouble.why.parse::<QuestionKind>().ok().map(Signed::sign);
    reason.or_else(doubt).unwrap_or(CaseState::Unmatched.sign())
}

fn bar(service: &ServiceView) -> Bar {
    Bar::of(&service.progress)
}
