//! Lists for people: pages that hold still, and filters that filter.

use super::{
    Held, Place,
    sample::{FromRow, at, case, done, saga, settled, step, whole},
};
use crate::{
    Archive, CaseFilter, CaseOrder, ListedCase, PageRequest, RowPage, StepFilter, Store, StoreError,
};
use amends_api::{Amount, CaseState, ClosedOn, StepStateName, StuckReason};
use amends_engine::{Business, CaseExtra, CaseRow, RulebookRef, StepRow, StepState, Write};
use amends_protocol::{CaseId, Outcome, Timestamp, Verb};

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

async fn case_ids(store: &Held<impl Store>, filter: CaseFilter) -> Vec<u64> {
    let page = store.cases(filter, PageRequest::default()).await.expect("lists");
    page.items.iter().map(|listed| listed.case.id.0).collect()
}

async fn found_steps(store: &Held<impl Store>, filter: StepFilter) -> Vec<(u64, u32)> {
    let page = store.steps(filter, PageRequest::default()).await.expect("lists");
    page.items.iter().map(|l| (l.step.id.case.0, l.step.id.ordinal)).collect()
}

fn after<T>(page: &RowPage<T>, limit: u32) -> Option<PageRequest> {
    page.next.clone().map(|cursor| PageRequest { limit, cursor: Some(cursor) })
}

/// Going through the pages shows every case that was there at the beginning, once, newest first, although new cases
/// come and old ones change in between.
pub async fn pages_cover_all_cases_while_new_ones_come(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for n in 1..=7 {
        store.commit(whole(if n % 2 == 0 { settled(n) } else { case(n) })).await.expect("commits");
    }
    let filters = [
        (CaseFilter::default(), vec![7, 6, 5, 4, 3, 2, 1]),
        (CaseFilter { state: vec![CaseState::Open], ..CaseFilter::default() }, vec![7, 5, 3, 1]),
    ];
    let mut newest = 7;
    for (filter, expected) in filters {
        let mut seen = Vec::new();
        let mut next = Some(PageRequest::first(2));
        while let Some(request) = next {
            let page = store.cases(filter.clone(), request).await.expect("lists");
            assert!(page.items.len() <= 2);
            seen.extend(page.items.iter().map(|listed| listed.case.id.0).filter(|&id| id <= 7));
            next = after(&page, 2);
            newest += 1;
            store.commit(whole(case(newest))).await.expect("commits");
            store
                .commit(vec![Write::from_case(CaseRow { updated_at: at(99, 0), ..case(1) })])
                .await
                .expect("commits");
        }
        // The second round begins with the cases that came during the first.
        assert_eq!(seen, expected);
    }
}

/// A clock that was wrong for a while, forth or back, hides nothing: lists go by time and have every case once.
pub async fn a_wrong_clock_hides_nothing(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let dated = |n, opened_at| CaseRow { opened_at, ..case(n) };
    let (future, past) = (at(1_000_000_000, 0), Timestamp(-7));
    let rows = [case(1), dated(2, future), settled(3), case(4), dated(5, past), dated(6, at(4, 0))];
    for row in rows {
        store.commit(whole(row)).await.expect("commits");
    }
    let all = CaseFilter::default;
    let stories = [
        (all(), vec![2, 6, 4, 3, 1, 5]),
        (CaseFilter { state: vec![CaseState::Open], ..all() }, vec![2, 6, 4, 1, 5]),
        (CaseFilter { report: Some("payment/*".to_owned()), ..all() }, vec![2, 6, 4, 3, 1, 5]),
        (CaseFilter { opened_after: Some(at(3, 0)), ..all() }, vec![2, 6, 4, 3]),
        (CaseFilter { opened_before: Some(at(4, 0)), ..all() }, vec![3, 1, 5]),
        (
            CaseFilter { opened_after: Some(at(1, 0)), opened_before: Some(future), ..all() },
            vec![6, 4, 3, 1],
        ),
    ];
    for (filter, newest) in stories {
        let mut oldest = newest.clone();
        oldest.reverse();
        for (order, expected) in [(CaseOrder::Newest, newest), (CaseOrder::Oldest, oldest)] {
            let filter = CaseFilter { order, ..filter.clone() };
            assert_eq!(case_ids(&store, filter.clone()).await, expected, "{filter:?}");
            let (mut seen, mut next) = (Vec::new(), Some(PageRequest::first(1)));
            while let Some(request) = next {
                let page = store.cases(filter.clone(), request).await.expect("lists");
                seen.extend(page.items.iter().map(|listed| listed.case.id.0));
                next = after(&page, 1);
            }
            assert_eq!(seen, expected, "page by page: {filter:?}");
        }
    }
    let unfinished = StepFilter { state: vec![StepStateName::InFlight], ..StepFilter::default() };
    let everything = [2, 6, 4, 3, 1, 5].iter().flat_map(|&n| [(n, 2), (n, 1)]).collect();
    let open_only = [2, 6, 4, 1, 5].map(|n| (n, 2)).to_vec();
    for (filter, expected) in [(StepFilter::default(), everything), (unfinished, open_only)] {
        let (mut seen, mut next) = (Vec::new(), Some(PageRequest::first(1)));
        while let Some(request) = next {
            let page = store.steps(filter.clone(), request).await.expect("lists");
            seen.extend(page.items.iter().map(|l| (l.step.id.case.0, l.step.id.ordinal)));
            next = after(&page, 1);
        }
        assert_eq!(seen, expected);
        assert_eq!(found_steps(&store, filter).await, expected);
    }
}

/// No limit, however wild, gives an empty or endless page.
pub async fn limits_are_kept_within_bounds(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let batch: Vec<_> = (1..=502).map(|n| Write::from_case(case(n))).collect();
    store.commit(batch).await.expect("commits");
    for (limit, rows) in [(0, 1), (1, 1), (500, 500), (u32::MAX, 500)] {
        let page =
            store.cases(CaseFilter::default(), PageRequest::first(limit)).await.expect("lists");
        assert_eq!(page.items.len(), rows, "limit {limit}");
        assert!(page.next.is_some());
    }
    let page = store.cases(CaseFilter::default(), PageRequest::first(500)).await.expect("lists");
    let rest = after(&page, 500).expect("two are left");
    let rest = store.cases(CaseFilter::default(), rest).await.expect("lists");
    assert_eq!(rest.items.iter().map(|listed| listed.case.id.0).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(rest.next, None);
}

/// A cursor that this list didn't give out is an error that says so, never a wrong page.
pub async fn a_foreign_cursor_is_refused(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for n in 1..=2 {
        store.commit(whole(case(n))).await.expect("commits");
    }
    let page = store.steps(StepFilter::default(), PageRequest::first(1)).await.expect("lists");
    let of_steps = page.next.expect("more than one step");
    for cursor in [
        of_steps.as_str(),
        "",
        "c",
        "c1",
        "c-1.1",
        "c+1.1",
        "c.",
        "c1.",
        "c1.2.3",
        "cffffffffffffffffffff.1",
        "c1.1; DROP TABLE cases",
    ] {
        let request = PageRequest { limit: 5, cursor: Some(cursor.to_owned()) };
        let error = store.cases(CaseFilter::default(), request).await.expect_err(cursor);
        assert!(
            matches!(&error, StoreError::BadCursor { cursor: shown } if shown == cursor),
            "{error}"
        );
    }
}

fn amount(text: &str) -> Option<Amount> {
    Some(text.parse().expect("an amount"))
}

/// What a case is about to the business.
fn about(customer: &str, amounts: &[(&str, &str)]) -> CaseExtra {
    let order = amounts.iter().map(|(text, currency)| {
        format!("{currency}:{}", amount(text).expect("an amount").sort_key())
    });
    let business = Business {
        customer: Some(customer.to_owned()),
        order: order.collect(),
        ..Business::default()
    };
    CaseExtra { business, ..CaseExtra::default() }
}

/// By whom a case concerns and how much it is about: one amount has to meet all that is said of amounts.
fn by_business() -> Vec<(CaseFilter, Vec<u64>)> {
    let all = CaseFilter::default;
    let text = |text: &str| Some(text.to_owned());
    vec![
        (CaseFilter { customer: text("c-7"), ..all() }, vec![2]),
        (CaseFilter { currency: text("EUR"), ..all() }, vec![3, 2]),
        (CaseFilter { amount_min: amount("12.5"), ..all() }, vec![2]),
        (CaseFilter { amount_max: amount("0"), ..all() }, vec![3]),
        (CaseFilter { amount_min: amount("100"), currency: text("EUR"), ..all() }, vec![]),
    ]
}

/// Cases that differ in all that lists can be asked for.
async fn with_five_cases(store: &Held<impl Store>) {
    let book = |name: &str| Some(RulebookRef { name: name.into(), hash: "h".into() });
    let rows = [
        CaseRow { rulebook: book("travel"), message: Some("100% Lost_it".into()), ..case(1) },
        CaseRow {
            report: "payment/report-10".into(),
            message: None,
            extra: about("c-7", &[("12.5", "EUR"), ("900", "JPY")]),
            ..case(2)
        },
        CaseRow {
            report: "paymentx/report-1".into(),
            state: CaseState::Stuck,
            extra: about("c-8", &[("-3", "EUR")]),
            ..case(3)
        },
        CaseRow {
            report: "delivery/late".into(),
            state: CaseState::Unmatched,
            rulebook: None,
            ..case(4)
        },
        settled(5),
    ];
    for row in rows {
        store.commit(whole(row)).await.expect("commits");
    }
    store.commit(vec![Write::from_step(done(4, 3, "rider.match"))]).await.expect("commits");
}

/// Each field of the filter narrows the list by itself, and two narrow it together.
pub async fn every_case_filter_does_its_part(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    with_five_cases(&store).await;
    let all = CaseFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let stories = [
        (all(), vec![5, 4, 3, 2, 1]),
        (CaseFilter { state: vec![CaseState::Open], ..all() }, vec![2, 1]),
        (
            CaseFilter {
                state: vec![CaseState::Unmatched, CaseState::Stuck, CaseState::Stuck],
                ..all()
            },
            vec![4, 3],
        ),
        (CaseFilter { state: vec![CaseState::Settled, CaseState::Stuck], ..all() }, vec![5, 3]),
        (CaseFilter { saga: Some(saga("order-2")), ..all() }, vec![2]),
        (CaseFilter { rulebooks: names(&["travel", "nobody"]), ..all() }, vec![1]),
        (CaseFilter { report: text("payment/report-1"), ..all() }, vec![5, 1]),
        (CaseFilter { report: text("payment/*"), ..all() }, vec![5, 2, 1]),
        (CaseFilter { report: text("Payment/*"), ..all() }, vec![]),
        (CaseFilter { service: text("rider"), ..all() }, vec![4]),
        (CaseFilter { service: text("delivery"), ..all() }, vec![4]),
        (CaseFilter { action: "rider.match".parse().ok(), ..all() }, vec![4]),
        (CaseFilter { action: "rider.pay".parse().ok(), ..all() }, vec![]),
        (CaseFilter { text: text("ORDER-3"), ..all() }, vec![3]),
        (CaseFilter { text: text("0% lost_"), ..all() }, vec![1]),
        (CaseFilter { text: text("1_0"), ..all() }, vec![]),
        (CaseFilter { text: text("' OR ''='"), ..all() }, vec![]),
        (CaseFilter { opened_after: Some(at(4, 0)), ..all() }, vec![5, 4]),
        (CaseFilter { opened_before: Some(at(4, 0)), ..all() }, vec![3, 2, 1]),
        (CaseFilter { opened_before: Some(at(0, 0)), ..all() }, vec![]),
        (CaseFilter { opened_after: Some(at(6, 0)), ..all() }, vec![]),
        (
            CaseFilter {
                opened_after: Some(at(1, 1)),
                opened_before: Some(at(4, 1)),
                order: CaseOrder::Oldest,
                ..all()
            },
            vec![2, 3, 4],
        ),
        (CaseFilter { among: Some(vec![CaseId(2), CaseId(9), CaseId(5)]), ..all() }, vec![5, 2]),
        (CaseFilter { among: Some(vec![]), ..all() }, vec![]),
        (
            CaseFilter {
                among: Some(vec![CaseId(3), CaseId(4)]),
                state: vec![CaseState::Stuck],
                order: CaseOrder::Oldest,
                ..all()
            },
            vec![3],
        ),
        (
            CaseFilter { report: text("payment/*"), order: CaseOrder::Oldest, ..all() },
            vec![1, 2, 5],
        ),
        (CaseFilter { report: text("nobody/*"), ..all() }, vec![]),
        (
            CaseFilter {
                state: vec![CaseState::Open],
                report: text("payment/*"),
                text: text("lost"),
                ..all()
            },
            vec![1],
        ),
    ];
    for (filter, expected) in stories.into_iter().chain(by_business()) {
        assert_eq!(case_ids(&store, filter.clone()).await, expected, "{filter:?}");
    }
    for (closed_on, expected) in [(ClosedOn::Proven, vec![5]), (ClosedOn::ByPerson, vec![])] {
        assert_eq!(
            case_ids(&store, CaseFilter { closed_on: vec![closed_on], ..all() }).await,
            expected
        );
    }
    let of_four = CaseFilter { saga: Some(saga("order-4")), ..all() };
    let listed = store.cases(of_four, PageRequest::default()).await.expect("lists").items.remove(0);
    let whole = store.case(listed.case.id).await.expect("reads").expect("there").stored;
    assert_eq!(listed.case, whole.case, "a list and a page say the same");
    assert_eq!(listed.first_report.as_ref(), whole.reports.first());
    assert_eq!((listed.steps.len(), &listed.steps), (3, &whole.steps));
}

/// A saga id that somebody pasted, or its beginning, is found first and told once, whatever the page.
pub async fn the_beginning_of_a_saga_id_is_found_first(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    for n in [1, 2, 12] {
        store.commit(whole(settled(n))).await.expect("commits");
    }
    let other = CaseRow { saga: saga("x-order-1"), ..case(20) };
    store.commit(whole(other)).await.expect("commits");
    let filter = CaseFilter { text: Some("order-1".to_owned()), ..CaseFilter::default() };
    let ids =
        |page: &RowPage<ListedCase>| page.items.iter().map(|c| c.case.id.0).collect::<Vec<_>>();
    let first = store.cases(filter.clone(), PageRequest::first(10)).await.expect("lists");
    assert_eq!(ids(&first), [12, 1]);
    let rest = after(&first, 10).expect("others may have it in their middle");
    let rest = store.cases(filter.clone(), rest).await.expect("lists");
    assert_eq!((ids(&rest), rest.next), (vec![20], None));
    let few = store.cases(filter, PageRequest::first(1)).await.expect("lists");
    assert_eq!(ids(&few), [20], "too many beginnings for the page: the order of all");
}

/// A search that finds nothing stops after a while, says how far it came, and goes on from there to the end.
pub async fn a_long_search_is_cut_into_pages(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    const CASES: u64 = 45_000;
    let needle = CaseRow { message: Some("the needle".into()), ..settled(3) };
    for from in (1..=CASES).step_by(5_000) {
        let row = |n| if n == 3 { needle.clone() } else { settled(n) };
        let batch: Vec<_> = (from..from + 5_000).map(|n| Write::from_case(row(n))).collect();
        store.commit(batch).await.expect("commits");
    }
    let all = CaseFilter::default;
    let searches = [
        (CaseFilter { text: Some("NEEDLE".to_owned()), ..all() }, vec![3], 3),
        // Fewer, where steps are looked at as well.
        (CaseFilter { service: Some("nobody".to_owned()), ..all() }, vec![], 9),
    ];
    for (filter, expected, most) in searches {
        for order in [CaseOrder::Newest, CaseOrder::Oldest] {
            let (filter, mut found) = (CaseFilter { order, ..filter.clone() }, Vec::new());
            let (mut pages, mut request) = (0, Some(PageRequest::first(5)));
            while let Some(next) = request {
                let page = store.cases(filter.clone(), next).await.expect("lists");
                assert!(page.searched_until.is_none() || page.next.is_some());
                found.extend(page.items.iter().map(|listed| listed.case.id.0));
                request = after(&page, 5);
                pages += 1;
            }
            assert_eq!((&found, pages), (&expected, most), "{filter:?}");
        }
    }
    let filter = StepFilter { service: Some("nobody".to_owned()), ..StepFilter::default() };
    let (mut pages, mut request) = (0, Some(PageRequest::first(5)));
    while let Some(next) = request {
        let page = store.steps(filter.clone(), next).await.expect("lists");
        assert_eq!((page.items.len(), page.searched_until.is_some()), (0, page.next.is_some()));
        request = after(&page, 5);
        pages += 1;
    }
    assert_eq!(pages, 9);
}

/// Those that are named, each with when its case was opened, are listed in the order of all, whatever order they come
/// in, page by page without gap or repetition.
pub async fn members_are_listed_in_the_order_of_all(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let mut members = Vec::new();
    // By time, the last is the second.
    for (n, opened_at) in (1..=9).map(|n| (n, at(n, 0))).chain([(10, at(1, 5))]) {
        store.commit(whole(CaseRow { opened_at, ..case(n) })).await.expect("commits");
        members.push((opened_at, CaseId(n)));
    }
    members.rotate_left(4);
    members.retain(|(_, id)| *id != CaseId(5));
    // One that is not there is left out.
    members.push((at(7, 0), CaseId(4_711)));
    let expected = [1, 10, 2, 3, 4, 6, 7, 8, 9];
    for (order, is_turned) in [(CaseOrder::Oldest, false), (CaseOrder::Newest, true)] {
        let mut expected: Vec<u64> = expected.to_vec();
        if is_turned {
            expected.reverse();
        }
        let filter = CaseFilter { members: Some(members.clone()), order, ..CaseFilter::default() };
        let (mut seen, mut next) = (Vec::new(), Some(PageRequest::first(2)));
        while let Some(request) = next {
            let page = store.cases(filter.clone(), request).await.expect("lists");
            seen.extend(page.items.iter().map(|listed| listed.case.id.0));
            next = after(&page, 2);
        }
        assert_eq!(seen, expected, "{order:?}");
        let text = CaseFilter { text: Some("order-1".to_owned()), ..filter.clone() };
        expected.retain(|n| [1, 10].contains(n));
        assert_eq!(case_ids(&store, text).await, expected, "what else is asked counts as well");
        let saga = CaseFilter { saga: Some(saga("order-5")), ..filter };
        assert_eq!(case_ids(&store, saga).await, Vec::<u64>::new(), "no member");
    }
    let steps = members.iter().flat_map(|(at, case)| {
        [2, 1].map(|ordinal| (*at, step(case.0, ordinal, "payment.pay", StepState::Waiting).id))
    });
    let stored = found_steps(&store, StepFilter::default()).await;
    let steps: Vec<_> = steps.collect();
    let filter = StepFilter { members: Some(steps), ..StepFilter::default() };
    let (mut seen, mut next) = (Vec::new(), Some(PageRequest::first(3)));
    while let Some(request) = next {
        let page = store.steps(filter.clone(), request).await.expect("lists");
        seen.extend(page.items.iter().map(|l| (l.step.id.case.0, l.step.id.ordinal)));
        next = after(&page, 3);
    }
    let of_members: Vec<_> = stored.into_iter().filter(|(case, _)| *case != 5).collect();
    assert_eq!(seen, of_members);
    let of_one = StepFilter { service: Some("coupon".to_owned()), ..filter };
    let of_one = found_steps(&store, of_one).await;
    assert_eq!(of_one, [9, 8, 7, 6, 4, 3, 2, 10, 1].map(|n| (n, 2)));
}

/// The same for steps.
pub async fn every_step_filter_does_its_part(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let mut stuck = step(1, 3, "rider.match", StepState::Stuck(StuckReason::OutOfAttempts));
    stuck.extra.message = Some("Connection refused".to_owned());
    let retry = StepRow { verb: Verb::Retry, ..step(3, 3, "order.place", StepState::Waiting) };
    let mut batch = whole(CaseRow { state: CaseState::Stuck, ..case(1) });
    batch.push(Write::from_step(stuck));
    batch.extend(whole(settled(2)));
    let other = Some(RulebookRef { name: "travel".into(), hash: "h".into() });
    batch.extend(whole(CaseRow { rulebook: other, ..case(3) }));
    batch.push(Write::from_step(retry));
    store.commit(batch).await.expect("commits");

    let all = StepFilter::default;
    let text = |text: &str| Some(text.to_owned());
    use StepStateName::{Done, InFlight, Stuck, Waiting};
    let stories = [
        (all(), vec![(3, 3), (3, 2), (3, 1), (2, 2), (2, 1), (1, 3), (1, 2), (1, 1)]),
        (StepFilter { case: Some(CaseId(2)), ..all() }, vec![(2, 2), (2, 1)]),
        (StepFilter { case: Some(CaseId(9)), ..all() }, vec![]),
        (StepFilter { cases: Some(vec![CaseId(2), CaseId(9)]), ..all() }, vec![(2, 2), (2, 1)]),
        (StepFilter { cases: Some(vec![CaseId(3)]), state: vec![InFlight], ..all() }, vec![(3, 2)]),
        (StepFilter { cases: Some(vec![]), ..all() }, vec![]),
        (StepFilter { case: Some(CaseId(u64::MAX)), ..all() }, vec![]),
        (StepFilter { saga: Some(saga("order-3")), state: vec![InFlight], ..all() }, vec![(3, 2)]),
        (StepFilter { saga: Some(saga("order-3")), case: Some(CaseId(1)), ..all() }, vec![]),
        (StepFilter { saga: Some(saga("nobody")), ..all() }, vec![]),
        (StepFilter { rulebooks: names(&["travel"]), ..all() }, vec![(3, 3), (3, 2), (3, 1)]),
        (
            StepFilter {
                rulebooks: names(&["nobody", "travel"]),
                service: text("coupon"),
                ..all()
            },
            vec![(3, 2)],
        ),
        (StepFilter { service: text("coupon"), ..all() }, vec![(3, 2), (2, 2), (1, 2)]),
        (StepFilter { action: "payment.pay".parse().ok(), ..all() }, vec![(3, 1), (2, 1), (1, 1)]),
        (StepFilter { verb: Some(Verb::Retry), ..all() }, vec![(3, 3)]),
        (StepFilter { state: vec![InFlight, Waiting], ..all() }, vec![(3, 3), (3, 2), (1, 2)]),
        (
            StepFilter { state: vec![Done, Stuck], ..all() },
            vec![(3, 1), (2, 2), (2, 1), (1, 3), (1, 1)],
        ),
        (StepFilter { reason: Some(StuckReason::OutOfAttempts), ..all() }, vec![(1, 3)]),
        (StepFilter { reason: Some(StuckReason::Refused), ..all() }, vec![]),
        (
            StepFilter { outcome: Some(Outcome::Compensated), service: text("coupon"), ..all() },
            vec![(2, 2)],
        ),
        (StepFilter { outcome: Some(Outcome::Waived), ..all() }, vec![]),
        (StepFilter { state: vec![Stuck], text: text("connection"), ..all() }, vec![(1, 3)]),
        (StepFilter { text: text("timeout"), ..all() }, vec![]),
    ];
    for (filter, expected) in stories {
        assert_eq!(found_steps(&store, filter.clone()).await, expected, "{filter:?}");
    }
}

/// Unfinished steps lie in cases of several states; their pages join without gap or repetition.
pub async fn unfinished_steps_page_across_case_states(place: &impl Place<Store: Store>) {
    let store = Held::of(place).await;
    let states = [CaseState::Open, CaseState::Stuck, CaseState::Unmatched];
    for (n, state) in (1..=6).zip(states.into_iter().cycle()) {
        let mut batch = whole(CaseRow { state, ..case(n) });
        batch.push(Write::from_step(step(n, 3, "rider.match", StepState::Due(at(n, 9)))));
        store.commit(batch).await.expect("commits");
    }
    let filter = StepFilter {
        state: vec![StepStateName::Due, StepStateName::InFlight],
        ..StepFilter::default()
    };
    let mut seen = Vec::new();
    let mut next = Some(PageRequest::first(3));
    while let Some(request) = next {
        let page = store.steps(filter.clone(), request).await.expect("lists");
        next = after(&page, 3);
        seen.extend(page.items.iter().map(|l| (l.step.id.case.0, l.step.id.ordinal)));
    }
    let expected: Vec<_> = (1..=6).rev().flat_map(|n| [(n, 3), (n, 2)]).collect();
    assert_eq!(seen, expected);
}
