//! The supervisor, played by the kit: takes reports as the real one does, 202 the first time and 200 again, and writes
//! down every try. A check may let it be away, hang up, or not answer for a while.

use super::envelope::{ReceivedReport, read};
use super::listener::{Came, Given, Listening, serve};
use super::past::{Past, lock};
use amends_protocol::{OutcomeCallback, PROBLEM_TYPE_BASE};
use serde_json::json;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Where a redirect of a report leads: to nothing that takes reports.
const MOVED: &str = "/moved";

/// What becomes of one try to bring a report of the check's sagas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reception {
    /// It is let wait until it is let go.
    held: bool,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Taken,
    /// It is taken, and the connection breaks before that is said.
    Unanswered,
    /// It is not taken; some say for how many seconds it is not to come again.
    Status(u16, Option<u64>),
}

impl Reception {
    /// The supervisor is away, and says that it may be asked again at once.
    pub(crate) const AWAY: Self = Self { held: false, then: Then::Status(503, Some(0)) };
    /// It takes the report, and the connection breaks before it says so.
    pub(crate) const HANG_UP: Self = Self { held: false, then: Then::Unanswered };
    /// Held until it is let go, then taken.
    pub(crate) const HELD: Self = Self { held: true, then: Then::Taken };
    /// Held until it is let go, then not taken.
    pub(crate) const HELD_IN_VAIN: Self = Self { held: true, ..Self::AWAY };

    /// Answered with this status, and not taken.
    pub(crate) const fn status(status: u16) -> Self {
        Self { held: false, then: Then::Status(status, None) }
    }

    /// Not taken, and not to come again for so many seconds.
    pub(crate) const fn later(seconds: u64) -> Self {
        Self { held: false, then: Then::Status(503, Some(seconds)) }
    }
}

/// One try.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) event: ReceivedReport,
    /// What it was answered; 0 if it was not.
    pub(crate) status: u16,
    /// The check wanted it not to be taken.
    pub(crate) turned_away: bool,
    pub(crate) came: Instant,
    pub(crate) answered: Instant,
}

impl Try {
    /// The participant may forget the report now.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self.status, 200 | 202)
    }
}

/// The played supervisor.
#[derive(Debug)]
pub(crate) struct FakeSupervisor {
    shared: Arc<Shared>,
    _listening: Listening,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<VecDeque<Reception>>,
    /// Ids that are durable, as far as a kit can have them so.
    taken: Mutex<HashSet<(String, String)>>,
    tries: watch::Sender<Vec<Try>>,
    outcomes: watch::Sender<HashMap<String, OutcomeCallback>>,
    let_go: watch::Sender<u64>,
    /// Tries that are held now.
    held: watch::Sender<u64>,
    past: Past,
}

impl FakeSupervisor {
    pub(crate) fn open(listener: TcpListener, past: Past) -> Self {
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            taken: Mutex::default(),
            tries: watch::Sender::new(Vec::new()),
            outcomes: watch::Sender::new(HashMap::new()),
            let_go: watch::Sender::new(0),
            held: watch::Sender::new(0),
            past,
        });
        let listening = serve(listener, shared.clone(), answer);
        Self { shared, _listening: listening }
    }

    /// Begins anew: tries so far are forgotten, held ones let go, the next ones are taken so, all later ones at once.
    pub(crate) fn begin(&self, script: impl IntoIterator<Item = Reception>) {
        *lock(&self.shared.script) = script.into_iter().collect();
        self.shared.tries.send_replace(Vec::new());
        self.let_go();
    }

    /// Lets every held try go on.
    pub(crate) fn let_go(&self) {
        self.shared.let_go.send_modify(|count| *count += 1);
    }

    /// Waits until a try is held.
    pub(crate) async fn holds(&self) {
        // The sender lives as long as this.
        let _ = self.shared.held.subscribe().wait_for(|held| *held > 0).await;
    }

    /// Every try since the beginning of the script.
    pub(crate) fn tries(&self) -> Vec<Try> {
        self.shared.tries.borrow().clone()
    }

    /// Waits until a try fulfils this, and gives it.
    pub(crate) async fn told(&self, wanted: impl Fn(&Try) -> bool) -> Option<Try> {
        let mut seen = self.shared.tries.subscribe();
        let tries = seen.wait_for(|tries| tries.iter().any(&wanted)).await.ok()?;
        tries.iter().find(|one| wanted(one)).cloned()
    }

    /// The late answer to a step, if it has come.
    pub(crate) fn late_answer(&self, step: &str) -> Option<OutcomeCallback> {
        self.shared.outcomes.borrow().get(step).cloned()
    }

    /// Waits for the late answer to a step.
    pub(crate) async fn called_back(&self, step: &str) -> Option<OutcomeCallback> {
        let mut seen = self.shared.outcomes.subscribe();
        seen.wait_for(|outcomes| outcomes.contains_key(step)).await.ok()?.get(step).cloned()
    }
}

async fn answer(shared: Arc<Shared>, came: Came) -> Given {
    let not_found =
        || Given::problem(404, &format!("{PROBLEM_TYPE_BASE}not-found"), "there is no such path");
    match came.path.as_str() {
        "/v1/reports" | "/v1/reports:batch" => take(shared, &came).await,
        // Who follows a redirect believes that its report was taken.
        MOVED => Given::json(202, json!({})),
        // A participant that announces its sagas may do so; nothing follows from it here.
        "/v1/sagas" => Given::json(201, json!({})),
        path if path.starts_with("/v1/sagas/") => Given::json(204, json!({})),
        path => {
            let step =
                path.strip_prefix("/v1/steps/").and_then(|rest| rest.strip_suffix("/outcome"));
            match step {
                Some(step) => call_back(&shared, step, &came),
                None => not_found(),
            }
        }
    }
}

fn call_back(shared: &Shared, step: &str, came: &Came) -> Given {
    match serde_json::from_slice::<OutcomeCallback>(&came.body) {
        Ok(callback) => {
            shared.outcomes.send_modify(|outcomes| {
                outcomes.insert(step.to_owned(), callback);
            });
            Given::json(204, json!({}))
        }
        Err(error) => {
            let type_uri = format!("{PROBLEM_TYPE_BASE}invalid-request");
            Given::problem(400, &type_uri, &format!("the body is not an outcome: {error}"))
        }
    }
}

async fn take(shared: Arc<Shared>, came: &Came) -> Given {
    let events = read(came);
    let current = events.iter().any(|event| !shared.past.contains(&event.subject));
    let mut let_go = shared.let_go.subscribe();
    let how = match current {
        true => lock(&shared.script).pop_front(),
        false => None,
    };
    let came_at = Instant::now();
    if how.is_some_and(|how| how.held) {
        shared.held.send_modify(|held| *held += 1);
        // An error means that the kit has ended.
        let _ = let_go.changed().await;
        shared.held.send_modify(|held| *held -= 1);
    }
    let then = how.map_or(Then::Taken, |how| how.then);
    let broken: Vec<String> = events.iter().flat_map(|event| event.mistakes.clone()).collect();
    let status = match then {
        Then::Status(status, _) => status,
        Then::Unanswered | Then::Taken if !broken.is_empty() => 400,
        Then::Unanswered | Then::Taken => {
            let mut taken = lock(&shared.taken);
            let mut is_new = false;
            for event in &events {
                is_new |= taken.insert((event.source.clone(), event.id.clone()));
            }
            if is_new { 202 } else { 200 }
        }
    };
    if current {
        let one = |event: &ReceivedReport| Try {
            event: event.clone(),
            status: if then == Then::Unanswered { 0 } else { status },
            turned_away: matches!(then, Then::Status(..)),
            came: came_at,
            answered: Instant::now(),
        };
        shared.tries.send_modify(|tries| tries.extend(events.iter().map(one)));
    }
    match then {
        Then::Unanswered => Given::HangUp,
        Then::Status(status, retry_after) => turned_away(status, retry_after),
        Then::Taken if status == 400 => {
            Given::problem(400, &format!("{PROBLEM_TYPE_BASE}invalid-report"), &broken.join("; "))
        }
        Then::Taken => Given::json(status, json!({})),
    }
}

/// As the supervisor itself says that it takes nothing now, or as something on the way does.
fn turned_away(status: u16, retry_after: Option<u64>) -> Given {
    let Some(seconds) = retry_after else {
        return match status {
            400 => {
                let kind = format!("{PROBLEM_TYPE_BASE}invalid-report");
                Given::problem(400, &kind, "the check wants this report not to be taken")
            }
            _ => Given::bare(status, MOVED),
        };
    };
    let kind = format!("{PROBLEM_TYPE_BASE}unavailable");
    let mut given = Given::problem(status, &kind, "the supervisor is away");
    if let Given::Json { headers, .. } = &mut given {
        headers.push(("retry-after", seconds.to_string()));
    }
    given
}
