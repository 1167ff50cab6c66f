//! `amends top`: what is going on, live, in a terminal of 80 by 24 or more. Without a terminal it prints plain frames. It
//! only looks.

mod frame;

use super::{Connection, block_on};
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::moment::now;
use crate::output;
use amends_api::{GroupView, Overview};
use frame::frame;
use std::io::{self, IsTerminal};
use std::time::Duration;

/// Where no terminal says its size.
const PLAIN_SIZE: (usize, usize) = (80, 24);

/// Options of `top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends top\n  amends top --once\n\nCtrl-C ends it.")]
pub struct TopOptions {
    #[command(flatten)]
    connection: Connection,
    /// Print one frame and end
    #[arg(long)]
    once: bool,
    /// Seconds between frames
    #[arg(long, default_value_t = 1, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

pub(super) fn run(options: TopOptions) -> Outcome {
    let client = options.connection.client()?;
    block_on(async {
        let terminal = io::stdout().is_terminal() && !options.once;
        let _screen = terminal.then(Screen::take).transpose()?;
        loop {
            let lines = match look(&client, terminal).await {
                Ok(lines) => lines,
                // A restart is worth waiting for, if somebody is looking.
                Err(Failure::Unreachable { url, why }) if terminal => {
                    vec![format!("{url} does not answer: {why}"), "trying again".to_owned()]
                }
                Err(other) => return Err(other),
            };
            show(&lines, terminal)?;
            if options.once {
                return Ok(());
            }
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return Ok(()),
                () = tokio::time::sleep(Duration::from_secs(options.every)) => {}
            }
        }
    })
}

async fn look(client: &Client, terminal: bool) -> Outcome<Vec<String>> {
    let overview: Overview = client.get("/v1/overview").await?;
    let groups: Vec<GroupView> = client.get("/v1/groups").await?;
    let size = match terminal {
        true => crossterm::terminal::size()
            .map_or(PLAIN_SIZE, |(width, height)| (usize::from(width), usize::from(height))),
        false => PLAIN_SIZE,
    };
    Ok(frame(&overview, &groups, size, now()))
}

fn show(lines: &[String], terminal: bool) -> Outcome {
    if !terminal {
        return output::text(&(lines.join("\n") + "\n"));
    }
    output::screen(lines)
}

/// The terminal's other screen, given back at the end.
struct Screen;

impl Screen {
    fn take() -> Outcome<Self> {
        output::steer("\x1b[?1049h\x1b[?25l")?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to tell when this fails.
        let _ = output::steer("\x1b[?25h\x1b[?1049l");
    }
}
