//! What can stand in the audit as done: each word once, and which of people's acts it tells of.

use crate::{CaseActName, StepActName, StrangerActName};
use amends_protocol::words;

words! {
    /// What an entry of the audit says was done.
    AuditActName, "act of the audit" {
        /// A person approved a step.
        Approve = "approve",
        /// A person had a step, or what is left of a case, tried again.
        Retry = "retry",
        /// A person replaced the data of a step's request.
        Edit = "edit",
        /// A person went without a step.
        Waive = "waive",
        /// A person wrote down what was reached outside.
        Record = "record",
        /// A person had the reports of a case answered anew.
        Replan = "replan",
        /// A person added steps by hand.
        Plan = "plan",
        /// A person closed a case by hand.
        Settle = "settle",
        /// A person answered an open question.
        Answer = "answer",
        /// A person said of a stranger that it is to be left out.
        Ignore = "ignore",
        /// A person said of a stranger that it will be declared.
        Declare = "declare",
        /// A person took back what was said of a stranger.
        Reconsider = "reconsider",
        /// A person mended the rows of a quarantined case.
        Repair = "repair",
        /// A person gave up a quarantined case.
        Discard = "discard",
        /// A version of a rulebook became active.
        Activate = "activate",
        /// A person holds a rule or a rulebook.
        Hold = "hold",
        /// A person released what was held.
        Release = "release",
        /// A person paused a service.
        Pause = "pause",
        /// A person let a service be asked again.
        Resume = "resume",
        /// A person set the limits of a service.
        Limit = "limit",
        /// A bulk act was started, or goes on.
        BulkStart = "bulk_start",
        /// A bulk act was stopped, by a person or by itself.
        BulkStop = "bulk_stop",
        /// A bulk act has come to its end.
        BulkEnd = "bulk_end",
        /// A copy of the store was made.
        Backup = "backup",
        /// A person had a node give back what it holds.
        NodeDrain = "node_drain",
        /// A person let a node take its share again.
        NodeResume = "node_resume",
        /// A token was made.
        TokenMake = "token_make",
        /// A token was revoked.
        TokenRevoke = "token_revoke",
        /// A session was ended.
        SessionEnd = "session_end",
        /// A break-glass token opened the console.
        BreakGlass = "break_glass",
        /// A person had a rejected message of a broker read once more.
        RejectRetry = "reject_retry",
        /// A person removed a rejected message of a broker.
        RejectDiscard = "reject_discard",
        /// A person wanted business data gone for good.
        Erase = "erase",
        /// Business data went for good.
        Erased = "erased",
        /// A word that this version does not know: a newer version wrote it, or somebody who is none of us.
        Unknown = "unknown",
    }
}

impl From<StepActName> for AuditActName {
    fn from(act: StepActName) -> Self {
        match act {
            StepActName::Approve => Self::Approve,
            StepActName::Retry => Self::Retry,
            StepActName::Edit => Self::Edit,
            StepActName::Waive => Self::Waive,
            StepActName::Record => Self::Record,
        }
    }
}

impl From<CaseActName> for AuditActName {
    fn from(act: CaseActName) -> Self {
        match act {
            CaseActName::Retry => Self::Retry,
            CaseActName::Replan => Self::Replan,
            CaseActName::Plan => Self::Plan,
            CaseActName::Settle => Self::Settle,
        }
    }
}

impl From<StrangerActName> for AuditActName {
    fn from(act: StrangerActName) -> Self {
        match act {
            StrangerActName::Ignore => Self::Ignore,
            StrangerActName::Declare => Self::Declare,
            StrangerActName::Reconsider => Self::Reconsider,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_has_the_same_word_in_the_audit_as_where_it_is_asked_for() {
        for act in StepActName::ALL {
            assert_eq!(AuditActName::from(*act).as_str(), act.as_str());
        }
        for act in CaseActName::ALL {
            assert_eq!(AuditActName::from(*act).as_str(), act.as_str());
        }
        for act in StrangerActName::ALL {
            assert_eq!(AuditActName::from(*act).as_str(), act.as_str());
        }
    }
}
