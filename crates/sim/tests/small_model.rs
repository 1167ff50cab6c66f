//! Everything that can happen in a world of two services and three requests: what a case claims when it is settled.

use amends_sim::small::{self, Business, Explored, LISTED, LISTED_ENTRY, PLAIN_ENTRY, RECORDED};
use std::time::Instant;

/// More states than any of these businesses has.
const MOST: usize = 400_000;

/// `AMENDS_SMALL_FAULTS=2` lets more things go wrong in one history.
fn faults() -> u8 {
    std::env::var("AMENDS_SMALL_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn holds(business: Business) -> Explored {
    let began = Instant::now();
    let business = Business { faults: faults(), ..business };
    match small::explore(&business, MOST * usize::from(business.faults.max(1))) {
        Ok(explored) => {
            println!("{}: {explored}, in {:?}", business.name, began.elapsed());
            explored
        }
        Err(broken) => panic!("{}: {broken}", business.name),
    }
}

#[test]
fn what_is_called_proven_never_stands() {
    let explored = holds(RECORDED);
    assert!(explored.ends.contains_key("proven"), "{explored}");
}

#[test]
fn what_may_stand_behind_quiet_is_named() {
    for business in [LISTED, LISTED_ENTRY, PLAIN_ENTRY] {
        let explored = holds(business);
        assert!(explored.ends.contains_key("quiet"), "{}: {explored}", business.name);
    }
}

#[test]
fn a_service_that_forgets_its_fences_is_found_out() {
    let leaking = Business { fences_leak: true, faults: 0, ..RECORDED };
    let broken = small::explore(&leaking, MOST).expect_err("something stands behind `proven`");
    assert!(broken.what.contains("proven"), "{broken}");
}
