//! `amends whoami`: who asks, as the supervisor sees it, and what they may do there.

use super::tokens::{in_words, runs_out_soon};
use super::{Connection, block_on};
use crate::failure::Outcome;
use crate::moment::{clock, now, relative};
use crate::output;
use crate::printing::Printing;
use amends_api::access::{PrincipalKind, WhoAmI};

/// Options of `whoami`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends whoami\n  amends whoami --context prod\n  amends whoami --json"
)]
pub struct WhoAmIOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    printing: Printing,
}

pub(super) fn run(options: WhoAmIOptions) -> Outcome {
    let target = options.connection.target()?;
    let client = options.connection.client_of(&target)?;
    let by = client.identifies_by();
    let place = format!("`{}` ({})", target.address.as_str(), target.named_by);
    let read = async || client.get::<WhoAmI>("/v1/whoami").await;
    block_on(options.printing.one(read, |who| tell(who, &place, &by)))
}

fn tell(who: &WhoAmI, place: &str, by: &str) -> Outcome {
    if who.kind == PrincipalKind::Anybody {
        output::line(&format!(
            "nobody needs to identify at {place}: whoever reaches it may do everything"
        ))?;
        return Ok(());
    }
    output::line(&format!("{} at {place}, by {by}", who.name))?;
    output::line(&format!("may {}", in_words(&who.grants)))?;
    if let Some(at) = who.expires_at {
        let now = now();
        output::line(&format!("until {}, {}", clock(at), relative(at, now)))?;
        if runs_out_soon(at, now) {
            output::tell("it runs out soon; make another one in time");
        }
    }
    Ok(())
}
