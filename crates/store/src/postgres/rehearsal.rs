//! The upgrade to the next version of the tables, rehearsed while there is none: a process takes itself for a program
//! of that version if it is given the migration that leads there. In tests and benchmarks alone (feature `rehearsal`).

/// Statements as those of a migration, if there are any.
#[cfg(feature = "rehearsal")]
pub(super) fn next() -> Option<&'static str> {
    use std::sync::LazyLock;
    /// The environment names their file.
    static NEXT: LazyLock<Option<String>> = LazyLock::new(|| {
        let file = std::env::var_os("AMENDS_REHEARSED_MIGRATION")?;
        let sql = std::fs::read_to_string(&file);
        Some(sql.unwrap_or_else(|error| panic!("{}: {error}", file.display())))
    });
    NEXT.as_deref()
}

/// What is shipped knows none.
#[cfg(not(feature = "rehearsal"))]
pub(super) const fn next() -> Option<&'static str> {
    None
}
