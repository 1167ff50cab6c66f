//! How many cases there are, for a node that holds all of them. A mark that each commit raises would be a row of each
//! report; so the mark `cases` counts those up to the number in `counted_to`, and what is new waits until supervisor
//! time is kept (`statement.rs`). The others are counted when somebody asks: an index has those of a second.
//!
//! INVARIANT: as long as `counted_to` is there, all cases above it are in none of the marks, and all below in one.
//! Versions before this one count with each commit and know nothing of it. So it goes when the node gives its leases
//! back; and
//! `counted_by` says in which epoch somebody who knows of it held them last. If that is not the one before, all cases
//! are counted anew.

use super::session::{Session, database};
use crate::{
    StoreError,
    tables::{Tables, marks, written::doing},
};

const DOING: &str = "count cases";
/// Whether the one before knew nothing of it.
const IS_WRONG: &str = "(SELECT value FROM marks WHERE name = 'counted_by')
      <> (SELECT epoch - 1 FROM lease WHERE partition = 64)";

/// Begins, within a transaction that has claimed or raised all leases.
pub(super) fn begin(session: &Session) -> Result<(), StoreError> {
    let begin = format!(
        "UPDATE marks SET value = (SELECT count(*) FROM cases) WHERE name = 'cases' AND {IS_WRONG};
         UPDATE marks SET value = coalesce((SELECT max(id) FROM cases), 0) WHERE name = 'counted_to' AND {IS_WRONG};
         INSERT INTO marks (name, value) SELECT 'counted_to', coalesce(max(id), 0) FROM cases
           ON CONFLICT (name) DO NOTHING;
         INSERT INTO marks (name, value) SELECT 'counted_by', epoch FROM lease WHERE partition = 64
           ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    );
    session.batch(&begin).map_err(database(DOING))
}

/// Ends: from now on each commit counts its own. Within a transaction under all leases; or in a copy.
pub(super) fn end(conn: &dyn Tables) -> Result<(), StoreError> {
    marks::count_up(conn)?;
    let forget = "DELETE FROM marks WHERE name IN ('counted_to', 'counted_by')";
    conn.execute(forget, &[]).map(drop).map_err(doing(DOING))
}

#[cfg(test)]
mod tests {
    use crate::{
        Archive, Batch, Epoch, Leases, Ledger,
        conformance::sample::{case, whole},
        postgres::{PostgresStore, tests::Base},
    };
    use amends_protocol::Timestamp;

    async fn is_counted(store: &PostgresStore, cases: u64) {
        let counts = store.case_counts().await.expect("counts");
        assert_eq!(counts.values().sum::<u64>(), cases, "{counts:?}");
    }

    /// Cases of these numbers, with or without supervisor time.
    async fn commits(store: &PostgresStore, epoch: Epoch, cases: &[u64], clock: Option<i64>) {
        let writes = cases.iter().flat_map(|n| whole(case(*n))).collect();
        let batch = Batch::whole(epoch, writes, clock.map(Timestamp));
        store.commit(batch).await.expect("commits");
    }

    async fn held(store: &PostgresStore) -> Epoch {
        store.claim(1).await.expect("claims").first().expect("held").epoch
    }

    /// Whenever it is asked, and whoever held the store before.
    #[tokio::test]
    async fn no_case_is_counted_twice_or_forgotten() {
        let base = Base::new();
        let one = base.store("one");
        let epoch = held(&one).await;
        let mark = "SELECT value FROM marks WHERE name = 'cases'";
        commits(&one, epoch, &[3, 4], None).await;
        assert_eq!(base.number(mark), 0, "they wait");
        is_counted(&one, 2).await;
        commits(&one, epoch, &[4, 5], Some(1)).await;
        assert_eq!(base.number(mark), 3);
        commits(&one, epoch, &[1, 5, 6], None).await;
        assert_eq!(base.number(mark), 4, "one below what was counted is so at once");
        is_counted(&one, 5).await;
        // The server cuts it off, and it goes on in another epoch.
        let raised = one.raise().await.expect("raises")[0].epoch;
        is_counted(&one, 5).await;
        commits(&one, raised, &[7], None).await;
        is_counted(&one, 6).await;

        // It dies without a word, and a version that knows nothing of this holds the store for a while.
        let left = "UPDATE lease SET owner = NULL, epoch = epoch + 1;
            INSERT INTO cases (id, opened_at, updated_at, partition, state, saga, report, memo)
              VALUES (8, 8, 8, 0, 0, 'older', 'shop/report', '{}');
            UPDATE marks SET value = value + 1 WHERE name = 'cases'";
        base.sql(left);
        let two = base.store("two");
        let epoch = held(&two).await;
        is_counted(&two, 7).await;
        commits(&two, epoch, &[9], None).await;
        drop(two);
        assert_eq!(base.number("SELECT count(*) FROM marks WHERE name LIKE 'counted%'"), 0);
        assert_eq!(base.number(mark), 8, "given back in order: each commit counts its own now");
        let three = base.store("three");
        let epoch = held(&three).await;
        commits(&three, epoch, &[10], None).await;
        is_counted(&three, 9).await;
    }
}
