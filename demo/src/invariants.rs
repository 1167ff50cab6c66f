//! Whether a business held, computed by SQL on the services' own databases. It asks no service and no supervisor, so it
//! would also see what those hide. What is judged is each business's own; here is what they share.

use crate::workload::PlannedOrder;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One invariant and what it was judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invariant {
    /// Stable name.
    pub name: String,
    /// Whether it holds.
    pub held: bool,
    /// Numbers, for people.
    pub evidence: String,
}

impl Invariant {
    pub(crate) fn new(name: &str, held: bool, evidence: String) -> Self {
        Self { name: name.to_owned(), held, evidence }
    }
}

/// How the orders ended, and every invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// How many orders there were and how they ended.
    pub orders: OrderCount,
    /// In a fixed order.
    pub invariants: Vec<Invariant>,
    /// Ids of orders that are neither complete nor left nothing; at most 20.
    pub half_done: Vec<String>,
}

/// How many orders there were and how they ended: `total` is the sum of `completed` and `cancelled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderCount {
    /// In the plan.
    pub total: i64,
    /// Complete.
    pub completed: i64,
    /// Not complete.
    pub cancelled: i64,
    /// Cancelled orders that the first service never took up: their request died with the process that it came to.
    pub never_begun: i64,
}

/// All databases of a business at once, each as `SERVICE_db`, beside the plan.
pub struct Db(Connection);

impl Db {
    /// Opens the databases in `folder`. The table `plan` has each order's saga, amount and form.
    pub(crate) fn open(
        folder: &Path,
        services: impl Iterator<Item = &'static str>,
        plan: &[PlannedOrder],
    ) -> rusqlite::Result<Self> {
        let mut connection = Connection::open_in_memory()?;
        for service in services {
            let path = folder.join(format!("{service}.sqlite"));
            connection.execute(&format!("ATTACH ?1 AS {service}_db"), [path.to_string_lossy()])?;
        }
        connection.execute_batch(
            "CREATE TEMP TABLE plan (saga TEXT PRIMARY KEY, amount INTEGER NOT NULL, form TEXT NOT NULL);",
        )?;
        let tx = connection.transaction()?;
        for order in plan {
            tx.execute(
                "INSERT INTO plan VALUES (?1, ?2, ?3)",
                params![order.id, order.amount, order.form.to_string()],
            )?;
        }
        tx.commit()?;
        Ok(Self(connection))
    }

    /// Judges each order: `views` end with a view `judged`, which has the columns `saga`, `amount`, `begun`, `complete`
    /// and `left_nothing`, and becomes the table `verdict`.
    pub(crate) fn judge(&self, views: &str) -> rusqlite::Result<()> {
        self.0.execute_batch(views)?;
        // Judged once: the views count in many databases for every order.
        self.0.execute_batch("CREATE TEMP TABLE verdict AS SELECT * FROM judged;")
    }

    /// How the orders ended, and those that are half done, beside these invariants.
    pub(crate) fn findings(&self, invariants: Vec<Invariant>) -> rusqlite::Result<Findings> {
        let orders = OrderCount {
            total: self.number("SELECT count(*) FROM verdict")?,
            completed: self.number("SELECT count(*) FROM verdict WHERE complete")?,
            cancelled: self.number("SELECT count(*) FROM verdict WHERE NOT complete")?,
            never_begun: self.number("SELECT count(*) FROM verdict WHERE NOT begun")?,
        };
        let half_done = self.texts(
            "SELECT saga FROM verdict WHERE NOT complete AND NOT left_nothing ORDER BY saga LIMIT 20",
        )?;
        Ok(Findings { orders, invariants, half_done })
    }

    /// That every order ended whole or left nothing; `sagas` selects whatever the services know of sagas.
    pub(crate) fn all_or_nothing(&self, sagas: &str) -> rusqlite::Result<Invariant> {
        let complete = self.number("SELECT count(*) FROM verdict WHERE complete")?;
        let nothing = self.number("SELECT count(*) FROM verdict WHERE left_nothing")?;
        let half =
            self.number("SELECT count(*) FROM verdict WHERE NOT complete AND NOT left_nothing")?;
        let strangers = self.number(&format!(
            "SELECT count(*) FROM ({sagas}) WHERE saga NOT IN (SELECT saga FROM plan)"
        ))?;
        let evidence = format!(
            "{complete} orders complete, {nothing} left nothing, {half} half done, {strangers} unknown"
        );
        Ok(Invariant::new("all-or-nothing", half == 0 && strangers == 0, evidence))
    }

    pub(crate) fn number(&self, sql: &str) -> rusqlite::Result<i64> {
        self.0.query_row(sql, [], |row| row.get(0))
    }

    fn texts(&self, sql: &str) -> rusqlite::Result<Vec<String>> {
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.collect()
    }
}

/// Cents, as people write them.
pub(crate) fn money(cents: i64) -> String {
    format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100)
}
