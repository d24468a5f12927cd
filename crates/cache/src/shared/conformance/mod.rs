//! What every store behind the shared tier does, whichever it is: one suite for all of them.
//!
//! A case is a function over a [`Harness`]; each store runs all cases in one test, on one set of
//! servers, and says which it passed.

mod back_offs;
mod changes;
mod clean_ups;
mod harness;
mod leases;
mod looks;
mod news;

use std::{future::Future, panic::AssertUnwindSafe, pin::Pin};

use futures_util::FutureExt;

use self::harness::Harness;

/// How a case ended that did not panic.
enum Verdict {
    Passed,
    /// It asks for what this store does not have.
    NotHere(&'static str),
}

use Verdict::{NotHere, Passed};

type Running<'a> = Pin<Box<dyn Future<Output = Verdict> + 'a>>;

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
    looks:
        what_was_never_written_is_missing,
        bytes_come_back_as_they_were,
        many_look_ups_are_answered_in_their_order,
        an_entry_is_gone_after_its_life_and_its_versions_are_not,
        the_incarnation_stays_and_trust_holds,
        tenants_and_what_they_share_do_not_mix;
    leases:
        a_begin_makes_versions_once,
        a_lease_keeps_others_away_until_it_is_given_back,
        a_lease_ends_with_the_commit,
        a_lease_ends_with_its_time,
        only_the_holder_lands_a_value,
        after_its_time_the_holder_lands_nothing,
        a_begin_upon_an_outdated_look_is_told,
        force_passes_everything_but_a_lease,
        a_renewed_lease_lasts,
        a_lease_shows_whose_it_is,
        a_dropped_entry_fences_the_writer_in_flight,
        an_eviction_takes_what_was_seen_and_no_lease;
    back_offs:
        failures_in_a_row_wait_longer,
        success_and_clearing_forget_failures,
        who_does_not_hold_the_lease_cannot_fail;
    changes:
        an_invalidation_replaces_the_change_alone,
        clearing_replaces_both_ids,
        what_is_missing_stays_missing,
        each_change_names_the_one_before,
        a_change_during_a_compute_is_seen_beside_its_value,
        versions_live_as_long_as_the_longest_that_asked,
        a_change_does_not_lengthen_a_life,
        many_versions_change_at_once;
    news:
        every_node_hears_in_the_order_of_one_master,
        a_release_is_news_only_if_somebody_waits,
        much_news_arrives_whole;
    clean_ups:
        a_dry_run_removes_nothing,
        leases_of_the_dead_are_removed;
];

/// Runs all cases and prints each with its store; fails at the end if one of them did.
async fn conform(store: &str, harness: &Harness) {
    let mut failed = Vec::new();
    for Case { name, run } in CASES {
        let verdict = AssertUnwindSafe(run(harness)).catch_unwind().await;
        match verdict {
            Ok(Passed) => println!("conformance::{store}::{name} ... ok"),
            Ok(NotHere(why)) => println!("conformance::{store}::{name} ... not here: {why}"),
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

#[cfg(feature = "simulation")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simulated() {
    conform("simulated", &Harness::simulated()).await;
}
