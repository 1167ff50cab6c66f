//! The chain over the audit: whole through everything that a store does to it.

use super::{
    BackupPlace, Held, Place,
    sample::{FromRow, act, activation, at, case, of_case, whole},
};
use crate::{ActFilter, Archive, AuditEntry, CaseOrder, PageRequest, Store, Upkeep};
use amends_api::audit::{ChainBreak, ChainCheck, ChainLink, ChainReport, ChainedAct, Content};
use amends_engine::{ActRow, Write};
use amends_protocol::CaseId;

async fn oldest_first(store: &impl Store) -> Vec<AuditEntry> {
    let filter = ActFilter { case: None, order: CaseOrder::Oldest };
    let (mut entries, mut page) = (Vec::new(), PageRequest::first(2));
    loop {
        let read = store.acts(filter, page).await.expect("lists");
        entries.extend(read.items);
        let Some(next) = read.next else { return entries };
        page = PageRequest { limit: 2, cursor: Some(next) };
    }
}

fn chained(entry: &AuditEntry) -> ChainedAct {
    let AuditEntry { number, row, .. } = entry;
    let text = |text: Option<&str>| text.map(str::to_owned);
    let content = |text, digest| match entry.is_erased {
        true => Content::Gone(digest),
        false => Content::Text(text),
    };
    ChainedAct {
        number: *number,
        at: row.at,
        actor: row.actor.name.to_string(),
        principal: text(row.actor.principal.as_deref()),
        address: text(row.actor.address.as_deref()),
        act: row.act.to_string(),
        case: row.case.map(|case| case.to_string()),
        step: row.step.map(|step| step.to_string()),
        reason: content(row.reason.to_string(), entry.reason_digest),
        detail: content(row.detail.to_string(), entry.detail_digest),
    }
}

pub(crate) async fn checked(store: &impl Store) -> ChainReport {
    let ends = store.audit_ends().await.expect("reads");
    let mut check = ChainCheck::new(ends.removed, None);
    for entry in oldest_first(store).await {
        check.take(chained(&entry), entry.digest);
    }
    check.finish(ends.written)
}

/// Acts of several batches, of cases and of none; whoever reads what is shown of them comes to the same digests.
pub async fn every_entry_follows_the_one_before(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    assert_eq!(store.audit_ends().await.expect("reads").written, ChainLink::START);
    let mut first = whole(case(1));
    first.push(Write::from_act(act("waive", Some(CaseId(1)), None)));
    first.push(Write::from_act(act("pause", None, None)));
    store.commit(first).await.expect("commits");
    store
        .commit(vec![Write::from_act(act("retry", Some(CaseId(1)), None))])
        .await
        .expect("commits");
    // No entry, no link; and what a refused batch did is in no chain.
    store.commit(vec![activation("food", "h1", 1)]).await.expect("commits");
    let taken = ["order-1", "order-2"].map(|_| Write::from_report(super::sample::report(2, 0)));
    let mut refused = whole(case(2));
    refused
        .extend(whole(amends_engine::CaseRow { saga: super::sample::saga("order-1"), ..case(3) }));
    refused.extend(taken);
    refused.push(Write::from_act(act("lost", None, None)));
    store.commit(refused).await.expect_err("a saga has one case");
    store.commit(vec![Write::from_act(act("resume", None, None))]).await.expect("commits");
    let report = checked(&*store).await;
    assert_eq!((report.broken, report.entries, report.first), (None, 4, Some(1)));
    assert_eq!(report.last, store.audit_ends().await.expect("reads").written);
    let words: Vec<_> = oldest_first(&*store)
        .await
        .iter()
        .map(|entry| (entry.number, entry.row.act.to_string()))
        .collect();
    let word = |number, word: &str| (number, word.to_owned());
    assert_eq!(words, [word(1, "waive"), word(2, "pause"), word(3, "retry"), word(4, "resume")]);
    let of_one = store.acts(of_case(1), PageRequest::default()).await.expect("lists");
    assert_eq!(of_one.items.iter().map(|entry| entry.number).collect::<Vec<_>>(), [3, 1]);
}

/// What goes leaves an anchor, numbers go on, and a younger entry behind an older clock keeps those after it.
pub async fn pruning_the_audit_keeps_its_chain(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for second in [1, 2, 9, 3, 4] {
        let row = ActRow { at: at(second, 0), ..act("retry", Some(CaseId(1)), None) };
        store.commit(vec![Write::from_act(row)]).await.expect("commits");
    }
    let second = oldest_first(&*store).await[1].digest.expect("chained");
    assert_eq!(store.prune_audit(at(4, 0), 1).await.expect("prunes"), 1);
    assert_eq!(store.prune_audit(at(4, 0), 10).await.expect("prunes"), 1, "the third is younger");
    assert_eq!(store.prune_audit(at(4, 0), 10).await.expect("prunes"), 0);
    let ends = store.audit_ends().await.expect("reads");
    assert_eq!(ends.removed, ChainLink { number: 2, digest: second });
    let report = checked(&*store).await;
    assert_eq!((report.broken, report.entries, report.first), (None, 3, Some(3)));

    assert_eq!(store.prune_audit(at(99, 0), 10).await.expect("prunes"), 2, "the newest stays");
    store.commit(vec![Write::from_act(act("waive", None, None))]).await.expect("commits");
    let report = checked(&*store).await;
    assert_eq!((report.broken, report.last.number, report.first), (None, 6, Some(5)));
    let mut without = ChainCheck::new(ChainLink::START, None);
    let rest = oldest_first(&*store).await;
    rest.iter().for_each(|entry| without.take(chained(entry), entry.digest));
    let broken = without.finish(report.last).broken;
    assert_eq!(broken, Some(ChainBreak::Missing(1, 4)), "the anchor is what makes it whole");
}

/// A restored supervisor goes on with the same chain.
pub async fn a_backup_has_the_chain(place: &impl BackupPlace<Store: Store>) {
    let store = Held::of(place).await;
    for word in ["waive", "retry"] {
        store.commit(vec![Write::from_act(act(word, None, None))]).await.expect("commits");
    }
    store.backup(&place.backup_path()).await.expect("backs up");
    let written = store.audit_ends().await.expect("reads").written;
    let other = place.place_of_backup();
    let restored = Held::of(&other).await;
    assert_eq!(restored.audit_ends().await.expect("reads").written, written);
    restored.commit(vec![Write::from_act(act("settle", None, None))]).await.expect("commits");
    let report = checked(&*restored).await;
    assert_eq!((report.broken, report.last.number), (None, 3));
}
