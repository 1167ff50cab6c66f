//! What may happen to one request, as one total function of where it stands and what comes. Decides only; the
//! writing is done in the same transaction by `ledger`, on the one writing thread.
//!
//! | stands | arrive | rerun | commit | fail | fail unsure | compensate | sweep |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | absent | run | missing | stray | stray | stray | leave | leave |
//! | barred | refuse | refuse | stray | stray | stray | leave | leave |
//! | running | busy | busy | succeeded | failed | unknown | fenced | leave |
//! | abandoned | busy | run | stray | stray | stray | fenced | unknown |
//! | succeeded | replay | replay | stray | stray | stray | compensated | leave |
//! | failed | replay | run | stray | stray | stray | fenced | leave |
//! | unknown | replay | run | stray | stray | stray | fenced | leave |
//! | compensated | refuse | refuse | refuse | refuse | refuse | leave | leave |
//! | fenced | refuse | refuse | refuse | refuse | refuse | leave | leave |
//!
//! *Absent*: no such request. *Barred*: none, and the tombstone of its action is up. *Running*: started by this process,
//! which is at work on it. *Abandoned*: started by a process that is gone. A word of `HistoryState` in a cell is the
//! state that the request enters. *Run*: it enters `started` and the handler runs. *Stray*: cannot happen unless a
//! second process writes to the file; nothing is written. Compensation also puts up the tombstone, in every case.
//!
//! INVARIANT: no way leads from `fenced` or `compensated` to an effect.

use amends_protocol::HistoryState;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Absent,
    Barred,
    Running,
    Abandoned,
    Succeeded,
    Failed,
    Unknown,
    Compensated,
    Fenced,
}

impl Standing {
    /// From the stored state and whether this process works on the request.
    pub(crate) const fn of(state: HistoryState, running: bool) -> Self {
        match (state, running) {
            (HistoryState::Started, true) => Self::Running,
            (HistoryState::Started, false) => Self::Abandoned,
            (HistoryState::Succeeded, _) => Self::Succeeded,
            (HistoryState::Failed, _) => Self::Failed,
            (HistoryState::Unknown, _) => Self::Unknown,
            (HistoryState::Compensated, _) => Self::Compensated,
            (HistoryState::Fenced, _) => Self::Fenced,
        }
    }
}

/// What comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A forward request with this id and these contents.
    Arrive,
    /// A `retry` step.
    Rerun,
    /// The handler is done and its effect is about to be committed.
    Commit,
    /// The handler or its effect failed, provably without effect.
    Fail,
    /// It failed and may have left an effect outside of the transaction.
    FailUnsure,
    /// A `compensate` step of its action.
    Compensate,
    /// It has been unfinished for too long.
    Sweep,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Enter `started` and run the handler.
    Run,
    /// Enter this state.
    Enter(HistoryState),
    /// Answer as before.
    Replay,
    /// Answer that it is still running.
    Busy,
    /// Answer that the saga is being undone.
    Refuse,
    /// Answer that there is nothing to run again.
    Missing,
    /// Nothing changes.
    Leave,
    /// Write nothing; somebody else wrote to the file.
    Stray,
}

/// The table of the module's page.
pub(crate) const fn decide(standing: Standing, event: Event) -> Verdict {
    use Event as E;
    use Standing as S;
    use Verdict as V;
    match (standing, event) {
        (S::Absent, E::Arrive) => V::Run,
        (S::Absent, E::Rerun) => V::Missing,
        (S::Absent, E::Commit | E::Fail | E::FailUnsure) => V::Stray,
        (S::Absent, E::Compensate | E::Sweep) => V::Leave,

        (S::Barred, E::Arrive | E::Rerun) => V::Refuse,
        (S::Barred, E::Commit | E::Fail | E::FailUnsure) => V::Stray,
        (S::Barred, E::Compensate | E::Sweep) => V::Leave,

        (S::Running, E::Arrive | E::Rerun) => V::Busy,
        (S::Running, E::Commit) => V::Enter(HistoryState::Succeeded),
        (S::Running, E::Fail) => V::Enter(HistoryState::Failed),
        (S::Running, E::FailUnsure) => V::Enter(HistoryState::Unknown),
        (S::Running, E::Compensate) => V::Enter(HistoryState::Fenced),
        (S::Running, E::Sweep) => V::Leave,

        (S::Abandoned, E::Arrive) => V::Busy,
        (S::Abandoned, E::Rerun) => V::Run,
        (S::Abandoned, E::Commit | E::Fail | E::FailUnsure) => V::Stray,
        (S::Abandoned, E::Compensate) => V::Enter(HistoryState::Fenced),
        (S::Abandoned, E::Sweep) => V::Enter(HistoryState::Unknown),

        (S::Succeeded, E::Arrive | E::Rerun) => V::Replay,
        (S::Succeeded, E::Commit | E::Fail | E::FailUnsure) => V::Stray,
        (S::Succeeded, E::Compensate) => V::Enter(HistoryState::Compensated),
        (S::Succeeded, E::Sweep) => V::Leave,

        (S::Failed | S::Unknown, E::Arrive) => V::Replay,
        (S::Failed | S::Unknown, E::Rerun) => V::Run,
        (S::Failed | S::Unknown, E::Commit | E::Fail | E::FailUnsure) => V::Stray,
        (S::Failed | S::Unknown, E::Compensate) => V::Enter(HistoryState::Fenced),
        (S::Failed | S::Unknown, E::Sweep) => V::Leave,

        (
            S::Compensated | S::Fenced,
            E::Arrive | E::Rerun | E::Commit | E::Fail | E::FailUnsure,
        ) => V::Refuse,
        (S::Compensated | S::Fenced, E::Compensate | E::Sweep) => V::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDINGS: [Standing; 9] = [
        Standing::Absent,
        Standing::Barred,
        Standing::Running,
        Standing::Abandoned,
        Standing::Succeeded,
        Standing::Failed,
        Standing::Unknown,
        Standing::Compensated,
        Standing::Fenced,
    ];
    const EVENTS: [Event; 7] = [
        Event::Arrive,
        Event::Rerun,
        Event::Commit,
        Event::Fail,
        Event::FailUnsure,
        Event::Compensate,
        Event::Sweep,
    ];

    fn cell(verdict: Verdict) -> String {
        match verdict {
            Verdict::Enter(state) => state.to_string(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    #[test]
    fn the_table_on_the_page_is_the_machine() {
        let mut rows = vec![
            "| stands | arrive | rerun | commit | fail | fail unsure | compensate | sweep |"
                .to_owned(),
            "| --- | --- | --- | --- | --- | --- | --- | --- |".to_owned(),
        ];
        for standing in STANDINGS {
            let cells: Vec<String> = EVENTS.iter().map(|&e| cell(decide(standing, e))).collect();
            let name = format!("{standing:?}").to_lowercase();
            rows.push(format!("| {name} | {} |", cells.join(" | ")));
        }
        let written: Vec<&str> = include_str!("history.rs")
            .lines()
            .filter_map(|line| line.strip_prefix("//! |").map(|_| &line[4..]))
            .collect();
        assert_eq!(written, rows);
    }

    #[test]
    fn nothing_that_was_undone_or_fenced_ever_takes_effect() {
        let mut reached = vec![Standing::Compensated, Standing::Fenced];
        let mut next = 0;
        while let Some(&standing) = reached.get(next) {
            next += 1;
            for event in EVENTS {
                let verdict = decide(standing, event);
                assert_ne!(verdict, Verdict::Run, "{standing:?} {event:?}");
                if let Verdict::Enter(state) = verdict {
                    for running in [true, false] {
                        let then = Standing::of(state, running);
                        assert_ne!(then, Standing::Succeeded);
                        if !reached.contains(&then) {
                            reached.push(then);
                        }
                    }
                }
            }
        }
    }
}
