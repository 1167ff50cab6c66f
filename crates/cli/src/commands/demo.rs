//! `amends demo`: starts the demo, which starts this same executable again for every service and for the supervisor.

use super::block_on_all;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use amends_demo::{DemoOptions, Verdict};
use anyhow::Context;

pub(super) fn run(options: DemoOptions) -> Outcome<Exit> {
    let exe = std::env::current_exe().context("cannot find the path of this executable")?;
    let run = async { amends_demo::run(options, &exe).await.map_err(Failure::from) };
    Ok(match block_on_all(run)? {
        Verdict::Good => Exit::Ok,
        Verdict::Bad => Exit::Findings,
        Verdict::Interrupted => Exit::Interrupted,
    })
}
