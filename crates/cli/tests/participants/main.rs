//! The participants in other languages are what they say: on either database each passes the conformance kit, survives
//! `kill -9` under a real supervisor, and keeps what no kit sees from outside. Needs what `cargo xtask install` brings.

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "nats")]
mod brokers;
mod conforms;
mod crash;
mod files;
mod reports;
mod rig;
mod wire;

/// Makes a test of each named story for each language on each database.
#[macro_export]
macro_rules! in_each_language_on_each_database {
    ($($story:ident),+ $(,)?) => {
        $crate::stories_of!(python_on_sqlite, Python, Sqlite, $($story),+);
        $crate::stories_of!(python_on_postgres, Python, Postgres, $($story),+);
        $crate::stories_of!(typescript_on_sqlite, TypeScript, Sqlite, $($story),+);
        $crate::stories_of!(typescript_on_postgres, TypeScript, Postgres, $($story),+);
    };
}

/// The same on SQLite alone, for what has nothing to do with the database.
#[macro_export]
macro_rules! in_each_language {
    ($($story:ident),+ $(,)?) => {
        $crate::stories_of!(python, Python, Sqlite, $($story),+);
        $crate::stories_of!(typescript, TypeScript, Sqlite, $($story),+);
    };
}

/// The tests of one language on one database.
#[macro_export]
macro_rules! stories_of {
    ($of:ident, $language:ident, $store:ident, $($story:ident),+) => {
        mod $of {
            use $crate::rig::{Language, Store};
            $(#[test] fn $story() { super::$story(Language::$language, Store::$store) })+
        }
    };
}
