//! The tests that every store has to pass, each a story against an empty store. They look through the traits alone.
//!
//! There is a chapter for each role. Call [`store_conformance!`](crate::store_conformance) in a test module with an
//! expression that makes a fresh [`BackupPlace`]; [`roles_conformance!`](crate::roles_conformance) with a [`Place`]
//! for a store whose copies don't open as a store of its own kind; or
//! [`ledger_conformance!`](crate::ledger_conformance) for one that is a [`Ledger`] only; and
//! [`nodes_conformance!`](crate::nodes_conformance) for one that nodes share. All need `tokio` with `macros` and
//! `rt` among the caller's dev-dependencies.

pub mod audit;
pub mod chain;
pub mod commands;
pub mod counts;
pub mod credentials;
pub mod differential;
pub mod erasures;
pub mod leases;
pub mod lists;
pub mod lookups;
pub mod nodes;
pub mod operating;
pub mod rejected;
pub mod rule_minutes;
pub(crate) mod sample;
pub mod settings;
pub mod upkeep;
pub mod writing;

use crate::{Ledger, StoreError};
use amends_engine::{Batch, Epoch, OpenPlace, Partition, StoredCase, Write};
use std::{future::Future, ops::Deref, path::PathBuf};

/// Somewhere a store can live. Dropped, it leaves nothing behind.
pub trait Place: Sized + Send + Sync {
    /// The store under test.
    type Store: Ledger;

    /// Opens the store here: an empty one at first, afterwards what was durable. All handles of the last opening have
    /// been dropped before. It has one partition, with the number 0, and holds it.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;
}

/// A place whose store can be copied.
pub trait BackupPlace: Place {
    /// A path that a backup may be written to.
    fn backup_path(&self) -> PathBuf;

    /// Another place, that holds what the backup at [`backup_path`](Self::backup_path) holds.
    fn place_of_backup(&self) -> Self;
}

/// All cases that are not settled, by number, read in small pages.
pub(crate) async fn unsettled(store: &impl Ledger) -> Vec<StoredCase> {
    let (mut cases, mut next) = (Vec::new(), Some(OpenPlace::default()));
    while let Some(after) = next {
        let page = store.open(Partition::WHOLE, after, 2).await.expect("reads");
        assert!(page.broken.is_empty() && page.cases.len() <= 2, "{page:?}");
        cases.extend(page.cases);
        next = page.next;
    }
    cases.sort_by_key(|stored| stored.case.id);
    cases
}

/// An open store, and the epoch in which it is held.
struct Held<S> {
    store: S,
    epoch: Epoch,
}

impl<S> Deref for Held<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.store
    }
}

impl<S: Ledger> Held<S> {
    async fn of(place: &impl Place<Store = S>) -> Self {
        let store = place.open().await;
        let epoch = store.load().await.expect("loads").epoch;
        Self { store, epoch }
    }

    async fn unsettled(&self) -> Vec<StoredCase> {
        unsettled(&self.store).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        self.store.commit(Batch::whole(self.epoch, writes, None)).await.map(drop)
    }
}

/// Writes one `#[tokio::test]` for each test of the suite. The argument makes a fresh [`BackupPlace`].
#[macro_export]
macro_rules! store_conformance {
    ($place:expr) => {
        $crate::roles_conformance!($place);
        $crate::ledger_conformance! { @tests $place;
            backups {
                chain { a_backup_has_the_chain }
                upkeep { a_backup_opens_as_a_store, a_backup_never_overwrites }
                rejected { a_backup_has_the_rejected_messages }
            }
        }
    };
}

/// The chapters of all roles, without backups. The argument makes a fresh [`Place`].
#[macro_export]
macro_rules! roles_conformance {
    ($place:expr) => {
        $crate::ledger_conformance!($place);
        $crate::ledger_conformance! { @tests $place;
            archive {
                lists {
                    pages_cover_all_cases_while_new_ones_come,
                    a_wrong_clock_hides_nothing,
                    limits_are_kept_within_bounds,
                    a_foreign_cursor_is_refused,
                    every_case_filter_does_its_part,
                    the_beginning_of_a_saga_id_is_found_first,
                    a_long_search_is_cut_into_pages,
                    members_are_listed_in_the_order_of_all,
                    every_step_filter_does_its_part,
                    unfinished_steps_page_across_case_states,
                }
                audit {
                    one_case_has_everything,
                    each_case_names_its_rulebook,
                    a_step_is_found_by_its_whole_id_only,
                    a_part_is_found_by_its_id,
                    acts_are_listed_newest_first,
                    announced_sagas_are_shown,
                    rulebooks_have_one_active_version,
                    the_version_last_taken_from_a_file_is_remembered,
                }
                chain {
                    every_entry_follows_the_one_before,
                    pruning_the_audit_keeps_its_chain,
                }
                erasures {
                    erasures_are_listed_with_their_sagas,
                    what_no_other_write_holds_goes,
                    who_holds_a_value_is_found,
                }
                counts {
                    cases_are_counted_by_state,
                    cases_are_counted_through_every_change,
                    settlements_are_told_newest_first,
                }
            }
            upkeep {
                upkeep {
                    pruning_takes_old_settled_cases_only,
                    a_wrong_clock_stops_no_pruning,
                    pruning_is_bounded,
                    each_rulebook_keeps_its_cases_as_long_as_is_said,
                    a_case_with_an_unanswered_report_is_not_pruned,
                    pruned_numbers_are_not_given_out_again,
                    a_case_just_found_is_not_pruned,
                    announcements_are_pruned_when_over,
                    a_healthy_store_is_writable,
                }
                operating { bulk_acts_are_kept }
            }
            credentials {
                credentials { credentials_are_kept }
            }
            rejected {
                rejected {
                    rejected_messages_come_back_as_they_were,
                    rejected_messages_are_listed_newest_first,
                    a_message_that_comes_again_is_one_row,
                    of_too_many_rejected_messages_the_oldest_go,
                    rejected_messages_are_forgotten,
                }
            }
            leases {
                leases {
                    a_commit_of_an_old_epoch_is_refused,
                    a_partition_that_is_not_held_is_refused,
                    what_was_given_back_is_claimed_anew,
                    a_refused_batch_spoils_no_other,
                    a_beat_changes_nothing,
                }
            }
        }
    };
}

/// The chapters of nodes that share a store. The argument makes a fresh [`SharedPlace`](nodes::SharedPlace).
#[macro_export]
macro_rules! nodes_conformance {
    ($place:expr) => {
        $crate::ledger_conformance! { @tests $place;
            shared {
                nodes {
                    each_partition_has_one_owner,
                    what_is_given_back_goes_to_another,
                    a_share_that_is_not_held_is_left_out,
                    an_empty_share_asks,
                    a_share_of_before_a_raise_is_lost,
                    a_row_of_another_partition_is_refused,
                    what_is_loaded_belongs_to_no_saga,
                    a_partition_is_adopted_by_itself,
                    an_adoption_tells_whether_it_was_given_back,
                    letters_wait_until_they_are_taken,
                    inboxes_are_read_together,
                    a_letter_is_taken_once,
                    a_lost_share_leaves_its_letters,
                    a_reading_goes_on_after_its_mark,
                    a_letter_that_comes_again_is_one,
                }
                settings {
                    each_change_makes_a_version_that_all_read,
                    what_was_planned_before_an_activation_is_refused,
                    what_comes_with_a_lost_seat_is_refused,
                }
                rule_minutes {
                    a_rule_answers_no_more_cases_than_its_limit,
                }
            }
        }
    };
}

/// The chapter of the [`Ledger`] alone. The argument makes a fresh [`Place`].
#[macro_export]
macro_rules! ledger_conformance {
    ($place:expr) => {
        $crate::ledger_conformance! { @tests $place;
            ledger {
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
                    settings_of_services_are_loaded,
                    what_was_said_of_strangers_is_loaded,
                    what_people_hold_is_loaded,
                    supervisor_time_goes_on_from_the_last_commit,
                }
                erasures { the_last_erasure_is_told }
                lookups {
                    a_known_report_names_its_case,
                    cases_are_found_in_any_state_and_each_once,
                    what_open_cases_still_need_is_counted,
                    what_is_unfinished_is_read_page_by_page,
                    a_settled_case_with_an_unanswered_report_is_read_as_well,
                    a_case_that_changes_meanwhile_keeps_no_other_from_being_read,
                    announced_sagas_are_kept,
                    an_activation_is_one_with_its_batch,
                    load_brings_active_rulebooks_and_others_are_found,
                }
            }
        }
    };
    (@tests $place:expr; $($chapter:ident { $($group:ident { $($test:ident),+ $(,)? })+ })+) => {$(
        mod $chapter {$(
            mod $group {$(
                #[tokio::test]
                async fn $test() {
                    $crate::conformance::$group::$test(&$place).await;
                }
            )+}
        )+}
    )+};
}
