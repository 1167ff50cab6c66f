//! The database that cases are kept in, where it is not a file: its server, the store there, and what a supervisor
//! needs of both.

use super::Finding;
use amends_api::NodeState;
use amends_server::ClusterOptions;
use amends_store::{ClusterSeen, NodeSeen, PostgresSeen, PostgresStore, ServerSeen, TableSeen};

/// The oldest version that has what is used.
const OLDEST: i64 = 14_00_00;
/// Rows of before that are no sign of anything yet.
const BEHIND: u64 = 100_000;
/// A clock that differs by more is wrong, in milliseconds.
const CLOCK_LIMIT: i64 = 500;

pub(super) fn look(cluster: &ClusterOptions) -> Vec<Finding> {
    let place = cluster.database.place();
    let options = match cluster.with_password() {
        Ok(options) => options,
        Err(error) => {
            return vec![Finding::fail(
                "database",
                error.to_string(),
                "check `cluster.password_file`",
            )];
        }
    };
    let server = match PostgresStore::examine(&options) {
        Ok(server) => server,
        Err(error) => {
            let why = error.to_string();
            // What PgBouncer says to settings that it does not know.
            let help = match why.contains("unsupported startup parameter") {
                true => {
                    "a pooler is in between; give the address of the server itself, or have it pool by session"
                }
                false => {
                    "check `[cluster]`, and that the server takes connections from here (`pg_hba.conf`)"
                }
            };
            return vec![Finding::fail("database", why, help)];
        }
    };
    let mut found = of_server(&server, &place);
    let store = PostgresStore::status(&options);
    if let Ok(Some(seen)) = &store {
        found.extend(of_nodes(&seen.cluster));
    }
    found.push(match store {
        Ok(None) => Finding::warn(
            "store",
            format!("there is none in the database {place} yet"),
            "`amends serve` begins one; `amends migrate` brings one from a folder",
        ),
        Ok(Some(seen)) => of_store(&seen, &place),
        Err(error) => {
            Finding::fail("store", error.to_string(), "`amends store status` may tell more")
        }
    });
    found
}

fn of_server(seen: &ServerSeen, place: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let version = format!("the database {place} is of PostgreSQL {}", seen.version);
    found.push(match seen.version_number >= OLDEST {
        true => Finding::ok("database", version),
        false => Finding::fail("database", version, "14 or newer is needed"),
    });
    if seen.is_standby {
        let help = "give the address of the primary";
        found.push(Finding::fail("database", "it is a standby, which takes no writes", help));
    }
    found.push(durability(seen));
    if !seen.keeps_settings {
        found.push(Finding::fail(
            "database pooler",
            "a connection forgets what it was told: a pooler in transaction mode is in between",
            "give the address of the server itself, or have the pooler pool by session",
        ));
    }
    if !seen.removes_old_rows {
        found.push(Finding::fail(
            "database vacuum",
            "`autovacuum` is off: what was written before stays, and the tables grow without end",
            "switch `autovacuum` and `track_counts` on; the supervisor sets how often for its tables",
        ));
    }
    let free = seen.connections - seen.connections_in_use;
    let text = format!(
        "{} of {} connections are in use, and a supervisor needs {}",
        seen.connections_in_use, seen.connections, seen.connections_needed
    );
    // Beside this one another may wait to take over.
    found.push(match free >= 2 * seen.connections_needed {
        true => Finding::ok("database connections", text),
        false => {
            Finding::warn("database connections", text, "raise `max_connections` of the server")
        }
    });
    let text = format!(
        "the server's clock differs by {} ms (a round trip takes {} ms)",
        seen.clock_ahead_ms,
        seen.round_trip.as_millis()
    );
    let unsure = i64::try_from(seen.round_trip.as_millis() / 2).unwrap_or(i64::MAX);
    found.push(match seen.clock_ahead_ms.abs().saturating_sub(unsure) > CLOCK_LIMIT {
        true => {
            Finding::warn("database clock", text, "have both machines ask the same time servers")
        }
        false => Finding::ok("database clock", text),
    });
    if !seen.users_out_of_reach.is_empty() {
        let users = &seen.users_out_of_reach;
        found.push(Finding::warn(
            "database rights",
            format!("connections of a node that has died can't be ended, since they are of another user ({users})"),
            "give all nodes the same database user, or grant each `pg_signal_backend`",
        ));
    }
    found.push(room(seen));
    found
}

/// What can be said of the room on the server's disk, which can't be seen from here.
fn room(seen: &ServerSeen) -> Finding {
    let size = super::machine::size;
    let growth = match seen.bytes_of_a_day {
        Some(bytes) => format!(", about {} of it by the cases of the last day", size(bytes)),
        None => String::new(),
    };
    let text = format!(
        "the database takes {}{growth}; how much room the server's disk has can't be seen from here: watch it there",
        size(seen.bytes)
    );
    Finding::ok("database size", text)
}

/// Whether what is acknowledged survives, and what.
fn durability(seen: &ServerSeen) -> Finding {
    let check = "database durability";
    let help = "docs/guides/postgres.md tells what each setting means for acknowledged reports";
    if seen.synchronous_commit == "off" {
        let text = "`synchronous_commit` is off: a crash of the server loses what was acknowledged";
        return Finding::fail(check, text, "switch it on, at least for this database");
    }
    if !seen.survives_crashes {
        let text =
            "`fsync` or `full_page_writes` is off: a crash of its machine can destroy the store";
        return Finding::warn(check, text, help);
    }
    match (seen.synchronous_standbys.as_str(), seen.synchronous_commit.as_str()) {
        ("", _) | (_, "local") => Finding::ok(
            check,
            "commits are on the server's disk; no standby is waited for, so losing that disk loses the last of them",
        ),
        (standbys, level) => Finding::ok(
            check,
            format!(
                "commits wait for the disk and for `{standbys}` (`synchronous_commit` is {level})"
            ),
        ),
    }
}

fn of_store(seen: &PostgresSeen, place: &str) -> Finding {
    let holders = seen.leases.iter().filter_map(|lease| {
        let word = if lease.is_alive { "works on it" } else { "held it and is silent" };
        lease.node.as_ref().map(|node| format!("`{node}` {word}"))
    });
    let holders = holders.collect::<Vec<_>>().join(", ");
    let used = if holders.is_empty() { "nobody works on it".to_owned() } else { holders };
    let size = super::machine::size(seen.bytes);
    let text = format!("{place} holds {} cases in {size}; {used}", seen.cases);
    let behind = seen.tables.iter().find(|table| table.dead_rows > BEHIND.max(table.rows));
    match behind {
        None => Finding::ok("store", text),
        Some(TableSeen { name, rows, dead_rows, .. }) => Finding::warn(
            "store",
            format!("{text}; `{name}` has {dead_rows} rows of before beside {rows}"),
            "a vacuum is behind: end transactions that are open for long, and look at `autovacuum_max_workers`",
        ),
    }
}

/// What of the nodes needs somebody; nothing where there is no more than one, which the store tells of.
fn of_nodes(seen: &ClusterSeen) -> Option<Finding> {
    let check = "nodes";
    let count = |state| seen.nodes.iter().filter(|node| node.state() == state).count();
    let (silent, alive) = (count(NodeState::Silent), count(NodeState::Alive));
    let (draining, without) = (count(NodeState::Draining), seen.without_owner());
    let is_off = |node: &&NodeSeen| node.offset_ms.is_some_and(|ms| ms.abs() > CLOCK_LIMIT);
    let off = seen.nodes.iter().find(is_off);
    if alive > 0 && without > 0 && draining == 0 {
        let text = format!("{without} of 65 partitions are held by nobody who lives");
        let help =
            "it takes 10 s after one has died; then `amends cluster status` says who is drained";
        return Some(Finding::warn(check, text, help));
    }
    if let Some(node) = off {
        let text = format!("the clock of `{}` is off that of the database", node.name);
        let help = "have both machines ask the same time servers";
        return Some(Finding::warn(check, text, help));
    }
    if silent > 0 {
        let text = format!("{alive} work, and {silent} did not say that they would go");
        let help = "`amends cluster status` names them; look at their machines";
        return Some(Finding::warn(check, text, help));
    }
    (seen.nodes.len() > 1)
        .then(|| Finding::ok(check, format!("{alive} of {} work", seen.nodes.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use amends_protocol::Timestamp;
    use amends_store::Partition;
    use std::time::Duration;

    fn good() -> ServerSeen {
        ServerSeen {
            version: "15.18".to_owned(),
            version_number: 15_00_18,
            is_standby: false,
            synchronous_commit: "on".to_owned(),
            synchronous_standbys: String::new(),
            survives_crashes: true,
            connections: 97,
            connections_in_use: 3,
            connections_needed: 4,
            keeps_settings: true,
            users_out_of_reach: String::new(),
            removes_old_rows: true,
            clock_ahead_ms: 2,
            round_trip: Duration::from_millis(1),
            bytes: 3 << 30,
            bytes_of_a_day: Some(200 << 20),
        }
    }

    #[test]
    fn the_size_of_the_database_is_told_and_what_is_not_known() {
        let text = room(&good()).text;
        assert!(
            text.contains("3.0 GiB, about 200.0 MiB of it by the cases of the last day"),
            "{text}"
        );
        assert!(text.contains("can't be seen from here"), "{text}");
        let empty = room(&ServerSeen { bytes_of_a_day: None, ..good() }).text;
        assert!(!empty.contains("last day"), "{empty}");
    }

    fn told(seen: &ServerSeen) -> Vec<String> {
        let found = of_server(seen, "`amends` at `db`");
        let bad = found.iter().filter(|finding| finding.help.is_some());
        bad.map(super::super::line).collect()
    }

    #[test]
    fn a_server_that_does_well_has_no_findings() {
        assert_eq!(told(&good()), [] as [&str; 0]);
    }

    #[test]
    fn what_of_the_nodes_needs_somebody_is_told() {
        let node = |name: &str, is_alive, offset_ms, parts: std::ops::Range<u16>| NodeSeen {
            name: name.to_owned(),
            since: Timestamp(0),
            silent_ms: 10,
            is_alive,
            leaving: false,
            version: 4,
            parts: parts.map(Partition).collect(),
            offset_ms: Some(offset_ms),
            settings: 0,
        };
        let of = |nodes| of_nodes(&ClusterSeen { nodes, ..ClusterSeen::default() });
        let line = |nodes| super::super::line(&of(nodes).expect("it is told"));
        let (a, b) = (|| node("a", true, 3, 0..33), || node("b", true, -3, 33..65));
        assert!(of(Vec::new()).is_none() && of(vec![node("a", true, 3, 0..65)]).is_none());
        assert!(line(vec![a(), b()]).contains("✓ ok    nodes: 2 of 2 work"));
        assert!(line(vec![a()]).contains("! warn  nodes: 32 of 65"));
        let off = line(vec![a(), node("b", true, -700, 33..65)]);
        assert!(off.contains("! warn  nodes: the clock of `b`"), "{off}");
        let silent = line(vec![a(), b(), node("c", false, 0, 0..0)]);
        assert!(silent.contains("! warn  nodes: 2 work, and 1 did not say"), "{silent}");
    }

    #[test]
    fn a_vacuum_that_is_behind_is_told() {
        let table =
            |rows, dead_rows| TableSeen { name: "steps".to_owned(), rows, dead_rows, bytes: 1 };
        let seen = |table| PostgresSeen {
            server: "15.18".to_owned(),
            schema: 1,
            cases: 7,
            bytes: 1 << 20,
            cluster: ClusterSeen::default(),
            leases: Vec::new(),
            tables: vec![table],
        };
        for (table, is_fine) in [
            (table(10, 99_000), true),
            (table(900_000, 800_000), true),
            (table(10, 200_000), false),
        ] {
            let found = of_store(&seen(table), "`amends` at `db`");
            assert_eq!(found.help.is_none(), is_fine, "{}", super::super::line(&found));
        }
    }

    #[test]
    fn what_a_server_lacks_is_told_with_its_mend() {
        type Spoil = fn(&mut ServerSeen);
        let wrong: [(Spoil, &str); 9] = [
            (|seen| seen.version_number = 13_00_09, "✗ fail  database: "),
            (|seen| seen.is_standby = true, "✗ fail  database: it is a standby"),
            (|seen| seen.synchronous_commit = "off".to_owned(), "✗ fail  database durability: "),
            (|seen| seen.survives_crashes = false, "! warn  database durability: "),
            (|seen| seen.keeps_settings = false, "✗ fail  database pooler: "),
            (|seen| seen.removes_old_rows = false, "✗ fail  database vacuum: "),
            (|seen| seen.connections_in_use = 90, "! warn  database connections: 90 of 97"),
            (|seen| seen.clock_ahead_ms = -900, "! warn  database clock: "),
            (|seen| seen.users_out_of_reach = "b, c".to_owned(), "! warn  database rights: "),
        ];
        for (spoil, text) in wrong {
            let mut seen = good();
            spoil(&mut seen);
            let told = told(&seen);
            assert!(told.len() == 1 && told[0].starts_with(text), "{text}: {told:?}");
        }
    }
}
