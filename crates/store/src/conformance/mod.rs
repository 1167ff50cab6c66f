//! The tests that every [`Store`] has to pass, each a story against an empty store. They look through the trait alone.
//!
//! Call [`store_conformance!`](crate::store_conformance) in a test module with an expression that makes a fresh
//! [`Place`]; it needs `tokio` with `macros` and `rt` among the caller's dev-dependencies.

pub mod audit;
pub mod counts;
pub mod lists;
pub mod lookups;
pub mod operating;
mod sample;
pub mod upkeep;
pub mod writing;

use crate::Store;
use std::{future::Future, path::PathBuf};

/// Somewhere a store can live. Dropped, it leaves nothing behind.
pub trait Place: Sized + Send + Sync {
    /// The store under test.
    type Store: Store;

    /// Opens the store here: an empty one at first, afterwards what was durable. All handles of the last opening have
    /// been dropped before.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;

    /// A path that a backup may be written to.
    fn backup_path(&self) -> PathBuf;

    /// Another place, that holds what the backup at [`backup_path`](Self::backup_path) holds.
    fn place_of_backup(&self) -> Self;
}

/// Writes one `#[tokio::test]` for each test of the suite. The argument makes a fresh [`Place`].
#[macro_export]
macro_rules! store_conformance {
    ($place:expr) => {
        $crate::store_conformance! { @tests $place;
            writing {
                what_is_committed_comes_back_unchanged,
                a_reopened_store_has_everything,
                the_last_write_of_a_batch_counts,
                a_later_batch_replaces_rows,
                a_conflicting_batch_leaves_nothing,
                a_saga_has_one_case,
                commits_that_queue_together_fail_alone,
                every_state_of_a_step_survives,
                an_empty_batch_is_fine,
            }
            lookups {
                a_known_report_names_its_case,
                only_settled_cases_are_found_and_each_once,
                load_gives_exactly_what_is_unfinished,
                announced_sagas_are_kept,
                rulebooks_have_one_active_version,
                an_activation_is_one_with_its_batch,
                the_version_last_taken_from_a_file_is_remembered,
                load_brings_the_rulebooks_that_open_cases_use,
            }
            lists {
                pages_cover_all_cases_while_new_ones_come,
                a_wrong_clock_hides_nothing,
                limits_are_kept_within_bounds,
                a_foreign_cursor_is_refused,
                every_case_filter_does_its_part,
                the_beginning_of_a_saga_id_is_found_first,
                a_long_search_is_cut_into_pages,
                every_step_filter_does_its_part,
                unfinished_steps_page_across_case_states,
                step_ids_stop_at_the_limit,
            }
            audit {
                one_case_has_everything,
                a_step_is_found_by_its_whole_id_only,
                acts_are_listed_newest_first,
            }
            counts {
                cases_are_counted_by_state,
                cases_are_counted_through_every_change,
                settlements_are_told_newest_first,
            }
            operating {
                settings_of_services_are_loaded,
                bulk_acts_are_kept,
            }
            upkeep {
                pruning_takes_old_settled_cases_only,
                a_wrong_clock_stops_no_pruning,
                pruning_is_bounded,
                pruned_numbers_are_not_given_out_again,
                a_case_just_found_is_not_pruned,
                announcements_are_pruned_when_over,
                a_backup_opens_as_a_store,
                a_backup_never_overwrites,
                a_healthy_store_is_writable,
            }
        }
    };
    (@tests $place:expr; $($group:ident { $($test:ident),+ $(,)? })+) => {$(
        mod $group {
            $(
                #[tokio::test]
                async fn $test() {
                    $crate::conformance::$group::$test(&$place).await;
                }
            )+
        }
    )+};
}
