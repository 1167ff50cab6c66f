//! What may happen to one request, as one total function of where it stands, whether the fence of its action is up, and
//! what comes. Decides only; the writing is done in the same transaction by `ledger`, on the one writing thread.
//!
//! | stands | arrive | rerun | commit | fail | fail unsure | turn away | compensate | sweep |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | absent | run, refuse | missing, refuse | stray | stray | stray | stray | leave | leave |
//! | running | busy, refuse | busy, refuse | succeeded, refuse | failed, refuse | unknown, refuse | stray, unknown | fenced | leave |
//! | abandoned | busy | run, refuse | stray | stray | stray | stray | fenced | unknown |
//! | succeeded | replay | replay | stray | stray | stray | stray | compensated | leave |
//! | failed | replay | run, refuse | stray | stray | stray | stray | fenced | leave |
//! | unknown | replay | run, refuse | stray | stray | stray | stray | fenced | leave |
//! | compensated | refuse | refuse | refuse | refuse | refuse | leave | leave | leave |
//! | fenced | refuse | refuse | refuse | refuse | refuse | leave | leave | leave |
//!
//! Of two words in a cell, the second holds while the fence of the action is up in the saga. *Absent*: no such request.
//! *Running*: started by this process, which is at work on it. *Abandoned*: started by a process that is gone. *Turn
//! away*: the request was refused its end, and is told so. A word of `HistoryState` in a cell is the state that the
//! request enters. *Run*: it enters `started` and the handler runs. *Stray*: cannot happen unless a second process
//! writes to the file; nothing is written.
//!
//! Compensation puts up the fence in every case. When the undo is refused, the fence is all that it leaves: every
//! request stays where it stands, so that a later compensation finds it there, and the second words hold meanwhile.
//!
//! INVARIANT: no way leads from `fenced` or `compensated` to an effect, nor from anywhere while the fence is up.

use amends_protocol::HistoryState;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Absent,
    Running,
    Abandoned,
    Succeeded,
    Failed,
    Unknown,
    Compensated,
    Fenced,
}

/// Whether the tombstone of an action is up in a saga. It never comes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    Down,
    Up,
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
    /// It was refused its end; whatever its handler did outside of the transaction is done.
    TurnAway,
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
pub(crate) const fn decide(standing: Standing, fence: Fence, event: Event) -> Verdict {
    use Event as E;
    use Fence as F;
    use Standing as S;
    use Verdict as V;
    match (standing, event, fence) {
        (S::Absent, E::Arrive, F::Down) => V::Run,
        (S::Absent, E::Rerun, F::Down) => V::Missing,
        (S::Absent, E::Arrive | E::Rerun, F::Up) => V::Refuse,
        (S::Absent, E::Commit | E::Fail | E::FailUnsure | E::TurnAway, _) => V::Stray,
        (S::Absent, E::Compensate | E::Sweep, _) => V::Leave,

        (S::Running, E::Arrive | E::Rerun, F::Down) => V::Busy,
        (S::Running, E::Commit, F::Down) => V::Enter(HistoryState::Succeeded),
        (S::Running, E::Fail, F::Down) => V::Enter(HistoryState::Failed),
        (S::Running, E::FailUnsure, F::Down) => V::Enter(HistoryState::Unknown),
        (S::Running, E::TurnAway, F::Down) => V::Stray,
        (S::Running, E::Arrive | E::Rerun | E::Commit | E::Fail | E::FailUnsure, F::Up) => {
            V::Refuse
        }
        (S::Running, E::TurnAway, F::Up) => V::Enter(HistoryState::Unknown),
        (S::Running, E::Compensate, _) => V::Enter(HistoryState::Fenced),
        (S::Running, E::Sweep, _) => V::Leave,

        (S::Abandoned, E::Arrive, _) => V::Busy,
        (S::Abandoned, E::Rerun, F::Down) => V::Run,
        (S::Abandoned, E::Rerun, F::Up) => V::Refuse,
        (S::Abandoned, E::Commit | E::Fail | E::FailUnsure | E::TurnAway, _) => V::Stray,
        (S::Abandoned, E::Compensate, _) => V::Enter(HistoryState::Fenced),
        (S::Abandoned, E::Sweep, _) => V::Enter(HistoryState::Unknown),

        (S::Succeeded, E::Arrive | E::Rerun, _) => V::Replay,
        (S::Succeeded, E::Commit | E::Fail | E::FailUnsure | E::TurnAway, _) => V::Stray,
        (S::Succeeded, E::Compensate, _) => V::Enter(HistoryState::Compensated),
        (S::Succeeded, E::Sweep, _) => V::Leave,

        (S::Failed | S::Unknown, E::Arrive, _) => V::Replay,
        (S::Failed | S::Unknown, E::Rerun, F::Down) => V::Run,
        (S::Failed | S::Unknown, E::Rerun, F::Up) => V::Refuse,
        (S::Failed | S::Unknown, E::Commit | E::Fail | E::FailUnsure | E::TurnAway, _) => V::Stray,
        (S::Failed | S::Unknown, E::Compensate, _) => V::Enter(HistoryState::Fenced),
        (S::Failed | S::Unknown, E::Sweep, _) => V::Leave,

        (
            S::Compensated | S::Fenced,
            E::Arrive | E::Rerun | E::Commit | E::Fail | E::FailUnsure,
            _,
        ) => V::Refuse,
        (S::Compensated | S::Fenced, E::TurnAway | E::Compensate | E::Sweep, _) => V::Leave,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDINGS: [Standing; 8] = [
        Standing::Absent,
        Standing::Running,
        Standing::Abandoned,
        Standing::Succeeded,
        Standing::Failed,
        Standing::Unknown,
        Standing::Compensated,
        Standing::Fenced,
    ];
    const EVENTS: [Event; 8] = [
        Event::Arrive,
        Event::Rerun,
        Event::Commit,
        Event::Fail,
        Event::FailUnsure,
        Event::TurnAway,
        Event::Compensate,
        Event::Sweep,
    ];

    fn cell(standing: Standing, event: Event) -> String {
        let word = |fence| match decide(standing, fence, event) {
            Verdict::Enter(state) => state.to_string(),
            other => format!("{other:?}").to_lowercase(),
        };
        match (word(Fence::Down), word(Fence::Up)) {
            (down, up) if down == up => down,
            (down, up) => format!("{down}, {up}"),
        }
    }

    #[test]
    fn the_table_on_the_page_is_the_machine() {
        let mut rows = vec![
            "| stands | arrive | rerun | commit | fail | fail unsure | turn away | compensate | sweep |"
                .to_owned(),
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |".to_owned(),
        ];
        for standing in STANDINGS {
            let cells: Vec<String> = EVENTS.iter().map(|&e| cell(standing, e)).collect();
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
            for (event, fence) in
                EVENTS.into_iter().flat_map(|e| [(e, Fence::Down), (e, Fence::Up)])
            {
                let verdict = decide(standing, fence, event);
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

    #[test]
    fn nothing_begins_or_takes_effect_while_the_fence_is_up() {
        for standing in STANDINGS {
            for event in EVENTS {
                let verdict = decide(standing, Fence::Up, event);
                assert_ne!(verdict, Verdict::Run, "{standing:?} {event:?}");
                assert_ne!(
                    verdict,
                    Verdict::Enter(HistoryState::Succeeded),
                    "{standing:?} {event:?}"
                );
            }
        }
    }
}
