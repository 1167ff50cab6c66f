//! The database that a store is moved to. Until all rows are there and compared, a mark says so, and no supervisor
//! takes it for a store.

use super::tables::{Cell, Kind, Row, TABLES, Table, TableDigest, TableDigester};
use crate::StoreError;
use crate::partitions::partition_of;
use crate::postgres::PostgresOptions;
use crate::postgres::schema;
use crate::postgres::session::{self, Session, database, get};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};

const DOING: &str = "move the store";
/// Names the lock that keeps a second move out: `AMNM`.
const LOCK: i64 = 0x414d_4e4d;
/// Rows of a page when they are read to be compared.
const PAGE: usize = 2_000;

/// How far a move into this database has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is nothing in it.
    Empty,
    /// A move with this number is under way.
    Moving(i64),
    /// A move with this number has come to its end.
    Moved(i64),
    /// A supervisor has used it.
    Store,
}

/// A connection that nobody else moves a store by.
pub(crate) struct Target {
    session: Session,
    pub(crate) place: String,
}

impl Target {
    /// Connects, and makes the tables if there are none.
    ///
    /// # Errors
    /// As [`PostgresStore::open`](crate::PostgresStore::open), and that another move is under way.
    pub(crate) fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        let (connect, place) = (options.connect()?, options.place());
        schema::migrate(&connect, &place)?;
        let session = session::reach(&connect, &place, session::MOVING)?;
        let alone = session.run(async |line| {
            sqlx::query_scalar::<_, bool>("SELECT pg_try_advisory_lock($1)")
                .bind(LOCK)
                .fetch_one(line)
                .await
        });
        match alone.map_err(database(DOING))? {
            true => Ok(Self { session, place }),
            false => Err(StoreError::Unusable {
                database: place,
                why: "another store is being moved into it at this moment; wait for that"
                    .to_owned(),
            }),
        }
    }

    /// What is in it.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn found(&self) -> Result<Found, StoreError> {
        let seen = self.session.run(async |line| {
            sqlx::query(
                "SELECT (SELECT value FROM marks WHERE name = 'moving'), (SELECT value FROM marks WHERE name = 'moved'),
                   (SELECT max(epoch) FROM lease)",
            )
            .fetch_one(line)
            .await
        });
        let seen = seen.map_err(database(DOING))?;
        let cell = |place| get::<Option<i64>>(&seen, place).map_err(database(DOING));
        Ok(match (cell(0)?, cell(1)?, cell(2)?) {
            (Some(number), ..) => Found::Moving(number),
            (None, Some(number), _) => Found::Moved(number),
            // Whoever ever held it has raised that.
            (None, None, Some(0)) => Found::Empty,
            (None, None, _) => Found::Store,
        })
    }

    /// Empties all tables, and marks them as incomplete. Refused if a supervisor holds them meanwhile.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub(crate) fn begin(&self, number: i64) -> Result<(), StoreError> {
        let names: Vec<String> = TABLES.iter().map(|table| table.name.to_owned()).collect();
        let empty = format!("TRUNCATE {}", names.join(", "));
        self.session.transact(|| {
            let run = |sql: &str| self.session.batch(sql).map_err(database(DOING));
            run("SELECT partition FROM lease ORDER BY partition FOR UPDATE")?;
            if self.found()? == Found::Store {
                return Err(self.has_a_store());
            }
            run(&empty)?;
            run(&format!("INSERT INTO marks (name, value) VALUES ('moving', {number})"))
        })
    }

    pub(crate) fn has_a_store(&self) -> StoreError {
        StoreError::Unusable {
            database: self.place.clone(),
            why: "a supervisor has kept cases in it; give an empty database".to_owned(),
        }
    }

    /// The last row of a table that has come, in the order of the keys: its key alone.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn last(&self, table: &Table) -> Result<Option<Row>, StoreError> {
        let key = &table.columns[..table.key];
        let sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT 1",
            carried(key),
            table.name,
            table.ours(),
            key.iter().map(|(name, _)| format!("\"{name}\" DESC")).collect::<Vec<_>>().join(", ")
        );
        let row = self
            .session
            .run(async |line| sqlx::query(AssertSqlSafe(sql)).fetch_optional(line).await)
            .map_err(database(DOING))?;
        row.map(|row| cells(key, &row)).transpose().map_err(database(DOING))
    }

    /// Adds rows, all or none.
    ///
    /// # Errors
    /// When they can't be written.
    pub(crate) fn add(&self, table: &Table, rows: &[Row]) -> Result<(), StoreError> {
        let columns = table.columns;
        let mut names: Vec<String> =
            columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let mut values: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(n, (_, kind))| format!("c{n}::{}", kind.sql()))
            .collect();
        let mut places: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(n, (_, kind))| format!("${}::{}[]", n + 1, kind.carried()))
            .collect();
        let mut taken: Vec<String> = (0..columns.len()).map(|n| format!("c{n}")).collect();
        if table.partitioned_by.is_some() {
            names.push("partition".to_owned());
            values.push("p::smallint".to_owned());
            places.push(format!("${}::bigint[]", columns.len() + 1));
            taken.push("p".to_owned());
        }
        let sql = format!(
            "INSERT INTO {} ({}) SELECT {} FROM unnest({}) AS u({})",
            table.name,
            names.join(", "),
            values.join(", "),
            places.join(", "),
            taken.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (place, (_, kind)) in columns.iter().enumerate() {
            query = bind_column(query, *kind, rows, place);
        }
        if let Some(place) = table.partitioned_by {
            let part = |row: &Row| match row.get(place) {
                Some(Cell::Text(saga)) => i64::from(partition_of(saga)),
                _ => 0,
            };
            query = query.bind(rows.iter().map(part).collect::<Vec<_>>());
        }
        self.session.run(async |line| query.execute(line).await).map(drop).map_err(database(DOING))
    }

    /// What the rows of a table come to.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn digest(&self, table: &Table) -> Result<TableDigest, StoreError> {
        let (mut digester, mut after) = (TableDigester::default(), None::<Row>);
        loop {
            let rows = self.rows(table, after.as_deref())?;
            rows.iter().for_each(|row| digester.add(row));
            match rows.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(digester.finish()),
            }
        }
    }

    fn rows(&self, table: &Table, after: Option<&[Cell]>) -> Result<Vec<Row>, StoreError> {
        let key = &table.columns[..table.key];
        let places: Vec<String> = key
            .iter()
            .enumerate()
            .map(|(n, (_, kind))| format!("${}::{}", n + 1, kind.carried()))
            .collect();
        let names = table.key_names();
        let begins = match after {
            Some(_) => format!("AND ({names}) > ({})", places.join(", ")),
            None => String::new(),
        };
        let sql = format!(
            "SELECT {} FROM {} WHERE {} {begins} ORDER BY {names} LIMIT {PAGE}",
            carried(table.columns),
            table.name,
            table.ours()
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for cell in after.unwrap_or_default().iter().take(table.key) {
            query = match cell.clone() {
                Cell::Nothing => query.bind(None::<i64>),
                Cell::Number(number) => query.bind(number),
                Cell::Text(text) => query.bind(text),
                Cell::Bytes(bytes) => query.bind(bytes),
            };
        }
        let rows =
            self.session.run(async |line| query.fetch_all(line).await).map_err(database(DOING))?;
        let rows = rows.iter().map(|row| cells(table.columns, row));
        rows.collect::<sqlx::Result<_>>().map_err(database(DOING))
    }

    /// All of it is there: from now on it is a store.
    ///
    /// # Errors
    /// It is none then.
    pub(crate) fn finish(&self, last_rejected: i64) -> Result<(), StoreError> {
        self.session.transact(|| {
            let run = |sql: &str| self.session.batch(sql).map_err(database(DOING));
            if last_rejected > 0 {
                run(&format!(
                    "SELECT setval(pg_get_serial_sequence('amends.rejected', 'number'), {last_rejected})"
                ))?;
            }
            run("UPDATE marks SET name = 'moved' WHERE name = 'moving'")
        })?;
        // The planner knows nothing of what has come at once; a failure of this costs speed alone.
        if let Err(error) = self.session.batch("ANALYZE") {
            tracing::warn!(%error, "the statistics of the database could not be brought up to date");
        }
        Ok(())
    }

    /// What has come can't be used: the next move begins anew.
    ///
    /// # Errors
    /// When it can't be said.
    pub(crate) fn spoil(&self) -> Result<(), StoreError> {
        self.session
            .batch("UPDATE marks SET value = 0 WHERE name = 'moving'")
            .map_err(database(DOING))
    }
}

/// Columns as they are carried.
fn carried(columns: &[(&str, Kind)]) -> String {
    let cast = |(name, kind): &(&str, Kind)| format!("\"{name}\"::{}", kind.carried());
    columns.iter().map(cast).collect::<Vec<_>>().join(", ")
}

fn cells(columns: &[(&str, Kind)], row: &PgRow) -> sqlx::Result<Row> {
    let cell = |(place, (_, kind)): (usize, &(&str, Kind))| {
        Ok(match kind {
            Kind::Number | Kind::Small | Kind::Medium => {
                get::<Option<i64>>(row, place)?.map_or(Cell::Nothing, Cell::Number)
            }
            Kind::Text => get::<Option<String>>(row, place)?.map_or(Cell::Nothing, Cell::Text),
            Kind::Bytes => get::<Option<Vec<u8>>>(row, place)?.map_or(Cell::Nothing, Cell::Bytes),
        })
    };
    columns.iter().enumerate().map(cell).collect()
}

type Asked<'q> = Query<'q, Postgres, PgArguments>;

/// One column of all rows, as an array.
fn bind_column<'q>(query: Asked<'q>, kind: Kind, rows: &[Row], place: usize) -> Asked<'q> {
    let cells = rows.iter().filter_map(|row| row.get(place));
    match kind {
        Kind::Number | Kind::Small | Kind::Medium => {
            let numbers = cells.map(|cell| match cell {
                Cell::Number(number) => Some(*number),
                _ => None,
            });
            query.bind(numbers.collect::<Vec<Option<i64>>>())
        }
        Kind::Text => {
            let texts = cells.map(|cell| match cell {
                Cell::Text(text) => Some(text.clone()),
                _ => None,
            });
            query.bind(texts.collect::<Vec<Option<String>>>())
        }
        Kind::Bytes => {
            let bytes = cells.map(|cell| match cell {
                Cell::Bytes(bytes) => Some(bytes.clone()),
                _ => None,
            });
            query.bind(bytes.collect::<Vec<Option<Vec<u8>>>>())
        }
    }
}
