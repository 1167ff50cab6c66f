//! The two services: what became of the three requests, who knows of it, and what they answer.

use super::business::Business;
use amends_protocol::{Evidence, HistoryState, Outcome, Report, ReportData, SagaId};

/// The saga of the one history.
pub(super) const SAGA: &str = "s";

/// The request that begins the saga, at service `a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Entry {
    OnTheWay,
    Refused,
    Running,
    Succeeded,
    Failed,
    Undone,
}

/// A request of `a` to `b`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) sent: bool,
    pub(super) on_the_way: bool,
    /// What `b` knows of it.
    pub(super) at_callee: Option<HistoryState>,
    /// What `a` knows of it.
    pub(super) at_caller: Option<HistoryState>,
}

/// Where a report is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Outbox {
    #[default]
    Empty,
    Waiting,
    Gone,
}

/// Everything outside of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Services {
    pub(super) entry: Entry,
    pub(super) calls: [Call; 2],
    pub(super) a_fenced: bool,
    pub(super) b_fenced: bool,
    pub(super) report_of_a: Outbox,
    pub(super) reports_of_b: [Outbox; 2],
    pub(super) end_said: bool,
    fences_leak: bool,
    entry_can_be_undone: bool,
}

/// A service's answer to a compensation.
pub(super) enum Said {
    Ended(Outcome),
    /// The request is being worked on.
    Busy,
}

impl Services {
    pub(super) fn new(business: &Business) -> Self {
        Self {
            entry: Entry::OnTheWay,
            calls: [Call::default(); 2],
            a_fenced: false,
            b_fenced: false,
            report_of_a: Outbox::Empty,
            reports_of_b: [Outbox::Empty; 2],
            end_said: false,
            fences_leak: business.fences_leak,
            entry_can_be_undone: business.entry_can_be_undone,
        }
    }

    pub(super) fn entry_arrives(&mut self) {
        self.entry = if self.a_fenced { Entry::Refused } else { Entry::Running };
    }

    /// Whether `a` waits for an answer.
    fn waits(&self) -> bool {
        self.calls.iter().any(|call| call.at_caller == Some(HistoryState::Started))
    }

    pub(super) fn may_call(&self, n: usize) -> bool {
        let before_has_ended = n == 0 || self.calls[n - 1].sent;
        self.entry == Entry::Running && !self.calls[n].sent && before_has_ended && !self.waits()
    }

    pub(super) fn call(&mut self, n: usize) {
        self.calls[n] = Call {
            sent: true,
            on_the_way: true,
            at_callee: None,
            at_caller: Some(HistoryState::Started),
        };
    }

    pub(super) fn call_arrives(&mut self, n: usize, succeeds: bool) {
        let refused = self.b_fenced && !self.fences_leak;
        let call = &mut self.calls[n];
        call.on_the_way = false;
        let state =
            if succeeds && !refused { HistoryState::Succeeded } else { HistoryState::Failed };
        if !refused {
            call.at_callee = Some(state);
        }
        if call.at_caller == Some(HistoryState::Started) {
            call.at_caller = Some(state);
        }
        if !refused && state == HistoryState::Failed {
            self.reports_of_b[n] = Outbox::Waiting;
        }
    }

    pub(super) fn may_end(&self) -> bool {
        self.entry == Entry::Running && !self.waits()
    }

    /// It succeeds if its last call did; else it fails and reports.
    pub(super) fn ends(&mut self) {
        let last = self.calls.iter().rev().find(|call| call.sent);
        let succeeds = last.is_some_and(|call| call.at_caller == Some(HistoryState::Succeeded));
        self.entry = if succeeds { Entry::Succeeded } else { Entry::Failed };
        if !succeeds {
            self.report_of_a = Outbox::Waiting;
        }
    }

    /// Whoever began it may say that the saga has ended once each of its calls was answered.
    pub(super) fn may_say_the_end(&self) -> bool {
        let answered = |call: &Call| {
            matches!(call.at_caller, None | Some(HistoryState::Succeeded | HistoryState::Failed))
        };
        let has_ended = matches!(self.entry, Entry::Succeeded | Entry::Failed | Entry::Undone);
        has_ended && !self.end_said && self.calls.iter().all(answered)
    }

    pub(super) fn compensate(&mut self, service: &str) -> Said {
        if service == "a" { self.undo_entry() } else { Said::Ended(self.undo_calls()) }
    }

    fn undo_entry(&mut self) -> Said {
        if self.entry == Entry::Running {
            return Said::Busy;
        }
        self.a_fenced = true;
        Said::Ended(match self.entry {
            Entry::Succeeded => {
                self.entry = Entry::Undone;
                Outcome::Compensated
            }
            Entry::Undone => Outcome::AlreadyCompensated,
            Entry::OnTheWay | Entry::Refused | Entry::Running | Entry::Failed => {
                Outcome::NothingToCompensate
            }
        })
    }

    fn undo_calls(&mut self) -> Outcome {
        self.b_fenced = true;
        let (mut undone, mut was_undone) = (false, false);
        for call in &mut self.calls {
            match call.at_callee {
                Some(HistoryState::Succeeded) => {
                    call.at_callee = Some(HistoryState::Compensated);
                    undone = true;
                }
                Some(HistoryState::Compensated) => was_undone = true,
                Some(HistoryState::Failed) => call.at_callee = Some(HistoryState::Fenced),
                _ => {}
            }
        }
        match (undone, was_undone) {
            (true, _) => Outcome::Compensated,
            (false, true) => Outcome::AlreadyCompensated,
            (false, false) => Outcome::NothingToCompensate,
        }
    }

    /// Actions of which an effect stands, that could be undone.
    pub(super) fn standing(&self) -> Vec<&'static str> {
        let mut standing = Vec::new();
        if self.entry == Entry::Succeeded && self.entry_can_be_undone {
            standing.push("a.x");
        }
        if self.calls.iter().any(|call| call.at_callee == Some(HistoryState::Succeeded)) {
            standing.push("b.y");
        }
        standing
    }

    /// What a service's History tells.
    pub(super) fn history(&self, service: &str) -> Vec<Evidence> {
        if service == "a" { self.told_by_a() } else { self.told_by_b() }
    }

    fn told_by_a(&self) -> Vec<Evidence> {
        let own = match self.entry {
            Entry::OnTheWay | Entry::Refused => None,
            Entry::Running => Some(HistoryState::Started),
            Entry::Succeeded => Some(HistoryState::Succeeded),
            Entry::Failed if self.a_fenced => Some(HistoryState::Fenced),
            Entry::Failed => Some(HistoryState::Failed),
            Entry::Undone => Some(HistoryState::Compensated),
        };
        let own = own.map(|state| evidence("a", "x", "x-0", state));
        let calls = self.calls.iter().zip(CALLS);
        let told = calls.filter_map(|(call, id)| Some(evidence("b", "y", id, call.at_caller?)));
        own.into_iter().chain(told).collect()
    }

    /// The calls of `a` that may have had an effect, as the answer to its compensation tells them.
    pub(super) fn calls_of(&self, service: &str) -> Vec<Evidence> {
        let mut told = if service == "a" { self.told_by_a() } else { Vec::new() };
        told.retain(|one| one.name().to_string() == "b.y" && one.state.may_have_effect());
        told
    }

    fn told_by_b(&self) -> Vec<Evidence> {
        let calls = self.calls.iter().zip(CALLS);
        calls.filter_map(|(call, id)| Some(evidence("b", "y", id, call.at_callee?))).collect()
    }

    pub(super) fn report_by_a(&self) -> Report {
        report("a", "a-0", "x", self.told_by_a())
    }

    pub(super) fn report_by_b(&self, n: usize) -> Report {
        let mut own = self.told_by_b();
        own.retain(|evidence| evidence.request_id.as_deref() == Some(CALLS[n]));
        report("b", ["b-0", "b-1"][n], "y", own)
    }
}

const CALLS: [&str; 2] = ["y-0", "y-1"];

fn evidence(service: &str, action: &str, request: &str, state: HistoryState) -> Evidence {
    Evidence::new(service.to_owned(), action.to_owned(), request, state)
}

fn report(source: &str, id: &str, action: &str, history: Vec<Evidence>) -> Report {
    let data = ReportData {
        code: "failed".to_owned(),
        action: Some(action.to_owned()),
        history,
        ..ReportData::default()
    };
    Report {
        id: id.to_owned(),
        source: source.to_owned(),
        saga_id: SagaId::new(SAGA).unwrap_or_else(|_| unreachable!("printable")),
        time: None,
        traceparent: None,
        data,
    }
}
