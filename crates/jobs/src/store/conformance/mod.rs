//! What every store of jobs does, whichever it is: one suite for all of them.
//!
//! A case is a function over a [`Harness`]; each store runs all cases in one test, on one set of
//! servers, and says which it passed.

mod batches;
mod breakers;
mod claims;
mod finishes;
mod harness;
mod leases;
mod people;
mod pushes;
mod rates;
mod schedules;
mod suspects;
mod tallies;
mod workers;

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin};

use futures_util::FutureExt;

use self::harness::Harness;

type Running<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

struct Case {
    name: &'static str,
    run: for<'a> fn(&'a Harness) -> Running<'a>,
}

macro_rules! cases {
    ($($module:ident: $($name:ident),+;)+) => {
        &[$($(Case {
            name: concat!(stringify!($module), "::", stringify!($name)),
            run: |harness| Box::pin($module::$name(harness)),
        }),+),+]
    };
}

const CASES: &[Case] = cases![
    pushes:
        what_was_pushed_is_claimed_as_it_was,
        a_repeated_push_pushes_nothing_twice,
        an_id_of_another_job_is_refused,
        a_unique_key_is_held_until_its_job_ends,
        a_unique_key_counts_on_its_queue_alone,
        a_full_queue_takes_none_of_a_push,
        a_push_goes_to_one_queue,
        what_is_too_much_is_refused_before_it_is_stored;
    claims:
        jobs_come_in_the_order_of_their_arrival,
        many_kinds_on_one_queue_keep_the_order,
        queues_are_served_in_the_order_of_the_claim,
        nobody_is_given_what_another_has,
        what_a_newer_version_wrote_is_left_alone,
        excepted_kinds_are_stepped_over,
        a_paused_queue_gives_nothing_until_it_is_resumed,
        a_delayed_job_comes_when_it_is_due,
        many_due_jobs_are_promoted_in_chunks;
    leases:
        only_what_started_runs_and_starting_again_is_no_harm,
        a_renewed_lease_lasts_and_a_lapsed_one_is_taken_back,
        an_unstarted_job_is_taken_back_with_its_attempt,
        a_stopped_worker_that_goes_on_is_a_zombie,
        a_cancelled_job_is_told_by_the_next_renewal,
        a_wrong_lease_is_refused;
    finishes:
        done_keeps_the_result_and_pushes_what_follows,
        a_finish_counts_once,
        a_retry_waits_its_delay_and_spends_its_attempt,
        a_release_gives_the_attempt_back_and_keeps_the_place,
        a_missing_subject_deletes_or_fails,
        a_zombie_among_others_does_not_touch_them,
        progress_and_checkpoints_are_kept_for_the_next_attempt,
        a_result_is_recorded_once,
        a_job_that_climbs_is_isolated_from_then_on,
        a_record_is_kept_with_its_attempt,
        a_long_history_keeps_its_first_and_its_last;
    suspects:
        what_ran_when_its_worker_died_waits_for_a_process_of_its_own,
        an_innocent_suspect_gets_its_attempt_back,
        a_killer_fails_at_its_own_limit_and_its_neighbours_do_not,
        what_is_lost_again_and_again_fails_in_the_end;
    batches:
        callbacks_come_once_when_all_has_ended_well,
        the_first_failure_cancels_the_others_and_is_caught_once,
        where_failures_are_allowed_the_others_go_on,
        jobs_added_while_it_runs_keep_it_open,
        an_empty_batch_is_finished_at_once,
        a_cancelled_batch_ends_with_all_its_jobs,
        a_finished_batch_takes_no_more_jobs,
        a_revived_job_counts_again_while_the_batch_is_open;
    people:
        failed_jobs_are_listed_last_first_and_filtered,
        a_reason_is_found_behind_an_end_that_was_good,
        counts_are_honest,
        a_revived_job_has_all_its_attempts,
        a_revived_job_does_not_take_a_key_from_another,
        all_that_failed_and_matches_is_revived_page_by_page,
        forget_flush_and_prune_remove_what_they_say,
        each_list_shows_its_jobs_in_its_order,
        batches_are_listed_and_with_them_their_jobs,
        cancel_says_what_it_met,
        figures_count_every_state;
    rates:
        a_rate_lets_through_what_it_allows_and_says_when_the_next_may_go,
        a_rate_holds_for_all_workers_and_all_versions_of_a_kind,
        other_kinds_go_past_one_that_is_held_back,
        a_job_that_is_given_back_has_used_its_permit,
        a_rate_that_changes_keeps_what_was_taken;
    breakers:
        while_it_is_open_no_job_that_needs_it_is_given_out,
        one_probe_goes_out_and_its_success_lets_the_others_go,
        a_probe_that_fails_opens_it_for_twice_as_long,
        a_probe_that_is_silent_or_made_no_call_is_followed_by_another,
        people_see_breakers_and_close_them;
    schedules:
        a_new_schedule_gets_its_mark_and_fires_from_there,
        of_all_who_fire_the_same_instant_one_does,
        a_full_queue_leaves_the_mark_where_it_is,
        a_schedule_is_forgotten_and_its_jobs_stay_on_its_queue;
    tallies:
        every_end_of_an_attempt_is_counted_once,
        waiting_running_and_memory_have_percentiles,
        kinds_above_the_limit_are_counted_together,
        the_oldest_that_waits_is_shown_and_odd_steps_are_refused,
        minutes_become_hours_and_hours_are_forgotten;
    workers:
        a_worker_is_seen_as_it_last_was_until_it_leaves,
        an_order_is_told_with_every_beat_from_then_on,
        a_silent_worker_is_lost_and_then_forgotten;
];

/// Runs all cases and prints each with its store; fails at the end if one of them did.
async fn conform(store: &str, harness: &Harness) {
    let mut failed = Vec::new();
    for Case { name, run } in CASES {
        match AssertUnwindSafe(run(harness)).catch_unwind().await {
            Ok(()) => println!("conformance::{store}::{name} ... ok"),
            Err(_) => {
                println!("conformance::{store}::{name} ... FAILED");
                failed.push(name);
            }
        }
    }
    harness.check_what_is_left();
    assert!(failed.is_empty(), "{store} fails {failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    conform("embedded", &Harness::embedded().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis() {
    conform("redis", &Harness::redis().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinel() {
    conform("sentinel", &Harness::sentinel().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster() {
    conform("cluster", &Harness::cluster().await).await;
}
