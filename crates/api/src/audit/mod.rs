//! The hash chain over the audit: what an entry's digest covers, and the check that finds the first entry that is not
//! as it was written. Pure; docs/guides/audit.md tells how others can check it by themselves.

mod check;
mod digest;
mod words;

pub use check::{ChainBreak, ChainCheck, ChainReport};
pub use digest::{ActDigest, ChainLink, ChainedAct, Content};
pub use words::AuditActName;
