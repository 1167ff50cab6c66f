//! What may happen to one request, as one total function of where it stands, whether the fence of its action is up, and
//! what comes. Decides only; the writing is done in the same transaction by `ledger`, which no other transaction of the
//! saga runs beside.
//!
//! | stands | arrive | rerun | commit | fail | fail unsure | turn away | compensate | sweep |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | absent | run, refuse | missing, refuse | lost | lost | lost | lost | leave | leave |
//! | running | busy, refuse | busy, refuse | succeeded, refuse | failed, refuse | unknown, refuse | lost, unknown | fenced | leave |
//! | elsewhere | busy, refuse | busy, refuse | lost | lost | lost | lost | fenced | leave |
//! | abandoned | busy | run, refuse | lost | lost | lost | lost | fenced | unknown |
//! | succeeded | replay | replay | lost | lost | lost | lost | compensated | leave |
//! | failed | replay | run, refuse | lost | lost | lost | lost | fenced | leave |
//! | unknown | replay | run, refuse | lost | lost | lost | lost | fenced | leave |
//! | compensated | refuse | refuse | refuse | refuse | refuse | leave | leave | leave |
//! | fenced | refuse | refuse | refuse | refuse | refuse | leave | leave | leave |
//!
//! Of two words in a cell, the second holds while the fence of the action is up in the saga. *Absent*: no such request.
//! *Running*: this process is at work on it; for an end (commit, fail, fail unsure, turn away): in this very run.
//! *Elsewhere*: another living process, or another run, is at work on it. *Abandoned*: started, and nobody is at work on
//! it any more. *Turn away*: the request was refused its end, and is told so. A word of `HistoryState` in a cell is the
//! state that the request enters. *Run*: it enters `started` under the next run number and the handler runs. *Lost*: the
//! process was taken for dead and somebody else has decided about its request; it writes nothing, and its caller is
//! answered as if the request came again.
//!
//! A run is a fencing number. Who takes a request over from the dead starts it under the next one, so a process that was
//! only paused finds `elsewhere`, or an end, where it left `running`. As long as nobody has taken it over, nobody was
//! told anything that its commit could belie, and it may commit.
//!
//! Compensation puts up the fence in every case. When the undo is refused, the fence is all that it leaves: every
//! request stays where it stands, so that a later compensation finds it there, and the second words hold meanwhile.
//!
//! INVARIANT: no way leads from `fenced` or `compensated` to an effect, nor from anywhere while the fence is up; and no
//! end is written but by the run that the request is in.

use crate::store::Fence;
use amends_protocol::HistoryState;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Absent,
    Running,
    Elsewhere,
    Abandoned,
    Succeeded,
    Failed,
    Unknown,
    Compensated,
    Fenced,
}

/// Who is at work on a request that is `started`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Who asks.
    Asker,
    /// Somebody else who is alive, or the asker in another run.
    Other,
    Nobody,
}

impl Standing {
    /// From the stored state and who is at work on the request.
    pub(crate) const fn of(state: HistoryState, holder: Holder) -> Self {
        match (state, holder) {
            (HistoryState::Started, Holder::Asker) => Self::Running,
            (HistoryState::Started, Holder::Other) => Self::Elsewhere,
            (HistoryState::Started, Holder::Nobody) => Self::Abandoned,
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
pub(crate) enum RequestEvent {
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
    /// Write nothing; somebody else has decided about the request. Answer as if it came again.
    Lost,
}

/// The table of the module's page.
pub(crate) const fn decide(standing: Standing, fence: Fence, event: RequestEvent) -> Verdict {
    use Fence as F;
    use RequestEvent as E;
    use Standing as S;
    use Verdict as V;
    match (standing, event, fence) {
        (S::Absent, E::Arrive, F::Down) => V::Run,
        (S::Absent, E::Rerun, F::Down) => V::Missing,
        (S::Absent, E::Arrive | E::Rerun, F::Up) => V::Refuse,
        (S::Absent, E::Commit | E::Fail | E::FailUnsure | E::TurnAway, _) => V::Lost,
        (S::Absent, E::Compensate | E::Sweep, _) => V::Leave,

        (S::Running, E::Arrive | E::Rerun, F::Down) => V::Busy,
        (S::Running, E::Commit, F::Down) => V::Enter(HistoryState::Succeeded),
        (S::Running, E::Fail, F::Down) => V::Enter(HistoryState::Failed),
        (S::Running, E::FailUnsure, F::Down) => V::Enter(HistoryState::Unknown),
        (S::Running, E::TurnAway, F::Down) => V::Lost,
        (S::Running, E::Arrive | E::Rerun | E::Commit | E::Fail | E::FailUnsure, F::Up) => {
            V::Refuse
        }
        (S::Running, E::TurnAway, F::Up) => V::Enter(HistoryState::Unknown),
        (S::Running, E::Compensate, _) => V::Enter(HistoryState::Fenced),
        (S::Running, E::Sweep, _) => V::Leave,

        (S::Elsewhere, E::Arrive | E::Rerun, F::Down) => V::Busy,
        (S::Elsewhere, E::Arrive | E::Rerun, F::Up) => V::Refuse,
        (S::Elsewhere, E::Commit | E::Fail | E::FailUnsure | E::TurnAway, _) => V::Lost,
        (S::Elsewhere, E::Compensate, _) => V::Enter(HistoryState::Fenced),
        (S::Elsewhere, E::Sweep, _) => V::Leave,

        (S::Abandoned, E::Arrive, _) => V::Busy,
        (S::Abandoned, E::Rerun, F::Down) => V::Run,
        (S::Abandoned, E::Rerun, F::Up) => V::Refuse,
        (S::Abandoned, E::Commit | E::Fail | E::FailUnsure | E::TurnAway, _) => V::Lost,
        (S::Abandoned, E::Compensate, _) => V::Enter(HistoryState::Fenced),
        (S::Abandoned, E::Sweep, _) => V::Enter(HistoryState::Unknown),

        (S::Succeeded, E::Arrive | E::Rerun, _) => V::Replay,
        (S::Succeeded, E::Commit | E::Fail | E::FailUnsure | E::TurnAway, _) => V::Lost,
        (S::Succeeded, E::Compensate, _) => V::Enter(HistoryState::Compensated),
        (S::Succeeded, E::Sweep, _) => V::Leave,

        (S::Failed | S::Unknown, E::Arrive, _) => V::Replay,
        (S::Failed | S::Unknown, E::Rerun, F::Down) => V::Run,
        (S::Failed | S::Unknown, E::Rerun, F::Up) => V::Refuse,
        (S::Failed | S::Unknown, E::Commit | E::Fail | E::FailUnsure | E::TurnAway, _) => V::Lost,
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

    const STANDINGS: [Standing; 9] = [
        Standing::Absent,
        Standing::Running,
        Standing::Elsewhere,
        Standing::Abandoned,
        Standing::Succeeded,
        Standing::Failed,
        Standing::Unknown,
        Standing::Compensated,
        Standing::Fenced,
    ];
    const EVENTS: [RequestEvent; 8] = [
        RequestEvent::Arrive,
        RequestEvent::Rerun,
        RequestEvent::Commit,
        RequestEvent::Fail,
        RequestEvent::FailUnsure,
        RequestEvent::TurnAway,
        RequestEvent::Compensate,
        RequestEvent::Sweep,
    ];

    fn cell(standing: Standing, event: RequestEvent) -> String {
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
                    for holder in [Holder::Asker, Holder::Other, Holder::Nobody] {
                        let then = Standing::of(state, holder);
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

    #[test]
    fn no_end_is_written_but_by_the_run_that_the_request_is_in() {
        let ends = [
            RequestEvent::Commit,
            RequestEvent::Fail,
            RequestEvent::FailUnsure,
            RequestEvent::TurnAway,
        ];
        for standing in STANDINGS.into_iter().filter(|s| *s != Standing::Running) {
            for (event, fence) in ends.into_iter().flat_map(|e| [(e, Fence::Down), (e, Fence::Up)])
            {
                let verdict = decide(standing, fence, event);
                assert!(!matches!(verdict, Verdict::Enter(_)), "{standing:?} {event:?} {fence:?}");
            }
        }
    }

    #[test]
    fn nothing_that_a_living_process_is_at_work_on_is_swept_or_run_again() {
        for standing in [Standing::Running, Standing::Elsewhere] {
            for fence in [Fence::Down, Fence::Up] {
                assert_eq!(decide(standing, fence, RequestEvent::Sweep), Verdict::Leave);
                for event in [RequestEvent::Arrive, RequestEvent::Rerun] {
                    assert_ne!(decide(standing, fence, event), Verdict::Run);
                }
            }
        }
    }
}
