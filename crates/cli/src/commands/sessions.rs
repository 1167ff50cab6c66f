//! `amends session`: who is logged in to the console, and ending that.

use super::{Connection, block_on};
use crate::complete;
use crate::failure::Outcome;
use crate::moment::{clock, now, relative};
use crate::output::{self, Grid};
use crate::printing::{Printing, Width};
use amends_api::access::SessionView;
use amends_protocol::wire::percent;
use clap_complete::ArgValueCompleter;

/// What to do with sessions, and where.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  amends session list\n  amends session end 9f86d0818840\n\n\
Everybody sees their own; who has the right `admin` sees all.")]
pub struct SessionsOptions {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Option<SessionsCommand>,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, clap::Subcommand)]
enum SessionsCommand {
    /// List sessions of the console [default]
    List,
    /// End a session at once
    End {
        /// Its id, as the list shows it
        #[arg(add = ArgValueCompleter::new(complete::sessions))]
        id: String,
    },
}

pub(super) fn run(options: SessionsOptions) -> Outcome {
    let client = options.connection.client()?;
    block_on(async {
        match options.command.unwrap_or(SessionsCommand::List) {
            SessionsCommand::List => {
                let read = async || client.get::<Vec<SessionView>>("/v1/sessions").await;
                options.printing.list(read, |found, width| list(found, width)).await
            }
            SessionsCommand::End { id } => {
                client.delete_nothing(&format!("/v1/sessions/{}", percent::part(&id))).await?;
                output::line(&format!("session {id} is over"))
            }
        }
    })
}

fn list(found: &[SessionView], width: Width) -> Outcome {
    if found.is_empty() {
        output::tell("nobody is logged in");
        return Ok(());
    }
    let mut heads = vec!["id", "who", "begun", "last used", "ends"];
    if width == Width::Wide {
        heads.extend(["from", "browser"]);
    }
    let mut grid = Grid::new(&heads);
    let now = now();
    for one in found {
        let mut row = vec![
            one.id.clone(),
            one.name.clone(),
            clock(one.begun_at),
            relative(one.last_used_at, now),
            relative(one.ends_at, now),
        ];
        if width == Width::Wide {
            let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            row.extend([or_none(&one.address), or_none(&one.browser)]);
        }
        grid.row(row);
    }
    grid.print()
}
