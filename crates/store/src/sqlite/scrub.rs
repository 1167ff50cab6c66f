//! Zeroes the gaps of pages: the places between a page's cell pointers and its cells, which belong to nobody.
//!
//! `secure_delete` overwrites cells that are removed. But where SQLite rebuilds a page because cells have moved to
//! another one, it leaves copies of them in the gap (`rebuildPage`), and an erased row may have left some long before.
//! A gap holds nothing that SQLite reads, so zeros there change nothing (its file format, "B-tree Pages").

use super::connection::{database, file};
use crate::StoreError;
use rusqlite::Connection;
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Every page that holds rows or keys, with its place in the file. Which those are only SQLite knows: others, of long
/// rows and of free room, look like anything.
const PAGES: &str =
    "SELECT pageno, pgoffset, pgsize FROM dbstat WHERE pagetype IN ('leaf', 'internal')";
const DOING: &str = "overwrite what was erased";
/// Set with every erasure, taken back when nothing of it is left in the file.
const MARK: &str = "INSERT INTO marks (name, value) VALUES ('scrub', ?1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/// From now on something is to be scrubbed, or nothing any more; within a transaction, or in one of its own.
pub(crate) fn mark(conn: &Connection, wanted: bool) -> Result<(), StoreError> {
    conn.execute(MARK, [i64::from(wanted)]).map(drop).map_err(database(DOING))
}

/// Whether something is.
pub(crate) fn is_marked(conn: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT ifnull((SELECT value FROM marks WHERE name = 'scrub'), 0)";
    conn.query_row(sql, [], |row| row.get(0)).map_err(database(DOING))
}

/// The store's file, beside SQLite.
///
/// INVARIANT: it stays open as long as the connections do. A process that closes a file gives up all its locks on it,
/// those of SQLite too.
pub(crate) struct Scrubber {
    path: PathBuf,
    file: File,
}

impl Scrubber {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file =
            OpenOptions::new().read(true).write(true).open(path).map_err(file("open", path))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Zeroes all gaps. By the writer, between two commits, when the log has just been cut off: then the file is all
    /// there is, nothing in it changes meanwhile, and no page of it is in two places.
    pub(crate) fn scrub(&self, writer: &Connection) -> Result<(), StoreError> {
        // Its snapshot is the file itself, and while it lasts nobody copies a log into that.
        let snapshot = writer.unchecked_transaction().map_err(database(DOING))?;
        let mut pages = snapshot.prepare(PAGES).map_err(database(DOING))?;
        let mut rows = pages.query([]).map_err(database(DOING))?;
        let (mut page, mut is_changed) = (Vec::new(), false);
        while let Some(row) = rows.next().map_err(database(DOING))? {
            let number: i64 = row.get(0).map_err(database(DOING))?;
            let place: i64 = row.get(1).map_err(database(DOING))?;
            let size: u32 = row.get(2).map_err(database(DOING))?;
            page.resize(size as usize, 0);
            let scrubbed = self.scrub_page(number == 1, place.cast_unsigned(), &mut page);
            is_changed |= scrubbed.map_err(file("scrub", &self.path))?;
        }
        if is_changed {
            self.file.sync_data().map_err(file("sync", &self.path))?;
        }
        drop(rows);
        drop(pages);
        drop(snapshot);
        // What it has in mind of these pages is older than they are, and must not be written again.
        writer.release_memory().map_err(database(DOING))
    }

    fn scrub_page(&self, is_first: bool, place: u64, page: &mut [u8]) -> std::io::Result<bool> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(place))?;
        file.read_exact(page)?;
        let Some(gap) = gap(is_first, page).filter(|gap| page[gap.clone()].iter().any(|b| *b != 0))
        else {
            return Ok(false);
        };
        file.seek(SeekFrom::Start(place + gap.start as u64))?;
        file.write_all(&vec![0; gap.len()])?;
        Ok(true)
    }
}

/// Where a page's gap lies; none of a page that is not as the format says.
fn gap(is_first: bool, page: &[u8]) -> Option<std::ops::Range<usize>> {
    /// The file's own header lies before the first page's.
    const FILE_HEADER: usize = 100;
    let head = if is_first { FILE_HEADER } else { 0 };
    let number = |at: usize| {
        let bytes = page.get(at..at + 2)?;
        Some(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    };
    let pointers = match page.get(head)? {
        2 | 5 => head + 12,
        10 | 13 => head + 8,
        _ => return None,
    };
    let begins = pointers + 2 * number(head + 3)?;
    // 65536 does not fit, and stands there as 0.
    let ends = Some(number(head + 5)?).filter(|content| *content > 0).unwrap_or(1 << 16);
    (begins <= ends && ends <= page.len()).then_some(begins..ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails at its first look, SQLite leaves no copies any more, and none of this is needed.
    #[test]
    fn what_sqlite_leaves_where_rows_moved_away_is_zeroed_and_nothing_else() {
        const VALUE: &str = "4111-geheim-0042";
        let dir = tempfile::TempDir::new().expect("a folder");
        let path = dir.path().join("a.sqlite");
        let count = || {
            let bytes = std::fs::read(&path).expect("reads");
            bytes.windows(VALUE.len()).filter(|window| *window == VALUE.as_bytes()).count()
        };
        let conn = Connection::open(&path).expect("opens");
        let begin = "PRAGMA journal_mode = WAL; PRAGMA secure_delete = ON;
            CREATE TABLE t (k INTEGER PRIMARY KEY, body TEXT NOT NULL);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
            INSERT INTO t SELECT i, substr(hex(zeroblob(25)), 1, i * 7 % 50) FROM n;
            BEGIN";
        conn.execute_batch(begin).expect("runs");
        let mut random = 1_u64;
        for _ in 0..1_500 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (row, times) = ((random >> 33) % 200 + 1, (random >> 45) % 70);
            let body = VALUE.repeat(usize::try_from(times).expect("small"));
            let row = row.cast_signed();
            conn.execute("UPDATE t SET body = ?2 WHERE k = ?1", (row, body)).expect("writes");
        }
        conn.execute_batch("COMMIT; UPDATE t SET body = 'gone ' || k").expect("writes");
        let cut_off = "PRAGMA wal_checkpoint(TRUNCATE)";
        conn.query_row(cut_off, [], |_| Ok(())).expect("cuts off");
        assert!(count() > 0, "copies are left");

        let scrubber = Scrubber::open(&path).expect("opens");
        scrubber.scrub(&conn).expect("scrubs");
        assert_eq!(count(), 0);
        conn.execute("UPDATE t SET body = body || '.'", []).expect("writes");
        conn.query_row(cut_off, [], |_| Ok(())).expect("cuts off");
        assert_eq!(count(), 0, "nothing that was in mind is written again");
        let text = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0));
        assert_eq!(text("PRAGMA integrity_check").expect("reads"), "ok");
        assert_eq!(text("SELECT body FROM t WHERE k = 17").expect("reads"), "gone 17.");
    }

    #[test]
    fn a_gap_lies_between_pointers_and_cells_and_nowhere_in_what_is_no_page() {
        let page = |kind: u8, cells: u8, content: u16| {
            let mut page = vec![7; 512];
            let [high, low] = content.to_be_bytes();
            page[..8].copy_from_slice(&[kind, 0, 0, 0, cells, high, low, 0]);
            page
        };
        assert_eq!(gap(false, &page(13, 3, 400)), Some(14..400));
        assert_eq!(gap(false, &page(5, 3, 400)), Some(18..400));
        for odd in [page(0, 3, 400), page(13, 200, 400), page(13, 3, 600), page(13, 3, 10), vec![]]
        {
            assert_eq!(gap(false, &odd), None);
        }
        let mut first = vec![0; 100];
        first.extend(page(13, 1, 300));
        assert_eq!(gap(true, &first), Some(110..300));
    }
}
