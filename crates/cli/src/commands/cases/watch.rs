//! `amends cases watch`: follows the event stream, one line per event. A watched case ends it by being settled. A stream
//! that breaks is opened again where it broke; what was missed is told as a gap and read from the case itself.

use super::which::WhichCase;
use crate::client::{Client, Query};
use crate::complete;
use crate::failure::{Failure, Outcome};
use crate::moment::clock;
use crate::output;
use crate::sealed::{self, Lines};
use crate::sse::Reader;
use amends_api::{CaseDetail, CaseState, EventKind, EventState, EventView};
use amends_protocol::CaseId;
use clap_complete::ArgValueCompleter;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;

/// Options of `cases watch`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends cases watch c-17\n  amends cases watch --json | jq .state"
)]
pub struct WatchOptions {
    /// Which case: its id or its saga's; without it, everything
    #[arg(value_name = "CASE", add = ArgValueCompleter::new(complete::cases))]
    case: Option<WhichCase>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Failed openings in a row until the supervisor counts as gone: long enough for it to be started again.
const TRIES: u32 = 20;
/// Pause between openings.
const PAUSE: Duration = Duration::from_millis(500);
/// Silence after which a stream counts as broken; the supervisor shows every 15 s that it is there.
const SILENCE: Duration = Duration::from_secs(60);

/// What is followed, and how it is printed.
pub struct Wanted {
    pub case: Option<CaseId>,
    /// Empty means all.
    pub kinds: Vec<String>,
    /// Ends when the case is settled.
    pub until_settled: bool,
    pub json: bool,
}

/// How a stream ended.
enum Ended {
    Settled,
    Broken(String),
}

pub(super) async fn run(client: &Client, options: WatchOptions) -> Outcome {
    let case = match &options.case {
        Some(which) => Some(which.id(client).await?),
        None => None,
    };
    let (kinds, until_settled) = (Vec::new(), case.is_some());
    follow(client, &Wanted { case, kinds, until_settled, json: options.json }).await
}

/// Prints events until the case is settled, or for ever.
pub async fn follow(client: &Client, wanted: &Wanted) -> Outcome {
    let mut query = Query::default();
    query.push_opt("case", wanted.case.as_ref());
    if !wanted.kinds.is_empty() {
        query.push("kind", &wanted.kinds.join(","));
    }
    let path = format!("/v1/events{}", query.as_str());
    let mut last_id: Option<String> = None;
    // Nobody has ever answered: more likely a wrong address than a restart.
    let mut was_open = false;
    let mut failed = 0;
    loop {
        // The stream is opened before the case is read, so that nothing falls between the two.
        let why = match client.stream(&path, last_id.as_deref()).await {
            Ok(stream) => {
                if wanted.until_settled
                    && is_settled(client, wanted.case, !was_open || failed > 0).await?
                {
                    return Ok(());
                }
                (was_open, failed) = (true, 0);
                match read(stream, wanted, &mut last_id).await? {
                    Ended::Settled => return Ok(()),
                    Ended::Broken(why) => why,
                }
            }
            Err(Failure::Unreachable { why, .. }) => why,
            Err(other) => return Err(other),
        };
        failed += 1;
        if failed >= TRIES || !was_open {
            return Err(client.unreachable(why));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks at the watched case itself, and says where it stands when `tell` is set.
async fn is_settled(client: &Client, case: Option<CaseId>, tell: bool) -> Outcome<bool> {
    let Some(case) = case else { return Ok(false) };
    let detail: CaseDetail = client.get(&format!("/v1/cases/{case}")).await?;
    if tell {
        output::tell(&super::show::header(&detail, crate::moment::now()));
    }
    Ok(detail.summary.state == CaseState::Settled)
}

async fn read(
    mut stream: Incoming,
    wanted: &Wanted,
    last_id: &mut Option<String>,
) -> Outcome<Ended> {
    let mut reader = Reader::default();
    loop {
        let frame = match tokio::time::timeout(SILENCE, stream.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => return Ok(Ended::Broken(error.to_string())),
            Ok(None) => return Ok(Ended::Broken("the stream of events ended".to_owned())),
            Err(_) => return Ok(Ended::Broken("the stream of events fell silent".to_owned())),
        };
        let Ok(bytes) = frame.into_data() else { continue };
        let events = match reader.push(&bytes) {
            Ok(events) => events,
            Err(why) => return Ok(Ended::Broken(why)),
        };
        for event in events {
            if event.id.is_some() {
                last_id.clone_from(&event.id);
            }
            // A gap, or a kind of event that a newer supervisor has: nothing that is printed as one of ours.
            let Ok(view) = sealed::read::<EventView>(event.data.as_bytes(), Lines::One) else {
                output::tell("some events were missed");
                continue;
            };
            if wanted.json {
                output::json_line(&view)?
            } else {
                output::line(&sentence(&view))?
            }
            if wanted.until_settled
                && view.kind == EventKind::Case
                && view.state == EventState::Case(CaseState::Settled)
            {
                return Ok(Ended::Settled);
            }
        }
    }
}

fn sentence(event: &EventView) -> String {
    let mut parts = vec![clock(event.at)];
    parts.extend(event.case_id.map(|c| c.to_string()));
    parts.push(event.kind.to_string());
    parts.extend(event.subject.clone());
    parts.push(event.state.as_str().replace('_', " "));
    let line = parts.join(" ");
    match &event.message {
        Some(message) => format!("{line}: {message}"),
        None => line,
    }
}
