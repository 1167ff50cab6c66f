//! `amends store`: what kind of store a configuration names, how large it is, and who holds it. Changes nothing.

use super::config::ConfigArguments;
use crate::failure::{Failure, Outcome};
use crate::output;
use amends_server::Config;
use amends_store::{SqliteSeen, sqlite_status};
use anyhow::anyhow;
use serde_json::{Map, Value, json};

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum StoreCommand {
    /// See where cases are kept, how much is there, and who holds it since when
    #[command(
        after_help = "Examples:\n  amends store status --data amends-data\n  amends store status --config amends.toml --json\n\n\
Works beside a running supervisor."
    )]
    Status {
        #[command(flatten)]
        config: Box<ConfigArguments>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: StoreCommand) -> Outcome {
    let StoreCommand::Status { config, json } = command;
    let seen = look(&config.read()?)?;
    if json {
        output::json(&seen.json())
    } else {
        seen.lines().iter().try_for_each(|l| output::line(l))
    }
}

/// What was seen, whatever the kind.
struct Seen {
    kind: String,
    place: String,
    schema: i64,
    bytes: u64,
    /// Rows by table; of PostgreSQL as its statistics count them, but for cases.
    rows: Vec<(String, u64)>,
    holders: Vec<Holder>,
}

struct Holder {
    who: String,
    /// What is held, and how it stands.
    what: String,
    since: Option<String>,
}

fn look(config: &Config) -> Outcome<Seen> {
    #[cfg(feature = "postgres")]
    if let Some(cluster) = &config.cluster {
        return of_database(cluster);
    }
    let place = config.data.display().to_string();
    let seen = sqlite_status(&config.data).map_err(anyhow::Error::from)?;
    let SqliteSeen { schema, bytes, in_use, moved, rows } =
        seen.ok_or_else(|| none(&format!("`{place}`")))?;
    let mut holders = Vec::new();
    if in_use {
        let who = "a supervisor of this machine".to_owned();
        holders.push(Holder { who, what: "all of it".to_owned(), since: None });
    }
    let kind = match moved {
        true => "a file, whose store was moved into PostgreSQL",
        false => "a file",
    };
    Ok(Seen { kind: kind.to_owned(), place, schema, bytes, rows, holders })
}

fn none(place: &str) -> Failure {
    anyhow!("there is no store in {place}; `amends serve` begins one").into()
}

#[cfg(feature = "postgres")]
fn of_database(cluster: &amends_server::ClusterOptions) -> Outcome<Seen> {
    let place = format!("the database {}", cluster.database.place());
    let seen = cluster.status().map_err(anyhow::Error::from)?.ok_or_else(|| none(&place))?;
    let holder = |lease: &amends_store::LeasesSeen| Holder {
        who: lease.node.clone().unwrap_or_else(|| "nobody".to_owned()),
        what: match (&lease.node, lease.is_alive) {
            (None, _) => format!("{} of 65 parts", lease.parts),
            (Some(_), true) => format!("{} of 65 parts, epoch {}, alive", lease.parts, lease.epoch),
            (Some(_), false) => {
                format!("{} of 65 parts, epoch {}, silent", lease.parts, lease.epoch)
            }
        },
        since: lease.since.map(|since| since.to_string()),
    };
    let rows = seen.tables.iter().map(|table| match table.name.as_str() {
        "cases" => (table.name.clone(), seen.cases),
        _ => (table.name.clone(), table.rows),
    });
    Ok(Seen {
        kind: format!("PostgreSQL {}", seen.server),
        place,
        schema: seen.schema,
        bytes: seen.bytes,
        rows: rows.collect(),
        holders: seen.leases.iter().map(holder).collect(),
    })
}

impl Seen {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("kind    {}", self.kind),
            format!("place   {}", self.place),
            format!("schema  {}", self.schema),
            format!("bytes   {}", self.bytes),
        ];
        if self.holders.is_empty() {
            lines.push("held    by nobody".to_owned());
        }
        for holder in &self.holders {
            let since = holder.since.as_deref().map_or(String::new(), |at| format!(", since {at}"));
            lines.push(format!("held    by {}: {}{since}", holder.who, holder.what));
        }
        lines.extend(self.rows.iter().map(|(name, rows)| format!("rows    {name:<12} {rows}")));
        lines
    }

    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(name, rows)| (name.clone(), json!(rows)));
        let holders = self
            .holders
            .iter()
            .map(|holder| json!({ "who": holder.who, "what": holder.what, "since": holder.since }));
        json!({
            "kind": self.kind,
            "place": self.place,
            "schema": self.schema,
            "bytes": self.bytes,
            "heldBy": holders.collect::<Vec<_>>(),
            "rows": rows.collect::<Map<String, Value>>(),
        })
    }
}
