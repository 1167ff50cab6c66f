//! Asks several stores the same random commands: what one answers, all must. What may differ by right is left out of
//! the answers: salts, epochs, cursors, and where pages end.

use super::commands::{Command, Commands, Whole};
use crate::{
    ActFilter, Batch, CaseFilter, Epoch, HoldingPlace, Ledger, Loaded, LookupResult, OpenPlace,
    PageRequest, Partition, RejectedFilter, RejectedLimits, RowPage, StepFilter, Store, StoreError,
};
use amends_protocol::{Salt, Timestamp};
use std::fmt::Debug;
use std::future::Future;

/// Room for five messages.
const ROOM: RejectedLimits = RejectedLimits { rows: 5, bytes: 1 << 20 };
/// Before all that is settled.
const EVER: Timestamp = Timestamp(0);

/// A store, the epoch in which it is held, and its name in what a test says.
pub struct Asked<S> {
    name: &'static str,
    store: S,
    epoch: Epoch,
}

impl<S: Ledger> Asked<S> {
    /// Of a store that is empty.
    ///
    /// # Panics
    /// When it can't be read.
    pub async fn of(name: &'static str, store: S) -> Self {
        let epoch = store.load().await.expect("an empty store is loaded").epoch;
        Self { name, store, epoch }
    }

    /// The answer of a ledger; none to what only a whole store knows.
    async fn ledger(&mut self, command: &Command) -> Option<String> {
        let store = &self.store;
        Some(match command {
            Command::Commit(writes) => {
                let (writes, epoch) = (writes.clone(), self.epoch);
                let clock = Some(Timestamp(writes.len() as i64));
                said(store.commit(Batch::whole(epoch, writes, clock)).await)
            }
            Command::Find(wanted) => said(store.find(wanted.clone()).await.map(in_order)),
            Command::Load => match store.load().await {
                Ok(loaded) => {
                    self.epoch = loaded.epoch;
                    said(Ok(alike(loaded)))
                }
                Err(error) => said::<()>(Err(error)),
            },
            Command::Open(most) => said(open(store, *most).await),
            Command::Raise | Command::Whole(_) => return None,
        })
    }
}

impl<S: Store> Asked<S> {
    async fn answer(&mut self, command: &Command) -> String {
        if let Some(answer) = self.ledger(command).await {
            return answer;
        }
        match command {
            Command::Raise => {
                let raised = self.store.raise().await;
                if let Ok([lease]) = raised.as_deref() {
                    self.epoch = lease.epoch;
                }
                said(raised.map(|leases| leases.len()))
            }
            Command::Whole(asked) => self.whole(asked).await,
            _ => unreachable!("a ledger has answered"),
        }
    }

    async fn whole(&self, asked: &Whole) -> String {
        let store = &self.store;
        match Whole::clone(asked) {
            Whole::Cases(filter, limit) => said(self.cases(filter, limit).await),
            Whole::Steps(filter, limit) => said(self.steps(filter, limit).await),
            Whole::Case(id) => said(store.case(id).await),
            Whole::Step(row) => said(store.step(row.id).await),
            Whole::Acts(filter, limit) => said(self.acts(filter, limit).await),
            Whole::Counts => {
                let told = (
                    said(store.case_counts().await),
                    said(store.settlements(EVER, 5).await),
                    said(store.audit_ends().await),
                    said(store.bulks(9).await),
                    said(store.credentials().await),
                    said(store.rejected_count().await),
                    said(store.check_writable().await),
                );
                format!("{told:?}")
            }
            Whole::Rulebooks(cases) => {
                let names = said(store.rulebooks_of(cases).await);
                format!("{names} {}", said(store.rulebooks().await))
            }
            Whole::Erasures => said(all(|page| store.erasures(page), 2).await),
            Whole::Holding(field) => {
                let (mut found, mut next) = (Vec::new(), Some(HoldingPlace::Case(0)));
                while let Some(after) = next {
                    match store.holding(field.clone(), after).await {
                        Ok(page) => {
                            found.extend(page.found);
                            next = page.next;
                        }
                        Err(error) => return said::<()>(Err(error)),
                    }
                }
                found.sort_by(|a, b| a.saga.cmp(&b.saga));
                said(Ok(found))
            }
            Whole::Prune(before) => {
                let mut gone = 0;
                loop {
                    match store.prune(before, 100).await {
                        Ok(0) => return said(Ok(gone)),
                        Ok(some) => gone += some,
                        Err(error) => return said::<()>(Err(error)),
                    }
                }
            }
            Whole::PruneAudit(before, most) => said(store.prune_audit(before, most).await),
            Whole::PutBulk(row) => {
                let id = row.id;
                format!("{} {}", said(store.put_bulk(row).await), said(store.bulk(id).await))
            }
            Whole::PutCredential(row) => said(store.put_credential(row).await),
            Whole::DropCredential(kind, id) => said(store.drop_credential(kind, id).await),
            Whole::Reject(row) => said(store.reject(*row, ROOM).await),
            Whole::Rejected(filter, limit) => said(self.rejected(filter, limit).await),
            Whole::ForgetRejected(row) => {
                let one = said(store.rejected_one(row.name()).await);
                format!("{one} {}", said(store.forget_rejected(row.name()).await))
            }
            Whole::PruneRejected(before, most) => said(store.prune_rejected(before, most).await),
        }
    }

    async fn cases(&self, filter: CaseFilter, limit: u32) -> Result<impl Debug, StoreError> {
        all(|page| self.store.cases(filter.clone(), page), limit).await
    }

    async fn steps(&self, filter: StepFilter, limit: u32) -> Result<impl Debug, StoreError> {
        all(|page| self.store.steps(filter.clone(), page), limit).await
    }

    async fn acts(&self, filter: ActFilter, limit: u32) -> Result<impl Debug, StoreError> {
        all(|page| self.store.acts(filter, page), limit).await
    }

    async fn rejected(&self, filter: RejectedFilter, limit: u32) -> Result<impl Debug, StoreError> {
        all(|page| self.store.rejected(filter.clone(), page), limit).await
    }
}

/// Asks two ledgers so many commands.
///
/// # Panics
/// At the first difference, with seed, command and both answers.
pub async fn ledgers_agree(
    seed: u64,
    count: usize,
    one: (&'static str, impl Ledger),
    other: (&'static str, impl Ledger),
) {
    let mut commands = Commands::of(seed);
    let (mut one, mut other) = (Asked::of(one.0, one.1).await, Asked::of(other.0, other.1).await);
    for number in 0..count {
        let command = commands.of_ledger();
        let answers = (one.ledger(&command).await, other.ledger(&command).await);
        let names = (one.name, other.name);
        compare((seed, number), &command, names, &answers);
    }
}

/// Asks two stores so many commands.
///
/// # Panics
/// As [`ledgers_agree`].
pub async fn stores_agree(
    seed: u64,
    count: usize,
    one: (&'static str, impl Store),
    other: (&'static str, impl Store),
) {
    let mut commands = Commands::of(seed);
    let (mut one, mut other) = (Asked::of(one.0, one.1).await, Asked::of(other.0, other.1).await);
    for number in 0..count {
        let command = commands.of_store();
        let answers = (one.answer(&command).await, other.answer(&command).await);
        compare((seed, number), &command, (one.name, other.name), &answers);
    }
}

fn compare<A: PartialEq + Debug>(
    (seed, number): (u64, usize),
    command: &Command,
    names: (&str, &str),
    (one, other): &(A, A),
) {
    if one == other {
        return;
    }
    let (one, other) = (format!("{one:?}"), format!("{other:?}"));
    let alike = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let from = |text: &str| {
        let around = text.bytes().skip(alike.saturating_sub(200)).take(600).collect::<Vec<u8>>();
        String::from_utf8_lossy(&around).into_owned()
    };
    panic!(
        "seed {seed}, command {number}: {command:?}\n\n{}: …{}\n\n{}: …{}",
        names.0,
        from(&one),
        names.1,
        from(&other)
    );
}

/// An answer as text; of an error that tells of the database, that it is one.
fn said<T: Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Err(StoreError::Database { .. }) => "an error of the database".to_owned(),
        told => format!("{told:?}"),
    }
}

/// All pages of a list.
async fn all<T, F: Future<Output = Result<RowPage<T>, StoreError>>>(
    ask: impl Fn(PageRequest) -> F,
    limit: u32,
) -> Result<Vec<T>, StoreError> {
    let (mut items, mut page) = (Vec::new(), PageRequest::first(limit));
    loop {
        let rows = ask(page).await?;
        items.extend(rows.items);
        let Some(next) = rows.next else { return Ok(items) };
        page = PageRequest { limit, cursor: Some(next) };
    }
}

async fn open(store: &impl Ledger, most: usize) -> Result<impl Debug, StoreError> {
    let (mut cases, mut next) = (Vec::new(), Some(OpenPlace::default()));
    while let Some(after) = next {
        let page = store.open(Partition::WHOLE, after, most).await?;
        assert!(page.broken.is_empty(), "{page:?}");
        cases.extend(page.cases);
        next = page.next;
    }
    cases.sort_by_key(|stored| stored.case.id);
    Ok(cases)
}

fn in_order(mut found: LookupResult) -> LookupResult {
    found.cases.sort_by_key(|stored| stored.case.id);
    found.announced.sort_by(|a, b| a.saga.cmp(&b.saga));
    found.rulebooks.sort_by(|a, b| a.hash.cmp(&b.hash));
    found
}

/// Without what is each store's own.
fn alike(mut loaded: Loaded) -> Loaded {
    loaded.epoch = Epoch::default();
    loaded.salt = Salt::NONE;
    loaded.sagas.sort_by(|a, b| (a.deadline, &a.saga).cmp(&(b.deadline, &b.saga)));
    loaded.settings.rulebooks.sort_by(|a, b| a.hash.cmp(&b.hash));
    loaded
}
