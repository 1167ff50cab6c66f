//! The demo on three nodes that share one PostgreSQL and are killed, stopped and drained: nothing half done remains.
#![cfg(all(feature = "demo", feature = "postgres"))]

#[path = "support/demo.rs"]
mod demo;

use amends_api::CaseState;
use demo::summary;

/// Six services, the database, its connections, and three nodes in three ways.
const EVERYBODY: &str = "17";

#[test]
fn three_nodes_that_are_killed_stopped_and_drained_lose_nothing() {
    let run = ["--nodes", "3", "--chaos", "--orders", "60", "--kills", EVERYBODY, "--seed", "3"];
    let summary = summary(&run);
    assert!(summary.invariants.iter().all(|invariant| invariant.held), "{:?}", summary.invariants);
    let states: Vec<_> = summary.cases.keys().copied().collect();
    assert_eq!(states, [CaseState::Settled], "{:?}", summary.cases);
    let nodes = summary.nodes.expect("there were several");
    assert_eq!((nodes.nodes, nodes.killed, nodes.stopped), (3, 3, 3), "{nodes}");
    // Unless its process ends meanwhile; and whatever was held there moves.
    assert!(nodes.drained > 0 && nodes.moved > 65, "{nodes}");
    let chaos = summary.chaos.expect("the run was one with chaos");
    let killed = ["database", "connections", "node-1", "node-2", "node-3"];
    let killed = killed.map(|name| chaos.kills_by_process.get(name));
    assert_eq!(killed, [Some(&1); 5], "{chaos}");
}
