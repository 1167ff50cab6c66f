//! The statements of a commit, built once from the names of their columns. They begin with the fence: the leases that
//! are needed are held on to, and what is of a share that is not held is not written.

use super::{
    columns::{Column, TABLES},
    rule_minutes::{self, LIMITS_MUST},
};
use std::sync::LazyLock;

/// For a node that holds everything or nothing: all of it is written, or nothing.
pub(super) static COMMIT: LazyLock<String> = LazyLock::new(|| statement(Shares::One));
/// For a node that holds some partitions: what is of those that it holds is written.
pub(super) static COMMIT_SHARES: LazyLock<String> = LazyLock::new(|| statement(Shares::Many));
/// The fence of [`COMMIT`] alone: it holds on to leases until the transaction ends.
pub(super) static FENCE: LazyLock<String> = LazyLock::new(|| fence_alone(Shares::One));
/// The fence of [`COMMIT_SHARES`] alone.
pub(super) static FENCE_SHARES: LazyLock<String> = LazyLock::new(|| fence_alone(Shares::Many));

/// Sequences of case numbers that a lease row is raised by at a time, so that few commits write it.
pub(super) const SEQUENCES_AT_A_TIME: i64 = 256;

/// Values of the fence: node, epochs; then, for many shares, partitions, the letters that were taken, their partitions,
/// and the version of the settings that was planned with, if that counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shares {
    One,
    Many,
}

impl Shares {
    /// The value after those of the fence.
    const fn after_fence(self) -> usize {
        match self {
            Self::One => 3,
            Self::Many => 7,
        }
    }

    const fn fence(self) -> &'static str {
        match self {
            Self::One => WHOLE_FENCE,
            Self::Many => FENCE_BY_SHARE,
        }
    }
}

/// The seat's lease stands for all: as long as nodes don't share the store, all of them are claimed, raised and given
/// back together (`lease.rs`), so whoever would take one has to wait for the seat's. Each lock costs a line of the
/// log.
const WHOLE_FENCE: &str = "
    WITH fence AS MATERIALIZED (
      SELECT l.partition FROM lease l
      WHERE l.partition = 64 AND l.owner = $1 AND l.epoch = ($2::bigint[])[65]
      FOR SHARE OF l)";

/// A share whose letters are not all there was taken before: it counts as lost. Nobody else deletes letters of a
/// partition that is held, so what the statement's snapshot shows of them stands.
const FENCE_BY_SHARE: &str = "
    WITH held AS MATERIALIZED (
      SELECT l.partition, l.books FROM lease l
      WHERE l.partition = ANY($3::smallint[]) AND l.owner = $1 AND l.epoch = ($2::bigint[])[l.partition + 1]
      ORDER BY l.partition FOR SHARE OF l),
    taken AS MATERIALIZED (SELECT u.id, u.part FROM unnest($4::uuid[], $5::smallint[]) AS u(id, part)),
    gone AS MATERIALIZED (
      SELECT t.part FROM taken t LEFT JOIN inbox i ON i.id = t.id AND i.partition = t.part WHERE i.id IS NULL),
    fence AS MATERIALIZED (
      SELECT partition FROM held WHERE NOT EXISTS (SELECT FROM gone WHERE gone.part = held.partition))";

/// Nothing was planned with a version of a rulebook that was no longer active; and what comes along with a share of the
/// seat, on which it may rest, stands and falls with it.
const UP_TO_DATE: &str = "amends_must('settings', (SELECT 0 WHERE $6::bigint IS NOT NULL AND (
      EXISTS (SELECT FROM held WHERE held.books > $6::bigint)
      OR (64 = ANY($3::smallint[]) AND NOT EXISTS (SELECT FROM fence WHERE partition = 64)))))";

/// Whether a row `u` is of a share that is held.
const IS_HELD: &str = "u.part = ANY(ARRAY(SELECT partition FROM fence))";

fn fence_alone(shares: Shares) -> String {
    let fence = shares.fence();
    let only = match shares {
        Shares::One => String::new(),
        Shares::Many => format!("WHERE {UP_TO_DATE}"),
    };
    format!("{fence} SELECT partition::smallint FROM fence {only} ORDER BY 1")
}

/// How the rows of a table are written: a row that is there is written anew, but for what stays of it. Where something
/// else stands in what may not change, the row is left out, and missed by `amends_must`.
struct Upsert {
    table: &'static str,
    key: &'static str,
    stays: &'static [&'static str],
    fixed: &'static [&'static str],
}

const UPSERTS: [Upsert; 5] = [
    Upsert {
        table: "cases",
        key: "id",
        stays: &["id", "opened_at", "partition", "saga", "report"],
        fixed: &["saga", "report", "opened_at"],
    },
    Upsert {
        table: "reports",
        key: "key",
        stays: &["key", "source", "id"],
        fixed: &["source", "id"],
    },
    Upsert { table: "steps", key: "key", stays: &["key"], fixed: &[] },
    Upsert { table: "attempts", key: "step, attempt", stays: &["step", "attempt"], fixed: &[] },
    Upsert { table: "sagas", key: "saga", stays: &["saga", "partition"], fixed: &[] },
];

impl Upsert {
    /// As a part of a statement, of the rows `u`.
    fn sql(&self, columns: &[Column], rows: &str) -> String {
        let Self { table, key, stays, fixed } = self;
        let columns: Vec<&str> = columns.iter().map(|(name, _)| *name).skip(1).collect();
        let anew = columns.iter().filter(|name| !stays.contains(name));
        let anew = list(anew.map(|name| format!("{name} = excluded.{name}")));
        let same = fixed.iter().map(|name| format!("{table}.{name} = excluded.{name}"));
        let same: Vec<String> = same.collect();
        let same = match same.is_empty() {
            true => String::new(),
            false => format!("WHERE {} RETURNING {table}.{key}", same.join(" AND ")),
        };
        format!(
            "new_{table} AS (
               INSERT INTO {table} ({}) SELECT {} FROM {rows} WHERE {IS_HELD}
               ON CONFLICT ({key}) DO UPDATE SET {anew} {same})",
            columns.join(", "),
            list(columns.iter().map(|name| format!("u.{name}"))),
        )
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// The lists of a table as rows `u`, whose first list is the value with this number.
fn rows(columns: &[Column], first: usize) -> String {
    let values = columns.iter().zip(first..).map(|((_, kind), n)| format!("${n}::{kind}[]"));
    let names = columns.iter().map(|(name, _)| (*name).to_owned());
    format!("unnest({}) AS u({})", list(values), list(names))
}

/// The first two of these lists: a row's share and its key.
fn keys(columns: &[Column], first: usize) -> String {
    rows(&columns[..2.min(columns.len())], first)
}

/// Values: those of the fence, supervisor time, the lists of all tables; for shares, the letters that are posted and
/// the cases that limited rules answer.
fn statement(shares: Shares) -> String {
    let clock = shares.after_fence();
    let (mut next, mut upserts, mut keys_of) = (clock + 1, Vec::new(), Vec::new());
    for (upsert, (_, columns)) in UPSERTS.iter().zip(TABLES) {
        upserts.push(upsert.sql(columns, &rows(columns, next)));
        keys_of.push(keys(columns, next));
        next += columns.len();
    }
    let [cases, reports, ..] = &keys_of[..] else { return String::new() };
    let (counts, of_clock, beside, musts) = match shares {
        Shares::One => (count_later(cases, clock), "'clock'", String::new(), String::new()),
        Shares::Many => {
            let musts = format!("{LETTERS_MUST} AND {UP_TO_DATE}{LIMITS_MUST}");
            (count_now(cases), CLOCK_OF_SHARE, beside_shares(cases, next), musts)
        }
    };
    format!(
        "{fence},
         {counts},
         {upserts}{beside},
         clock AS (
           INSERT INTO marks (name, value) SELECT {of_clock}, ${clock}::bigint
           WHERE ${clock}::bigint IS NOT NULL AND EXISTS (SELECT FROM fence)
           ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > marks.value)
         SELECT ARRAY(SELECT partition::smallint FROM fence ORDER BY 1),
           amends_must('case',
             (SELECT u.id FROM {cases} WHERE {IS_HELD} EXCEPT SELECT id FROM new_cases LIMIT 1))
           AND amends_must('report',
             (SELECT u.key FROM {reports} WHERE {IS_HELD} EXCEPT SELECT key FROM new_reports LIMIT 1)){musts}",
        fence = shares.fence(),
        upserts = upserts.join(",\n"),
    )
}

/// What each commit counts and keeps is a row of whoever owns the lowest of its partitions: nodes don't wait for each
/// other there.
const CLOCK_OF_SHARE: &str = "'clock:' || (SELECT min(partition) FROM fence)::text";

/// Each commit counts its new cases.
fn count_now(cases: &str) -> String {
    format!(
        "known AS MATERIALIZED (SELECT count(*) AS n FROM cases c
           WHERE c.id = ANY(ARRAY(SELECT u.id FROM {cases} WHERE {IS_HELD}))),
         more AS (
           UPDATE marks SET value = value + m.n
           FROM (SELECT (SELECT count(*) FROM {cases} WHERE {IS_HELD}) - n AS n FROM known) AS m
           WHERE name = 'cases:' || (SELECT min(partition) FROM fence)::text AND m.n <> 0)"
    )
}

/// New cases are counted when supervisor time is kept, those of other commits among them (`counting.rs`); only one
/// whose number is below what was counted is so at once.
fn count_later(cases: &str, clock: usize) -> String {
    format!(
        "counted AS MATERIALIZED (
           SELECT coalesce((SELECT value FROM marks WHERE name = 'counted_to'), 9223372036854775807) AS up_to),
         below AS MATERIALIZED (
           SELECT u.id FROM {cases} WHERE {IS_HELD} AND u.id <= (SELECT up_to FROM counted)),
         above AS MATERIALIZED (
           SELECT id FROM cases WHERE ${clock}::bigint IS NOT NULL AND EXISTS (SELECT FROM fence)
             AND id > (SELECT up_to FROM counted)
           UNION SELECT u.id FROM {cases}
             WHERE {IS_HELD} AND ${clock}::bigint IS NOT NULL AND u.id > (SELECT up_to FROM counted)),
         more AS (
           UPDATE marks SET value = value + m.n
           FROM (SELECT (SELECT count(*) FROM below) + (SELECT count(*) FROM above)
             - (SELECT count(*) FROM cases WHERE id = ANY(ARRAY(SELECT id FROM below))) AS n) AS m
           WHERE name = 'cases' AND m.n <> 0),
         count_on AS (
           UPDATE marks SET value = (SELECT max(id) FROM above)
           WHERE name = 'counted_to' AND EXISTS (SELECT FROM above))"
    )
}

const LETTERS_MUST: &str = "
           AND amends_must('letter',
             (SELECT 0 WHERE (SELECT count(*) FROM read) <> (SELECT count(*) FROM taken AS u WHERE u.part = ANY(ARRAY(SELECT partition FROM fence)))))";

/// Sequences of case numbers, letters that were taken, letters that are posted, cases that limited rules answer.
fn beside_shares(cases: &str, next: usize) -> String {
    let posted = format!(
        "unnest(${}::uuid[], ${}::smallint[], ${}::text[], ${}::text[])",
        next,
        next + 1,
        next + 2,
        next + 3
    );
    let limits = rule_minutes::counted(next + 4, IS_HELD);
    format!(
        ",
         numbers AS (
           UPDATE lease l SET last_seq = m.seq + {SEQUENCES_AT_A_TIME}
           FROM (SELECT u.part, max(u.id >> 6) AS seq FROM {cases}
             WHERE {IS_HELD} AND u.id >= (SELECT value FROM marks WHERE name = 'first_number') GROUP BY u.part) AS m
           WHERE l.partition = m.part AND l.last_seq < m.seq),
         read AS (
           DELETE FROM inbox i USING taken AS u WHERE i.id = u.id AND i.partition = u.part AND {IS_HELD}
           RETURNING i.id),
         posted AS (
           INSERT INTO inbox (id, partition, kind, body, sender) SELECT p.*, $1 FROM {posted} AS p
           ON CONFLICT (id) DO NOTHING){limits}"
    )
}
