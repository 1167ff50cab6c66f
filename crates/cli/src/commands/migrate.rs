//! `amends migrate`: moves the store of a stopped supervisor from its folder into PostgreSQL. May end at any moment,
//! and goes on when it is called again.

use super::config::ConfigArguments;
use crate::failure::{Failure, Outcome};
use crate::output;
use amends_store::{Moving, StoreMoved, move_store};
use anyhow::anyhow;
use serde_json::json;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

/// Options of `migrate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amends migrate --from amends-data --to postgres://amends@db.example/amends --password-file db-password\n  \
amends migrate --from amends-data --config amends.toml\n\n\
Stop the supervisor first. Ids, keys, proofs of callbacks, tokens and the audit stay what they are; each table is compared \
row by row at the end. The folder is left as it is, with a mark that keeps supervisors from starting there. If this ends \
early, call it again: it goes on."
)]
pub struct MigrateOptions {
    /// Folder of the store of a stopped supervisor
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The empty database to move it to, `postgres://user@host/database` [default: `cluster.database`]
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// The file that holds the password of that user
    #[arg(long, value_name = "FILE")]
    password_file: Option<String>,
    /// How the connection is encrypted, as `cluster.sslmode`
    #[arg(long, value_name = "MODE")]
    sslmode: Option<String>,
    /// PEM file of the authorities that are believed, as `cluster.authorities`
    #[arg(long, value_name = "FILE")]
    authorities: Option<String>,
    /// Configuration file, for what is not said here
    #[arg(long, value_name = "FILE", env = "AMENDS_CONFIG")]
    config: Option<PathBuf>,
    /// Print what was compared as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: MigrateOptions) -> Outcome {
    let config = ConfigArguments::of_file(options.config).read_with(&[
        ("to", "cluster.database", options.to.as_deref()),
        ("password-file", "cluster.password_file", options.password_file.as_deref()),
        ("sslmode", "cluster.sslmode", options.sslmode.as_deref()),
        ("authorities", "cluster.authorities", options.authorities.as_deref()),
    ])?;
    let cluster = config.cluster.ok_or_else(|| {
        Failure::Usage(
            "where to? name the database with --to, or a configuration with --config".to_owned(),
        )
    })?;
    let to = cluster.with_password().map_err(anyhow::Error::from)?;
    let mut shown = Shown::default();
    let moved = move_store(&options.from, &to, |seen| shown.show(seen));
    shown.end()?;
    let moved = moved.map_err(|error| anyhow!("nothing was moved yet that counts: {error}"))?;
    if options.json {
        return output::json(&as_json(&moved));
    }
    tell(&moved, &options.from)
}

fn as_json(moved: &StoreMoved) -> serde_json::Value {
    let table = |table: &amends_store::TableMoved| json!({ "name": table.name, "rows": table.rows, "digest": table.digest });
    json!({
        "wasDone": moved.was_done,
        "wentOn": moved.went_on,
        "tables": moved.tables.iter().map(table).collect::<Vec<_>>(),
    })
}

fn tell(moved: &StoreMoved, from: &std::path::Path) -> Outcome {
    let from = from.display();
    if moved.was_done {
        output::line(&format!("the store of `{from}` was moved there before; nothing was done"))?;
    } else {
        for table in &moved.tables {
            output::line(&format!("{:<12} {:>10} rows  {}", table.name, table.rows, table.digest))?;
        }
        let rows: u64 = moved.tables.iter().map(|table| table.rows).sum();
        output::line(&format!("moved {rows} rows; each table is the same on both sides"))?;
    }
    output::tell(&format!(
        "start it with this database as `cluster.database`; `{from}` is as it was, and `{from}/MOVED-TO-POSTGRESQL` says how to come back to it"
    ));
    Ok(())
}

/// How far it is, on standard error: one line that is written over on a terminal, a line for each tenth elsewhere.
#[derive(Default)]
struct Shown {
    tenths: u64,
    comparing: bool,
    is_open: bool,
}

impl Shown {
    fn show(&mut self, seen: Moving) {
        let Moving { table, rows, of, comparing } = seen;
        let doing = if comparing { "comparing" } else { "copying" };
        if io::stderr().is_terminal() {
            const WIDTH: u64 = 30;
            let full = usize::try_from(rows * WIDTH / of.max(1)).unwrap_or(0);
            let bar = format!("{:<30}", "█".repeat(full));
            // Nobody is left to show it to when this fails.
            let _ = output::overwrite(&format!("{doing:<9} {bar} {rows} of {of} rows, {table}"));
            self.is_open = true;
            return;
        }
        let tenths = rows * 10 / of.max(1);
        if (comparing, tenths) > (self.comparing, self.tenths) {
            output::tell(&format!("{doing} {}0 %: {rows} of {of} rows", tenths.min(10)));
            (self.comparing, self.tenths) = (comparing, tenths);
        }
    }

    fn end(&self) -> Outcome {
        if self.is_open { output::overwrite("") } else { Ok(()) }
    }
}
