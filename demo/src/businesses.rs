//! The businesses that the demo knows.

use crate::business::Business;
use crate::{food, market};

/// All of them; the first is meant where none is named.
pub static BUSINESSES: [&Business; 2] = [&food::FOOD_ORDER, &market::MARKETPLACE];

/// The business of this name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Business> {
    BUSINESSES.into_iter().find(|business| business.name == name)
}

#[cfg(test)]
mod tests {
    use super::BUSINESSES;
    use crate::workload::PlanOptions;
    use std::collections::BTreeSet;

    fn options(seed: u64) -> PlanOptions {
        PlanOptions { seed, orders: 200, fault_rate: 0.35, only: Vec::new(), extra: false }
    }

    #[test]
    fn the_same_seed_makes_the_same_plan_and_another_seed_another() {
        for business in BUSINESSES {
            assert_eq!((business.plan)(&options(7)), (business.plan)(&options(7)));
            assert_ne!((business.plan)(&options(7)), (business.plan)(&options(8)));
        }
    }

    #[test]
    fn two_hundred_orders_meet_every_fault_and_about_the_asked_share() {
        for business in BUSINESSES {
            for seed in 0..50 {
                let orders = (business.plan)(&options(seed));
                let faults: Vec<_> = orders.iter().filter_map(|order| order.fault).collect();
                let kinds: BTreeSet<_> = faults.iter().map(|kind| kind.word).collect();
                let all = (business.faults)().len();
                assert_eq!(kinds.len(), all, "{business:?}, seed {seed} misses a fault");
                assert!((40..=100).contains(&faults.len()), "seed {seed}: {} faults", faults.len());
            }
        }
    }

    #[test]
    fn asked_faults_go_to_the_first_orders_and_the_rest_is_ordinary() {
        for business in BUSINESSES {
            let all = (business.faults)();
            let only = vec![all[0], all[1]];
            let asked = PlanOptions { orders: 4, fault_rate: 1.0, only, ..options(1) };
            let orders = (business.plan)(&asked);
            let faults: Vec<_> = orders.iter().map(|order| order.fault).collect();
            assert_eq!(faults, [Some(all[0]), Some(all[1]), None, None]);
        }
    }

    #[test]
    fn every_fault_is_found_by_its_word_and_the_others_are_named_beside_a_wrong_one() {
        for business in BUSINESSES {
            for kind in (business.faults)() {
                assert_eq!(business.fault(kind.word), Ok(kind));
            }
            let told = business.fault("meteor").expect_err("there is none");
            assert!(
                told.contains("`meteor`") && told.contains((business.faults)()[0].word),
                "{told}"
            );
        }
    }

    #[test]
    fn the_readme_lists_every_fault_and_every_invariant_as_it_is() {
        let readme = include_str!("../README.md");
        for business in BUSINESSES {
            for kind in (business.faults)() {
                let row = format!("| `{}` | {} |", kind.word, kind.explanation);
                assert!(readme.contains(&row), "the row is missing or outdated: {row}");
            }
            assert!(readme.contains(&format!("`{}`", business.name)), "{business:?}");
        }
    }

    #[test]
    fn the_rulebook_names_every_service_at_its_port() {
        for business in BUSINESSES {
            for (name, port) in business.names().zip(crate::shop::FIRST_WRITTEN_PORT..) {
                let written = format!("  {name}:\n    url: \"http://127.0.0.1:{port}\"");
                assert!(business.rulebook.contains(&written), "{business:?} doesn't say {written}");
            }
        }
    }
}
