//! Planned faults: what each is called, where it strikes, and how often it is drawn. It plans nothing and has no
//! randomness; which faults there are is each business's own list.
//!
//! A fault travels in the order's `fault` field down the chain of calls. Each service looks for its own faults there
//! and does what the plan says, or its door does; an order without the field is an ordinary one. Some are done to a
//! service from outside, by the runner, while the order that carries them is under way.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How often a fault that passes strikes before it is over: once on the way forward, once at the first retry.
pub const PASSING_STRIKES: u32 = 2;

/// One kind of planned fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultKind {
    /// The word in the order and in the summary.
    pub word: &'static str,
    /// Who lets it strike.
    pub by: By,
    /// How often it is drawn. Faults that hit bystanders too, because a whole process goes down, are rarer.
    pub weight: u32,
    /// Where it strikes, for people.
    pub explanation: &'static str,
}

/// Who lets a fault strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The service's own code.
    Service,
    /// The door of this service: the work is done, and the answer becomes a bare 500.
    BrokenAnswer(&'static str),
    /// The door of this service: the work is done, and the connection breaks instead of an answer.
    LostAnswer(&'static str),
    /// The door of this service: the connection breaks before the service has the request, which arrives all the same
    /// when the compensation of its action has been there.
    Late(&'static str),
    /// The runner: this service is killed and comes back when the order was answered.
    Down(&'static str),
    /// The runner: this service answers 503 to everybody until the order was answered.
    Closed(&'static str),
}

/// Makes the list of a business's faults: variant, word, what the order must be like, weight, who, and where it
/// strikes.
macro_rules! faults {
    ($need_type:ty; $($variant:ident = $word:literal, $need:expr, $weight:literal, $by:expr, $strikes:literal;)+) => {
        /// What the plan lets go wrong with one order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum Fault { $(#[doc = $strikes] #[serde(rename = $word)] $variant),+ }

        impl Fault {
            /// The whole list, in its order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// What the demo knows of it.
            #[must_use]
            pub const fn kind(self) -> &'static $crate::faults::FaultKind {
                match self {
                    $(Self::$variant => &$crate::faults::FaultKind {
                        word: $word, by: $by, weight: $weight, explanation: $strikes,
                    }),+
                }
            }

            /// All that the demo knows of them.
            #[must_use]
            pub fn kinds() -> Vec<&'static $crate::faults::FaultKind> {
                Self::ALL.iter().map(|fault| fault.kind()).collect()
            }

            /// What an order must be like for this fault to make sense.
            #[must_use]
            pub const fn need(self) -> $need_type {
                match self { $(Self::$variant => $need),+ }
            }

            /// The fault that the demo knows as this.
            #[must_use]
            pub fn of(kind: &$crate::faults::FaultKind) -> Option<Self> {
                Self::ALL.iter().copied().find(|fault| fault.kind() == kind)
            }
        }
    };
}
pub(crate) use faults;

/// Counts how often a passing fault has struck, per saga. It is kept in a file, so that a fault that has passed stays
/// passed when its service is killed and restarted.
#[derive(Debug)]
pub struct Strikes {
    counted: Mutex<(HashMap<String, u32>, File)>,
}

impl Strikes {
    /// Counts on from what `path` says; makes the file if it isn't there.
    ///
    /// # Errors
    /// When the file can't be read or written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut lines = String::new();
        file.read_to_string(&mut lines)?;
        let mut counts = HashMap::new();
        for saga in lines.lines() {
            *counts.entry(saga.to_owned()).or_default() += 1;
        }
        Ok(Self { counted: Mutex::new((counts, file)) })
    }

    /// Whether a fault that strikes [`PASSING_STRIKES`] times strikes now.
    pub fn strikes(&self, saga: &str) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let (counts, file) = &mut *counted;
        let count = counts.entry(saga.to_owned()).or_default();
        if *count >= PASSING_STRIKES {
            return false;
        }
        *count += 1;
        // One short write, so that a kill leaves a whole line or none. If it fails, the fault may strike once more.
        let _ = file.write_all(format!("{saga}\n").as_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_fault_strikes_twice_per_saga_and_stays_over_after_a_restart() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("strikes");
        let strikes = Strikes::open(&path).expect("a new file");
        assert_eq!([1, 2, 3].map(|_| strikes.strikes("a")), [true, true, false]);
        assert!(strikes.strikes("b"));
        drop(strikes);
        let strikes = Strikes::open(&path).expect("the same file");
        assert_eq!(
            [strikes.strikes("a"), strikes.strikes("b"), strikes.strikes("b")],
            [false, true, false]
        );
    }
}
