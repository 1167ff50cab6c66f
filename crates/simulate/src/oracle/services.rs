//! The services of one saga, each at work by itself: what they send each other, do, remember and report.

use super::chance::Chance;
use crate::made_up::{Class, Heed, Item, MadeUp};
use amends_protocol::{Evidence, HistoryState, Outcome, Report, ReportData, SagaId, StepId};
use amends_rulebook::{ActionId, Rulebook};
use amends_workbench::is_silent;
use serde_json::Map;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a call without an answer to what is only run again is repeated.
const REPEATS: u32 = 5;

/// What comes back to a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Ok,
    Failed(Option<usize>),
    Fenced,
    Nothing,
}

/// Something under way between or in services.
#[derive(Clone, Copy, Debug)]
pub(super) enum Move {
    /// One of several calls that are made at once, and not the first.
    Begin(usize),
    Arrive(usize),
    Work(usize),
    Answer(usize, Reply),
    /// Its service is back and finds it unfinished.
    Sweep(usize),
    Repeat(usize, u32),
}

/// Which calls an item of `calls:` comes to in this saga.
#[derive(Clone, Debug)]
enum Chosen {
    Times(usize),
    Way(usize),
    These(Vec<bool>),
}

/// One request, known to its own service and to its caller.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) action: usize,
    pub(super) caller: Option<usize>,
    heed: Heed,
    /// Which of the calls of its caller's action it is.
    pub(super) position: usize,
    pub(super) state: Option<HistoryState>,
    /// What its caller knows of it.
    pub(super) call: Option<HistoryState>,
    /// What is really there.
    pub(super) effect: bool,
    pub(super) is_running: bool,
    repeats: Option<u32>,
    pub(super) report: Option<usize>,
    pub(super) reply: Option<Reply>,
    /// How far its work has come: an item of `calls:`, and calls within.
    pub(super) at: (usize, usize),
    /// Calls of this run, in order.
    pub(super) made: Vec<usize>,
    awaits: Vec<usize>,
    chosen: BTreeMap<usize, Chosen>,
    children: BTreeMap<(usize, usize), usize>,
}

/// A failure that comes again however often its request is run again.
#[derive(Clone, Debug)]
pub(super) struct Lasting {
    pub(super) request: usize,
    pub(super) at: (usize, usize),
    pub(super) code: String,
    pub(super) half: bool,
}

/// One saga and what belongs to it.
pub(super) struct Saga<'m> {
    pub(super) made: &'m MadeUp,
    pub(super) book: &'m Rulebook,
    pub(super) chance: Chance,
    pub(super) requests: Vec<Request>,
    pub(super) fences: Vec<bool>,
    pub(super) corrected: Vec<bool>,
    pub(super) remembered: BTreeMap<StepId, Outcome>,
    pub(super) reports: Vec<Arc<Report>>,
    /// What goes on by itself.
    pub(super) moves: Vec<Move>,
    /// What comes late.
    pub(super) late: Vec<Move>,
    /// Reports that were not sent yet.
    pub(super) outbox: Vec<usize>,
    /// The one failure has come.
    pub(super) is_struck: bool,
    pub(super) lasting: Option<Lasting>,
    /// What a retry step runs again: its failure is the answer and no report.
    pub(super) rerun: Option<usize>,
    /// Reports say where the saga began, and who called.
    says_the_way: bool,
    pub(super) story: Vec<String>,
}

impl<'m> Saga<'m> {
    pub(super) fn new(made: &'m MadeUp, book: &'m Rulebook, chance: Chance) -> Self {
        let none = vec![false; made.actions.len()];
        Self {
            made,
            book,
            chance,
            requests: Vec::new(),
            fences: none.clone(),
            corrected: none,
            remembered: BTreeMap::new(),
            reports: Vec::new(),
            moves: Vec::new(),
            late: Vec::new(),
            outbox: Vec::new(),
            is_struck: false,
            lasting: None,
            rerun: None,
            says_the_way: true,
            story: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self) {
        self.says_the_way = !self.chance.once_in(3);
        let entries = self.made.entries();
        let entry = entries[self.chance.below(entries.len())];
        self.new_request(entry, None, Heed::Fails, 0);
        self.moves.push(Move::Arrive(0));
    }

    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        self.story.push(line());
    }

    pub(super) fn name(&self, request: usize) -> String {
        format!("{} (request-{request})", self.made.name(self.requests[request].action))
    }

    /// Lets go on what goes on by itself, in any order, to the end.
    pub(super) fn work(&mut self) {
        while !self.moves.is_empty() {
            let n = self.chance.below(self.moves.len());
            self.happen(n);
        }
    }

    pub(super) fn happen(&mut self, n: usize) {
        match self.moves.remove(n) {
            Move::Begin(request) => self.begin_call(request),
            Move::Arrive(request) => self.arrive(request),
            Move::Work(request) => self.go_on(request),
            Move::Answer(request, reply) => self.answered(request, reply),
            Move::Sweep(request) => self.sweep(request),
            Move::Repeat(request, times) => self.repeat(request, times),
        }
    }

    // ---- calls ----

    fn new_request(
        &mut self,
        action: usize,
        caller: Option<usize>,
        heed: Heed,
        position: usize,
    ) -> usize {
        self.requests.push(Request {
            action,
            caller,
            heed,
            position,
            state: None,
            call: None,
            effect: false,
            is_running: false,
            repeats: None,
            report: None,
            reply: None,
            at: (0, 0),
            made: Vec::new(),
            awaits: Vec::new(),
            chosen: BTreeMap::new(),
            children: BTreeMap::new(),
        });
        self.requests.len() - 1
    }

    fn arrive(&mut self, n: usize) {
        let is_fenced = self.fences[self.requests[n].action];
        match self.requests[n].state {
            None if is_fenced => {
                self.tell_of(n, "is refused");
                self.reply(n, Reply::Fenced);
            }
            None => self.start(n),
            Some(HistoryState::Started) => self.reply(n, Reply::Nothing),
            Some(HistoryState::Succeeded) => self.reply(n, Reply::Ok),
            Some(HistoryState::Failed | HistoryState::Unknown) => {
                self.reply(n, Reply::Failed(self.requests[n].report));
            }
            Some(HistoryState::Compensated | HistoryState::Fenced) => self.reply(n, Reply::Fenced),
        }
    }

    pub(super) fn start(&mut self, n: usize) {
        self.tell_of(n, "is begun");
        let request = &mut self.requests[n];
        request.state = Some(HistoryState::Started);
        request.is_running = true;
        request.reply = None;
        request.at = (0, 0);
        request.made.clear();
        request.awaits.clear();
        self.moves.push(Move::Work(n));
    }

    /// The work on a request, until it waits for a call or has ended.
    fn go_on(&mut self, n: usize) {
        // Of several answers that came at once, each lets it go on.
        if !self.requests[n].is_running {
            return;
        }
        loop {
            if self.requests[n].state != Some(HistoryState::Started) {
                self.tell_of(n, "was barred");
                return self.end(n, Reply::Fenced);
            }
            if !self.requests[n].awaits.is_empty() || self.fails_here(n) {
                return;
            }
            let (item, _) = self.requests[n].at;
            let Some(item) = self.made.actions[self.requests[n].action].items.get(item).cloned()
            else {
                return self.commit(n);
            };
            let calls = self.next_calls(n, &item);
            let first = if calls.len() > 1 { self.chance.below(calls.len()) } else { 0 };
            for (k, call) in calls.into_iter().enumerate() {
                // What is made at once is not begun in the same moment.
                if k != first && self.chance.once_in(3) {
                    self.requests[n].awaits.push(call);
                    self.moves.push(Move::Begin(call));
                } else {
                    self.call(n, call);
                }
            }
        }
    }

    /// The calls that are made next, if any, all at once.
    fn next_calls(&mut self, n: usize, item: &Item) -> Vec<usize> {
        let (at, within) = self.requests[n].at;
        let chosen = match self.requests[n].chosen.get(&at) {
            Some(chosen) => chosen.clone(),
            None => self.choose(item),
        };
        self.requests[n].chosen.insert(at, chosen.clone());
        let next: Vec<(usize, usize, Heed)> = match (item, chosen) {
            (Item::Own, _) => {
                self.requests[n].effect = true;
                Vec::new()
            }
            (Item::Call { to, heed, .. }, Chosen::Times(times)) if within < times => {
                vec![(*to, 0, *heed)]
            }
            (Item::OneOf { ways }, Chosen::Way(way)) if within < ways[way].len() => {
                let before: usize = ways[..way].iter().map(Vec::len).sum();
                vec![(ways[way][within], before + within, Heed::Fails)]
            }
            (Item::Parallel { calls }, Chosen::These(these)) if within == 0 => {
                let all = calls.iter().zip(these).enumerate().filter(|(_, (_, made))| *made);
                all.map(|(k, ((to, _), _))| (*to, k, Heed::Fails)).collect()
            }
            _ => Vec::new(),
        };
        self.requests[n].at = if next.is_empty() { (at + 1, 0) } else { (at, within + 1) };
        let action = &self.made.actions[self.requests[n].action];
        let first: usize = action.items[..at].iter().map(Item::width).sum();
        let mut calls = Vec::new();
        for (k, (to, offset, heed)) in next.into_iter().enumerate() {
            let key = (at, within * 100 + k);
            let child = match self.requests[n].children.get(&key) {
                Some(child) => *child,
                None => self.new_request(to, Some(n), heed, first + offset),
            };
            self.requests[n].children.insert(key, child);
            calls.push(child);
        }
        calls
    }

    fn choose(&mut self, item: &Item) -> Chosen {
        match item {
            Item::Own => Chosen::Times(0),
            Item::Call { times, .. } => {
                let least = usize::from(!times.may_be_none());
                let most = if times.may_be_many() { 3 } else { 1 };
                Chosen::Times(least + self.chance.below(most - least + 1))
            }
            Item::OneOf { ways } => Chosen::Way(self.chance.below(ways.len())),
            Item::Parallel { calls } => {
                let made = calls.iter().map(|(_, optional)| !optional || self.chance.once_in(2));
                Chosen::These(made.collect())
            }
        }
    }

    /// A call that is still to be made, unless its caller has ended meanwhile.
    fn begin_call(&mut self, n: usize) {
        let Some(caller) = self.requests[n].caller else { return };
        if self.requests[caller].awaits.contains(&n) {
            self.requests[caller].awaits.retain(|other| *other != n);
            self.call(caller, n);
        }
    }

    fn call(&mut self, caller: usize, n: usize) {
        self.requests[n].call = Some(HistoryState::Started);
        self.requests[caller].made.push(n);
        if self.requests[n].heed == Heed::Sends {
            self.requests[n].call = Some(HistoryState::Unknown);
            match self.strikes() {
                true => self.tell_of(n, "is a message that is lost"),
                false => self.late.push(Move::Arrive(n)),
            }
            return;
        }
        self.requests[caller].awaits.push(n);
        self.deliver(n);
    }

    fn deliver(&mut self, n: usize) {
        if !self.strikes() {
            return self.moves.push(Move::Arrive(n));
        }
        if self.chance.once_in(2) {
            self.tell_of(n, "is under way for long");
            self.late.push(Move::Arrive(n));
        } else {
            self.tell_of(n, "never arrives");
        }
        self.moves.push(Move::Answer(n, Reply::Nothing));
    }

    // ---- ends ----

    fn commit(&mut self, n: usize) {
        let request = &mut self.requests[n];
        request.state = Some(HistoryState::Succeeded);
        request.effect = true;
        self.tell_of(n, "takes effect");
        let is_lost = self.requests[n].caller.is_some() && self.strikes();
        if is_lost {
            self.tell_of(n, "is answered, and the answer is lost");
        }
        self.end(n, if is_lost { Reply::Nothing } else { Reply::Ok });
    }

    pub(super) fn fail(&mut self, n: usize, code: &str, half: bool, cause: Option<usize>) {
        let request = &mut self.requests[n];
        if request.state != Some(HistoryState::Started) {
            return self.end(n, Reply::Fenced);
        }
        request.effect |= half;
        let half = request.effect;
        request.state = Some(if half { HistoryState::Unknown } else { HistoryState::Failed });
        self.tell_of(n, &format!("fails ({code}){}", if half { ", its effect done" } else { "" }));
        let silent = code == "downstream" && self.is_silent(n);
        if self.rerun != Some(n) && !silent {
            self.publish(n, code, cause);
        }
        self.end(n, Reply::Failed(self.requests[n].report));
    }

    fn end(&mut self, n: usize, reply: Reply) {
        self.requests[n].is_running = false;
        self.requests[n].awaits.clear();
        self.reply(n, reply);
    }

    pub(super) fn reply(&mut self, n: usize, reply: Reply) {
        self.requests[n].reply = Some(reply);
        if self.requests[n].caller.is_some() {
            self.moves.push(Move::Answer(n, reply));
        }
    }

    /// An answer comes to the caller, which may have stopped waiting.
    fn answered(&mut self, n: usize, reply: Reply) {
        let Some(caller) = self.requests[n].caller else { return };
        let waited = self.requests[caller].awaits.contains(&n);
        let repeats = self.requests[n].repeats.take();
        if !waited && repeats.is_none() {
            return;
        }
        self.requests[caller].awaits.retain(|other| *other != n);
        let known = match reply {
            Reply::Ok => HistoryState::Succeeded,
            // The answer says whether it may have had an effect.
            Reply::Failed(_) if self.requests[n].state == Some(HistoryState::Unknown) => {
                HistoryState::Unknown
            }
            Reply::Failed(_) | Reply::Fenced => HistoryState::Failed,
            Reply::Nothing => HistoryState::Unknown,
        };
        self.requests[n].call = Some(known);
        let is_run_again = self.made.actions[self.requests[n].action].is_run_again();
        let again = repeats.unwrap_or(REPEATS);
        let goes_on = reply == Reply::Ok || self.requests[n].heed != Heed::Fails || is_run_again;
        if is_run_again
            && reply == Reply::Nothing
            && again > 0
            && self.requests[n].heed == Heed::Fails
        {
            self.late.push(Move::Repeat(n, again - 1));
        }
        if !waited {
            return;
        }
        if goes_on {
            return self.moves.push(Move::Work(caller));
        }
        let cause = if let Reply::Failed(report) = reply { report } else { None };
        let sent = if reply == Reply::Nothing { self.code_of_sent(caller, n) } else { None };
        self.fail(caller, sent.as_deref().unwrap_or("downstream"), false, cause);
    }

    fn repeat(&mut self, n: usize, times: u32) {
        let caller = self.requests[n].caller.and_then(|caller| self.requests[caller].state);
        match caller {
            Some(HistoryState::Succeeded) => {
                self.tell_of(n, "is called again");
                self.requests[n].repeats = Some(times);
                self.deliver(n);
            }
            Some(HistoryState::Started) => self.late.push(Move::Repeat(n, times)),
            _ => {}
        }
    }

    fn sweep(&mut self, n: usize) {
        let request = &mut self.requests[n];
        if request.state != Some(HistoryState::Started) || request.is_running {
            return;
        }
        request.state = Some(HistoryState::Unknown);
        self.tell_of(n, "is found unfinished");
        if self.requests[n].report.is_none() {
            self.publish(n, "crashed", None);
        }
    }

    fn is_silent(&self, n: usize) -> bool {
        is_silent(self.book, self.book.get(self.id(self.requests[n].action)).service)
    }

    // ---- what is told ----

    fn publish(&mut self, n: usize, code: &str, cause: Option<usize>) {
        let index = self.reports.len();
        let service = self.requests[n].service(self.made);
        let mut history = self.own_requests(&service);
        history.retain(|e| !matches!(e.state, HistoryState::Compensated | HistoryState::Fenced));
        let calls = self.own_calls(&service).into_iter();
        history.extend(calls.map(|call| match call.state {
            HistoryState::Started => Evidence { state: HistoryState::Unknown, ..call },
            _ => call,
        }));
        let name = |request: &Request| self.made.name(request.action);
        let request = &self.requests[n];
        let (named, caller) = (self.says_the_way, request.caller);
        self.reports.push(Arc::new(Report {
            id: format!("report-{index}"),
            source: service,
            saga_id: SagaId::new("saga-1").expect("a valid id"),
            time: None,
            traceparent: None,
            data: ReportData {
                code: code.to_owned(),
                action: Some(format!("a{}", request.action)),
                request_id: Some(id(n)),
                caused_by: cause.iter().map(|n| format!("report-{n}")).collect(),
                history,
                entry: named.then(|| name(&self.requests[0])),
                caller: caller.filter(|_| named).map(|caller| name(&self.requests[caller])),
                message: None,
                data: Map::new(),
            },
        }));
        self.requests[n].report = Some(index);
        self.outbox.push(index);
    }

    fn own_requests(&self, service: &str) -> Vec<Evidence> {
        let own = self.requests.iter().enumerate().filter(|(_, r)| r.service(self.made) == service);
        own.filter_map(|(n, r)| Some(self.evidence(n, r.state?))).collect()
    }

    /// What a service knows of the calls that it made.
    pub(super) fn own_calls(&self, service: &str) -> Vec<Evidence> {
        let is_own = |request: &Request| {
            request.caller.is_some_and(|n| self.requests[n].service(self.made) == service)
        };
        let own = self.requests.iter().enumerate().filter(|(_, request)| is_own(request));
        own.filter_map(|(n, r)| Some(self.evidence(n, r.call?))).collect()
    }

    /// What a service answers when it is asked for its History.
    pub(super) fn history(&self, service: &str) -> Vec<Evidence> {
        let mut all = self.own_requests(service);
        all.extend(self.own_calls(service));
        all
    }

    fn evidence(&self, n: usize, state: HistoryState) -> Evidence {
        let request = &self.requests[n];
        Evidence::new(request.service(self.made), format!("a{}", request.action), id(n), state)
    }

    pub(super) fn tell_of(&mut self, n: usize, what: &str) {
        let name = self.name(n);
        self.tell(|| format!("{name} {what}"));
    }

    /// The number of an action in the rulebook.
    pub(super) fn id(&self, action: usize) -> ActionId {
        let name = self.made.name(action);
        let mut ids = self.book.action_ids();
        ids.find(|id| self.book.get(*id).name.to_string() == name).expect("every action is written")
    }

    /// The action of this name, or the one that it corrects.
    pub(super) fn action_named(&self, name: &str) -> usize {
        let of = |n: &usize| {
            let correction = format!(".correct-{n}");
            self.made.name(*n) == *name
                || (self.made.actions[*n].class == Class::Notice && name.ends_with(&correction))
        };
        (0..self.made.actions.len()).find(of).expect("every action is written")
    }

    /// The requests that are known to be made at one item of a request's work; none: nobody has decided.
    pub(super) fn made_at(&self, n: usize, item: usize) -> Option<Vec<usize>> {
        let request = &self.requests[n];
        request.chosen.get(&item)?;
        let own = request.children.range((item, 0)..(item + 1, 0));
        Some(own.map(|(_, child)| *child).collect())
    }

    /// Whether some calls of an item are still to be made, by what was chosen.
    pub(super) fn still_to_make(&self, n: usize, item: usize, of: &Item) -> Vec<usize> {
        let made = self.made_at(n, item).map_or(0, |made| made.len());
        match (of, self.requests[n].chosen.get(&item)) {
            (Item::Call { to, .. }, Some(Chosen::Times(times))) => {
                vec![*to; times.saturating_sub(made)]
            }
            (Item::OneOf { ways }, Some(Chosen::Way(way))) => {
                ways[*way].iter().skip(made).copied().collect()
            }
            (Item::Parallel { calls }, Some(Chosen::These(these))) if made == 0 => {
                calls.iter().zip(these).filter(|(_, m)| **m).map(|((to, _), _)| *to).collect()
            }
            // What nobody decided about counts as made, once.
            (Item::Call { to, .. }, None) => vec![*to],
            (Item::OneOf { ways }, None) => ways.first().cloned().unwrap_or_default(),
            (Item::Parallel { calls }, None) => calls.iter().map(|(to, _)| *to).collect(),
            _ => Vec::new(),
        }
    }
}

impl Request {
    pub(super) fn heed(&self) -> Heed {
        self.heed
    }

    pub(super) fn service(&self, made: &MadeUp) -> String {
        format!("s{}", made.actions[self.action].service)
    }
}

pub(super) fn id(n: usize) -> String {
    format!("request-{n}")
}
