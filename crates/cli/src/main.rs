//! The one binary `amends`: runs the supervisor, checks rulebooks, and shows and steers cases over the REST API.
//! It decides nothing about cases; the supervisor does.

mod client;
mod commands;
mod complete;
mod connection;
mod exit;
mod failure;
mod logging;
mod moment;
mod output;
mod printing;
mod report_file;
mod sealed;
mod sse;
mod target;

use clap::{CommandFactory, Parser};
use clap_complete::CompleteEnv;
use std::process::ExitCode;

/// Says which shell asks for completions.
const COMPLETE: &str = "AMENDS_COMPLETE";

/// A supervisor allocates a little for each of many small messages on several threads; with this allocator the same
/// load takes about a fifth less CPU than with glibc's (`bench/`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A shell asks what could stand at the cursor; the answer ends the process.
    CompleteEnv::with_factory(commands::Arguments::command).var(COMPLETE).complete();
    let arguments = commands::Arguments::parse();
    match commands::run(arguments) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            for line in failure.lines() {
                output::tell(&line);
            }
            failure.exit().into()
        }
    }
}
