//! `amends cluster`: the nodes that have a store in PostgreSQL open, and what each of them holds; to tell one to give
//! it back. It asks the database, not a supervisor.

mod drain;

use super::config::ConfigArguments;
use crate::failure::{Failure, Outcome};
use crate::moment;
use crate::output::{self, Grid};
use amends_server::ClusterOptions;
use amends_store::{ClusterSeen, NodeSeen, Partition};
use anyhow::anyhow;
use serde_json::{Value, json};

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum ClusterCommand {
    /// See which nodes live, what each holds since when, when it showed itself last, and how far its clock is off
    #[command(
        after_help = "Examples:\n  amends cluster status --config amends.toml\n  amends cluster status --config amends.toml --json\n\n\
Works beside running supervisors, and without any."
    )]
    Status {
        #[command(flatten)]
        config: Box<ConfigArguments>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Have a node give what it holds to the others, in order, and wait until it holds nothing
    Drain(Box<drain::DrainOptions>),
    /// Let a node that was drained take its share again
    Resume(Box<drain::ResumeOptions>),
}

pub(super) fn run(command: ClusterCommand) -> Outcome {
    let (config, json) = match command {
        ClusterCommand::Status { config, json } => (config, json),
        ClusterCommand::Drain(options) => return drain::drain(&options),
        ClusterCommand::Resume(options) => return drain::resume(&options),
    };
    let seen = look(&cluster(&config)?)?;
    if json {
        output::json(&of(&seen))
    } else {
        lines(&seen).iter().try_for_each(|line| output::line(line))
    }
}

fn cluster(config: &ConfigArguments) -> Outcome<ClusterOptions> {
    config.read()?.cluster.ok_or_else(|| {
        Failure::Usage(
            "the configuration names no database (`cluster.database`), so there is one node alone"
                .to_owned(),
        )
    })
}

fn look(cluster: &ClusterOptions) -> Outcome<ClusterSeen> {
    let none = || {
        let place = cluster.database.place();
        anyhow!("there is no store in the database {place}; `amends serve` begins one")
    };
    Ok(cluster.status().map_err(anyhow::Error::from)?.ok_or_else(none)?.cluster)
}

/// Parts of the sagas that it holds.
fn parts(node: &NodeSeen) -> usize {
    node.parts.iter().filter(|part| **part != Partition::SEAT).count()
}

fn has_seat(node: &NodeSeen) -> bool {
    node.parts.contains(&Partition::SEAT)
}

fn lines(seen: &ClusterSeen) -> Vec<String> {
    let mut grid =
        Grid::new(&["node", "state", "parts", "seat", "since", "last seen", "clock", "version"]);
    for node in &seen.nodes {
        grid.row(vec![
            node.name.clone(),
            node.state().to_string(),
            format!("{} of {}", parts(node), Partition::PARTS),
            if has_seat(node) { "yes" } else { "" }.to_owned(),
            node.since.to_string(),
            format!("{}.{} s ago", node.silent_ms / 1_000, node.silent_ms % 1_000 / 100),
            // The database's clock is ahead: its own is behind.
            node.offset_ms.map_or_else(|| "?".to_owned(), |ms| format!("{:+} ms", -ms)),
            node.version.to_string(),
        ]);
    }
    let mut lines = Vec::new();
    if seen.nodes.is_empty() {
        lines.push("no node has shown itself within the last day".to_owned());
    } else {
        lines.extend(grid.render().lines().map(str::to_owned));
    }
    let without = seen.without_owner();
    if without > 0 {
        lines.push(format!("{without} of 65 are held by nobody who lives"));
    }
    if let Some(ms) = seen.oldest_letter_ms {
        let since = moment::span(ms);
        lines.push(format!("{} letters wait between nodes, the oldest for {since}", seen.letters));
    }
    lines
}

fn of(seen: &ClusterSeen) -> Value {
    let nodes = seen.nodes.iter().map(|node| {
        let parts = node.parts.iter().filter(|part| **part != Partition::SEAT).map(|part| part.0);
        json!({
            "name": node.name,
            "state": node.state(),
            "parts": parts.collect::<Vec<_>>(),
            "seat": has_seat(node),
            "since": node.since.to_string(),
            "silentMs": node.silent_ms,
            "clockOffMs": node.offset_ms.map(|ms| -ms),
            "version": node.version,
        })
    });
    json!({
        "nodes": nodes.collect::<Vec<_>>(),
        "withoutOwner": seen.without_owner(),
        "lettersWaiting": seen.letters,
        "oldestLetterMs": seen.oldest_letter_ms,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use amends_protocol::Timestamp;

    pub(super) fn node(name: &str, parts: Vec<Partition>) -> NodeSeen {
        NodeSeen {
            name: name.to_owned(),
            since: Timestamp(0),
            silent_ms: 340,
            is_alive: true,
            leaving: false,
            version: 4,
            parts,
            offset_ms: Some(12),
            settings: 0,
        }
    }

    pub(super) fn seen(nodes: Vec<NodeSeen>) -> ClusterSeen {
        ClusterSeen { nodes, is_shared: true, letters: 3, oldest_letter_ms: Some(4_000) }
    }

    #[test]
    fn nodes_are_told_with_what_they_hold() {
        let seen = seen(vec![
            node("a", Partition::parts().take(40).chain([Partition::SEAT]).collect()),
            NodeSeen { leaving: true, ..node("b", vec![Partition(50)]) },
            NodeSeen { is_alive: false, offset_ms: None, ..node("c", vec![Partition(51)]) },
        ]);
        let told = lines(&seen).join("\n");
        for part in [
            "a     alive     40 of 64  yes",
            "b     draining  1 of 64",
            "c     silent    1 of 64",
            "0.3 s ago  -12 ms",
            "?",
            "23 of 65 are held by nobody who lives",
            "3 letters wait between nodes, the oldest for 4s",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        let told = of(&seen);
        assert_eq!(told["withoutOwner"], 23);
        assert_eq!(told["nodes"][1]["parts"], json!([50]));
        assert_eq!(
            (&told["nodes"][0]["seat"], &told["nodes"][0]["clockOffMs"]),
            (&json!(true), &json!(-12))
        );
    }
}
