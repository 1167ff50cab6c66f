//! Random commands from a seed: what a loop, people and upkeep ask of a store, about few enough things that they meet.

use super::sample::{
    FromRow, act, activation, announced, at, attempt, case, report, saga, settled, step, whole,
};
use crate::{
    ActFilter, BulkRow, CaseFilter, CaseOrder, CredentialKind, CredentialRow, FieldValue,
    LookupRequest, RejectedFilter, RejectedRow, StepFilter,
};
use amends_api::{CaseState, ClosedOn, RejectedWay, StepStateName, StuckReason};
use amends_engine::{
    CaseRow, Decision, ErasedRow, ErasureRow, Gone, HoldScope, Note, ReportRole, ReportRow,
    RuleHoldRow, SagaState, ServiceRow, ServiceSettings, StepRow, StepState, StrangerDecision,
    StrangerDecisionRow, Write,
};
use amends_protocol::{ActionName, CaseId, Outcome, ProblemCode, ReportKey, Timestamp, Verb};
use std::collections::BTreeSet;

/// The first case that is looked up; those before it only settle and are pruned.
const LIVE: u64 = 100;
/// So many cases live.
const CASES: u64 = 8;
/// Reports of a case, and steps.
const ROWS: u64 = 4;
const ACTIONS: [&str; 3] = ["payment.pay", "coupon.redeem", "delivery.book"];
const RULEBOOKS: [&str; 2] = ["food-order", "market"];

/// Cases that are there, and reports by case and position.
type Stored = (BTreeSet<u64>, BTreeSet<(u64, u32)>);

/// What a store is asked.
#[derive(Clone, Debug)]
pub enum Command {
    /// Commit these.
    Commit(Vec<Write>),
    /// Look up.
    Find(LookupRequest),
    /// Read all open cases, in pages of so many.
    Open(usize),
    /// Load.
    Load,
    /// Raise the epoch.
    Raise,
    /// What people and upkeep ask.
    Whole(Box<Whole>),
}

/// What only a whole store is asked.
#[derive(Clone, Debug)]
pub enum Whole {
    /// All pages of a list of cases.
    Cases(CaseFilter, u32),
    /// All pages of a list of steps.
    Steps(StepFilter, u32),
    /// One case.
    Case(CaseId),
    /// One step, by case and ordinal; it need not be there.
    Step(StepRow),
    /// All pages of the audit.
    Acts(ActFilter, u32),
    /// Everything that is counted or told as a whole.
    Counts,
    /// All versions of rulebooks, and the names that these cases are planned with.
    Rulebooks(Vec<CaseId>),
    /// All erasures.
    Erasures,
    /// Who holds a value.
    Holding(FieldValue),
    /// Remove cases that were settled before a moment.
    Prune(Timestamp),
    /// Remove entries of the audit that were made before a moment.
    PruneAudit(Timestamp, usize),
    /// Keep a bulk act.
    PutBulk(BulkRow),
    /// Keep a credential.
    PutCredential(CredentialRow),
    /// Forget one.
    DropCredential(CredentialKind, String),
    /// Keep a message of a broker.
    Reject(Box<RejectedRow>),
    /// All pages of them.
    Rejected(RejectedFilter, u32),
    /// Forget one of them.
    ForgetRejected(Box<RejectedRow>),
    /// Remove those of before a moment.
    PruneRejected(Timestamp, usize),
}

/// Makes commands. The same seed makes the same ones.
pub struct Commands {
    random: Random,
    /// Cases that are there.
    cases: BTreeSet<u64>,
    /// Reports that are there, by case and position.
    reports: BTreeSet<(u64, u32)>,
    /// The next case that only settles.
    past: u64,
    erasures: u64,
    rejected: i64,
}

impl Commands {
    /// From a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self {
            random: Random(seed),
            cases: BTreeSet::new(),
            reports: BTreeSet::new(),
            past: 1,
            erasures: 0,
            rejected: 0,
        }
    }

    /// One that a ledger is asked.
    pub fn of_ledger(&mut self) -> Command {
        match self.random.below(10) {
            0 => Command::Load,
            1 => Command::Open(1 + self.random.below(4) as usize),
            2 | 3 => Command::Find(self.lookup()),
            4 if self.random.one_in(6) => Command::Raise,
            _ => Command::Commit(self.writes()),
        }
    }

    /// One that a whole store is asked.
    pub fn of_store(&mut self) -> Command {
        match self.random.one_in(2) {
            true => self.of_ledger(),
            false => Command::Whole(Box::new(self.whole())),
        }
    }

    fn whole(&mut self) -> Whole {
        let limit = 1 + u32::try_from(self.random.below(5)).unwrap_or(0);
        match self.random.below(20) {
            0..4 => Whole::Cases(self.case_filter(), limit),
            4..7 => Whole::Steps(self.step_filter(), limit),
            7 => Whole::Case(CaseId(self.number())),
            8 => Whole::Step(self.step()),
            9 => {
                let one_of = self.random.one_in(2).then(|| CaseId(self.number()));
                Whole::Acts(ActFilter { case: one_of, order: self.order() }, limit)
            }
            10 => Whole::Counts,
            11 => Whole::Rulebooks((LIVE..LIVE + CASES).map(CaseId).collect()),
            12 => Whole::Erasures,
            13 => {
                let value = self.random.of(&["0042", "1250", "ann", "42"]).to_string();
                let paths = vec![self.random.of(&["card.last4", "amount"]).to_string()];
                Whole::Holding(FieldValue { paths, value })
            }
            14 => Whole::Prune(at(self.random.below(self.past + 2), 50)),
            15 => match self.random.one_in(3) {
                true => Whole::PruneAudit(at(9, 1), 1 + self.random.below(3) as usize),
                false => Whole::PutBulk(BulkRow {
                    id: 1 + self.random.below(4),
                    ids: "[1]".to_owned(),
                    state: format!("{{\"n\":{}}}", self.random.below(9)),
                }),
            },
            16 => {
                let kind = *self.random.of(&CredentialKind::ALL);
                let n = u8::try_from(self.random.below(3)).unwrap_or(0);
                let id = format!("id-{n}");
                match self.random.one_in(3) {
                    true => Whole::DropCredential(kind, id),
                    false => Whole::PutCredential(CredentialRow {
                        kind,
                        id,
                        digest: [n + if kind == CredentialKind::Token { 0 } else { 9 }; 32],
                        state: format!("\"{}\"", self.random.below(9)),
                    }),
                }
            }
            17 => Whole::Reject(Box::new(self.rejection())),
            18 => {
                let way = self.random.one_in(2).then_some(RejectedWay::Nats);
                Whole::Rejected(RejectedFilter { way, source: None }, limit)
            }
            _ => match self.random.one_in(2) {
                true => Whole::ForgetRejected(Box::new(self.rejection())),
                false => {
                    let before = self.random.below(1 + self.rejected.unsigned_abs() / 2);
                    Whole::PruneRejected(Timestamp(before.cast_signed() * 10), 2)
                }
            },
        }
    }

    fn number(&mut self) -> u64 {
        LIVE + self.random.below(CASES)
    }

    /// A case that is there; none if none is.
    fn known(&mut self) -> Option<u64> {
        let number = self.number();
        self.cases.range(number..).next().or_else(|| self.cases.iter().next()).copied()
    }

    fn order(&mut self) -> CaseOrder {
        if self.random.one_in(2) { CaseOrder::Newest } else { CaseOrder::Oldest }
    }

    fn lookup(&mut self) -> LookupRequest {
        let key = |n: u64, position: u64| ReportKey {
            source: "payment".into(),
            id: format!("r-{n}-{position}").into(),
        };
        let numbers: Vec<u64> = (0..3).map(|_| self.number()).collect();
        LookupRequest {
            reports: numbers.iter().map(|n| key(*n, self.random.below(ROWS))).collect(),
            sagas: vec![saga(&format!("order-{}", numbers[0]))],
            cases: numbers[1..].iter().copied().map(CaseId).collect(),
            announced: vec![saga(&format!("order-{}", numbers[2])), saga("never")],
            rulebooks: vec![format!("hash-{}", self.random.below(5)).into()],
            needed: vec!["food-order".into()],
            rule_minutes: false,
        }
    }

    fn case_filter(&mut self) -> CaseFilter {
        let mut filter = CaseFilter { order: self.order(), ..CaseFilter::default() };
        match self.random.below(13) {
            0 => filter.state = vec![*self.random.of(CaseState::ALL)],
            1 => filter.state = vec![CaseState::Stuck, CaseState::Open],
            2 => filter.closed_on = vec![*self.random.of(ClosedOn::ALL)],
            3 => filter.saga = Some(saga(&format!("order-{}", self.number()))),
            4 => filter.rulebooks = vec![self.random.of(&RULEBOOKS).to_string()],
            5 => {
                filter.report = Some(self.random.of(&["payment/report-1", "pay*", "*"]).to_string())
            }
            6 => filter.service = Some(self.random.of(&["payment", "coupon", "none"]).to_string()),
            7 => filter.action = Some(self.action()),
            8 => {
                filter.text = Some(self.random.of(&["DECLINED", "order-10", "%", "é"]).to_string())
            }
            9 => filter.opened_after = Some(at(self.number(), 0)),
            10 => filter.opened_before = Some(at(self.number(), 0)),
            11 => filter.among = Some(vec![CaseId(self.number()), CaseId(self.number())]),
            _ => {
                let named = [self.number(), self.number()].map(|n| (at(n, 0), CaseId(n)));
                filter.members = Some(named.to_vec());
            }
        }
        filter
    }

    fn step_filter(&mut self) -> StepFilter {
        let mut filter = StepFilter::default();
        match self.random.below(10) {
            0 => filter.state = vec![*self.random.of(StepStateName::ALL)],
            1 => filter.case = Some(CaseId(self.number())),
            2 => filter.saga = Some(saga(&format!("order-{}", self.number()))),
            3 => filter.service = Some("payment".to_owned()),
            4 => filter.action = Some(self.action()),
            5 => filter.verb = Some(*self.random.of(Verb::ALL)),
            6 => filter.outcome = Some(*self.random.of(Outcome::ALL)),
            7 => filter.reason = Some(*self.random.of(StuckReason::ALL)),
            8 => filter.rulebooks = vec![self.random.of(&RULEBOOKS).to_string()],
            _ => {}
        }
        filter
    }

    fn action(&mut self) -> ActionName {
        self.random.of(&ACTIONS).parse().expect("service.action")
    }

    fn writes(&mut self) -> Vec<Write> {
        let before = (self.cases.clone(), self.reports.clone());
        let mut writes = Vec::new();
        if let (true, Some(n)) = (self.random.one_in(20), self.known()) {
            self.add_removal(n, &mut writes);
        }
        for _ in 0..=self.random.below(4) {
            self.add_write(&mut writes);
        }
        // What is written anew contradicts nothing.
        let is_anew = writes.iter().any(|write| matches!(write, Write::Remove(_)));
        if !is_anew
            && self.random.one_in(8)
            && let Some(wrong) = self.wrong(&before)
        {
            writes.push(wrong);
            (self.cases, self.reports) = before;
        }
        writes
    }

    /// A write that contradicts what is there; none if too little is.
    fn wrong(&mut self, (cases, reports): &Stored) -> Option<Write> {
        let cases: Vec<u64> = cases.iter().copied().collect();
        if cases.is_empty() {
            return None;
        }
        let (n, other) = (*self.random.of(&cases), *self.random.of(&cases));
        match self.random.below(4) {
            0 => {
                let (owner, position) = *reports.iter().find(|(owner, _)| *owner != n)?;
                let place = u32::try_from(ROWS).unwrap_or(4) + 1;
                let stolen = report(owner, position);
                Some(Write::from_report(ReportRow { case: CaseId(n), position: place, ..stolen }))
            }
            1 if n != other => {
                let twin = CaseRow { saga: saga(&format!("order-{other}")), ..case(n) };
                Some(Write::from_case(twin))
            }
            2 => Some(Write::from_case(CaseRow { opened_at: at(n, 5), ..case(n) })),
            _ => None,
        }
    }

    fn add_write(&mut self, writes: &mut Vec<Write>) {
        match self.random.below(16) {
            0 | 1 => {
                let n = self.number();
                writes.push(Write::from_case(self.case(n)));
            }
            2 | 3 => {
                let Some(n) = self.known() else { return };
                let position = u32::try_from(self.random.below(ROWS)).unwrap_or(0);
                let roles = [
                    ReportRole::Rule(1),
                    ReportRole::RuleHeld(7),
                    ReportRole::ByHand,
                    ReportRole::Derived,
                    ReportRole::AwaitsRoot(9),
                    ReportRole::Unmatched,
                    ReportRole::Excess,
                ];
                let role = *self.random.of(&roles);
                self.reports.insert((n, position));
                writes.push(Write::from_report(ReportRow { role, ..report(n, position) }));
            }
            4..7 if !self.cases.is_empty() => writes.push(Write::from_step(self.step())),
            7 if !self.cases.is_empty() => {
                let step = self.step();
                let attempts = 1 + u32::try_from(self.random.below(3)).unwrap_or(0);
                writes.push(Write::from_attempt(attempt(&step, attempts, "timeout")));
            }
            8 => {
                let of = self.known().map(CaseId);
                let mut row = act("waive", of, None);
                row.reason =
                    self.random.of(&["", "Ann (0042) called", "한 번 더"]).to_string().into();
                writes.push(Write::from_act(row));
            }
            9 => {
                let n = self.number();
                let state = *self.random.of(SagaState::ALL);
                writes.push(Write::Saga(Box::new(announced(&format!("order-{n}"), 10, state))));
            }
            10 => writes.push(self.setting()),
            11 => {
                let n = self.random.below(4);
                // A content has one name.
                let name = RULEBOOKS[usize::from(n % 2 == 1)];
                let stored = n.cast_signed() * 100;
                writes.push(activation(name, &format!("hash-{n}"), stored));
            }
            12 if self.random.one_in(2) => {
                writes.extend(whole(settled(self.past)));
                self.past = (self.past + 1).min(LIVE - 1);
            }
            14 if self.random.one_in(3) => self.add_erasure(writes),
            _ => {
                let Some(n) = self.known() else { return };
                writes.push(Write::from_case(self.case(n)));
            }
        }
    }

    /// A case is written anew, with nothing but a report.
    fn add_removal(&mut self, n: u64, writes: &mut Vec<Write>) {
        writes.push(Write::Remove(CaseId(n)));
        self.reports.retain(|(case, _)| *case != n);
        writes.push(Write::from_case(self.case(n)));
        writes.push(Write::from_report(report(n, 0)));
        self.reports.insert((n, 0));
    }

    fn add_erasure(&mut self, writes: &mut Vec<Write>) {
        let Some(n) = self.known() else { return };
        self.erasures += 1;
        writes.push(Write::Erasure(Box::new(ErasureRow {
            number: self.erasures,
            at: at(self.erasures, 0),
            actor: act("any", None, None).actor,
            reason: "asked for by mail".into(),
            field: None,
            sagas: 1,
        })));
        writes.push(Write::Erased(Box::new(ErasedRow {
            erasure: self.erasures,
            saga: saga(&format!("order-{n}")),
            case: Some(CaseId(n)),
            done_at: self.random.one_in(2).then(|| at(n, 500)),
            gone: Gone { fields: 3, bytes: 99, ..Gone::default() },
            values: amends_engine::SecretValues::default(),
        })));
    }

    fn case(&mut self, n: u64) -> CaseRow {
        self.cases.insert(n);
        let state = *self.random.of(CaseState::ALL);
        let is_settled = state == CaseState::Settled;
        let mut row = if is_settled { settled(n) } else { case(n) };
        row.state = state;
        row.updated_at = at(n, 10 + self.random.below(90).cast_signed());
        row.closed_on = is_settled.then(|| *self.random.of(ClosedOn::ALL));
        row.message =
            self.random.of(&[None, Some("카드 거절"), Some("card declined")]).map(Into::into);
        if self.random.one_in(4) {
            row.rulebook = None;
        }
        if self.random.one_in(3) {
            row.extra.notes.push(Note { at: 9, text: "called \"failed\"\u{1}".to_owned() });
        }
        if self.random.one_in(3) {
            row.extra.business.customer = Some("ann".to_owned());
        }
        row
    }

    fn step(&mut self) -> StepRow {
        let n = self.known().unwrap_or(LIVE);
        let ordinal = 1 + u32::try_from(self.random.below(ROWS)).unwrap_or(0);
        // An ordinal keeps its action.
        let action = ACTIONS[ordinal as usize % ACTIONS.len()];
        let due = at(n, 50 + self.random.below(9).cast_signed());
        let states = [
            StepState::Waiting,
            StepState::Due(due),
            StepState::InFlight,
            StepState::Accepted {
                poll_at: due,
                until: at(n, 900),
                location: Some("/jobs/7".into()),
            },
            StepState::Accepted { poll_at: due, until: at(n, 900), location: None },
            StepState::Done(*self.random.of(Outcome::ALL)),
            StepState::Stuck(*self.random.of(StuckReason::ALL)),
            StepState::Superseded,
            StepState::Shadow,
        ];
        let mut row = step(n, ordinal, action, self.random.of(&states).clone());
        row.stage = u16::try_from(self.random.below(3)).unwrap_or(0);
        row.extra.message = self.random.one_in(2).then(|| "busy — später".to_owned());
        row
    }

    fn setting(&mut self) -> Write {
        let decision = || Decision { at: 7, by: "kim".into(), reason: "it refunds twice".into() };
        let is_made = self.random.one_in(2);
        match self.random.below(3) {
            0 => {
                let pause = is_made.then(decision);
                let settings = ServiceSettings { pause, ..ServiceSettings::default() };
                let service = self.random.of(&["payment", "coupon"]).to_string().into();
                Write::Service(Box::new(ServiceRow { service, settings }))
            }
            1 => Write::Stranger(Box::new(StrangerDecisionRow {
                rulebook: RULEBOOKS[0].into(),
                action: self.action(),
                decision: is_made.then(|| StrangerDecision {
                    act: amends_api::StrangerActName::Ignore,
                    decision: decision(),
                }),
            })),
            _ => Write::RuleHold(Box::new(RuleHoldRow {
                scope: HoldScope {
                    rulebook: RULEBOOKS[0].into(),
                    rule: self.random.one_in(2).then(|| "payment/*".into()),
                },
                decision: is_made.then(decision),
            })),
        }
    }

    fn rejection(&mut self) -> RejectedRow {
        self.rejected += 1;
        let n = self.rejected % 7;
        let is_nats = n % 2 == 0;
        RejectedRow {
            id: format!("nats/REPORTS/{n}"),
            way: if is_nats { RejectedWay::Nats } else { RejectedWay::Kafka },
            place: format!("message {n}"),
            source: is_nats.then(|| "payment".to_owned()),
            event_id: None,
            saga: is_nats.then(|| format!("order-{n}")),
            code: ProblemCode::InvalidReport,
            detail: "the data is empty".to_owned(),
            headers: vec![("ce-id".to_owned(), n.to_string())],
            body: vec![0, 255, b'{'],
            cut: false,
            rejected_at: Timestamp(self.rejected * 10),
            sent_at: is_nats.then_some(Timestamp(n)),
        }
    }
}

/// Numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0, less than `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap_or(0)]
    }
}
