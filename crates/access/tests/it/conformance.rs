//! What every store of access does, whichever it is: one suite for all of them.

use std::{collections::BTreeSet, time::Duration};

use samovar_access::{
    Principal, Refusal, Role, Scope, Secret, SecretKind, StoreError, Who, limits,
};
use samovar_clock::Random;

use crate::harness::{Harness, entry, name, new_token, new_user, of};

const TOKEN: SecretKind = SecretKind::Token;
const SESSION: SecretKind = SecretKind::Session;
const HOUR: Duration = Duration::from_secs(3600);

macro_rules! conform {
    ($harness:expr, $($case:ident),+ $(,)?) => {{
        let harness = $harness;
        $(
            println!("{} ...", stringify!($case));
            $case(&harness).await;
        )+
        harness.check_what_is_left();
    }};
}

macro_rules! stores {
    ($($store:ident),+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $store() {
            conform!(
                Harness::$store().await,
                a_token_is_found_by_its_hash_until_it_is_revoked,
                a_token_that_expires_says_how_long_it_lives,
                what_cannot_be_is_refused,
                a_use_is_noted,
                a_user_is_there_once_until_removed,
                a_session_is_its_users,
                a_session_ends_alone_with_its_password_and_with_its_user,
                a_password_that_was_changed_meanwhile_begins_no_session,
                one_session_too_many_ends_the_first,
                entries_come_the_newest_first_and_in_pages,
                what_repeats_is_counted,
                the_audit_log_is_bounded,
                tokens_are_bounded,
            );
        }
    )+};
}

stores!(embedded, redis, sentinel, cluster);

async fn a_token_is_found_by_its_hash_until_it_is_revoked(h: &Harness) {
    let (id, hash) = h.token(Role::Owner, of(&["north", "south"])).await;
    let (other, _) = h.token(Role::Admin, Scope::All).await;
    let found = h.store.find(TOKEN, hash).await.expect("answers").expect("is there");
    let Principal { who, role, scope } = found.principal;
    assert!(
        matches!(who, Who::Token { id: it, label } if it == id && label.as_str() == "the till")
    );
    assert_eq!((role, scope, found.left), (Role::Owner, of(&["north", "south"]), None));
    assert!(!h.is_known(SESSION, hash).await, "a token is no session");
    let shown = h.store.tokens().await.expect("answers");
    let ids: BTreeSet<_> = shown.iter().map(|it| it.id).collect();
    assert!(ids.contains(&id) && ids.contains(&other));
    let shown = shown.into_iter().find(|it| it.id == id).expect("listed");
    assert_eq!((shown.role, shown.is_expired, shown.used_ms), (Role::Owner, false, None));
    assert_eq!(shown.by, "owner of the store");
    assert_eq!(h.store.revoke_token(id).await, Ok(true));
    assert_eq!(h.store.revoke_token(id).await, Ok(false));
    assert!(!h.is_known(TOKEN, hash).await);
    h.store.note_use(hash).await.expect("no harm");
    assert!(h.store.tokens().await.expect("answers").iter().all(|it| it.id != id));
}

async fn a_token_that_expires_says_how_long_it_lives(h: &Harness) {
    let (id, hash) = h.token_for(Role::Viewer, of(&["north"]), Some(HOUR)).await;
    let found = h.store.find(TOKEN, hash).await.expect("answers").expect("is there");
    let left = found.left.expect("it ends");
    assert!(left <= HOUR && left > HOUR - Duration::from_secs(30), "{left:?}");
    if h.moves_time() {
        h.pass(HOUR);
        assert!(!h.is_known(TOKEN, hash).await);
        let shown = h.store.tokens().await.expect("answers");
        assert!(shown.iter().any(|it| it.id == id && it.is_expired), "it is shown for a while");
        h.pass(limits::EXPIRED_KEPT);
        h.token(Role::Viewer, Scope::All).await;
        let shown = h.store.tokens().await.expect("answers");
        assert!(shown.iter().all(|it| it.id != id), "and goes then");
    }
}

async fn what_cannot_be_is_refused(h: &Harness) {
    let many: Vec<String> = (0..=limits::TENANTS).map(|it| it.to_string()).collect();
    let long = "x".repeat(limits::TENANT_BYTES + 1);
    for (role, scope, lifetime, refusal) in [
        (Role::Admin, of(&["north"]), None, Refusal::BoundAdmin),
        (Role::Viewer, Scope::of(many), None, Refusal::Tenants),
        (Role::Viewer, Scope::of(vec![long]), None, Refusal::Tenants),
        (Role::Viewer, Scope::Of([].into()), None, Refusal::Tenants),
        (Role::Viewer, Scope::All, Some(Duration::from_secs(1)), Refusal::Lifetime),
        (Role::Viewer, Scope::All, Some(Duration::MAX), Refusal::Lifetime),
    ] {
        let hash = Secret::draw(TOKEN).hash();
        let made = h.store.create_token(new_token(role, scope, lifetime), hash, &Random::System);
        assert_eq!(made.await, Err(StoreError::Refused(refusal)));
        assert!(!h.is_known(TOKEN, hash).await);
    }
}

async fn a_use_is_noted(h: &Harness) {
    let (id, hash) = h.token(Role::Viewer, Scope::All).await;
    let use_is_old = async || {
        let found = h.store.find(TOKEN, hash).await.expect("answers").expect("is there");
        found.use_is_old
    };
    assert!(use_is_old().await, "it never was");
    h.store.note_use(hash).await.expect("noted");
    assert!(!use_is_old().await);
    let shown = h.store.tokens().await.expect("answers");
    let shown = shown.into_iter().find(|it| it.id == id).expect("listed");
    assert!(shown.used_ms >= Some(shown.created_ms));
    if h.moves_time() {
        h.pass(limits::USE_NOTED);
        assert!(use_is_old().await);
    }
}

async fn a_user_is_there_once_until_removed(h: &Harness) {
    let anna = name("anna");
    h.user(&anna).await;
    let again = h.store.create_user(new_user(&anna), "other".to_owned()).await;
    assert_eq!(again, Err(StoreError::Refused(Refusal::UserExists)));
    let kept = h.store.password(anna.clone()).await;
    assert_eq!(kept, Ok(Some("hash".to_owned())), "the first one's");
    let shown = h.store.users().await.expect("answers");
    assert_eq!(shown.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["anna"]);
    assert_eq!((shown[0].role, &shown[0].tenants), (Role::Manager, &of(&["north"])));
    assert!(shown[0].password_ms >= shown[0].created_ms && shown[0].created_ms > 0);
    assert_eq!(h.store.password(name("nobody")).await, Ok(None));
    assert_eq!(h.store.set_password(name("nobody"), "x".to_owned()).await, Ok(false));
    assert_eq!(h.store.set_password(anna.clone(), "$with spaces $ ".to_owned()).await, Ok(true));
    assert_eq!(h.store.password(anna.clone()).await, Ok(Some("$with spaces $ ".to_owned())));
    assert_eq!(h.store.remove_user(anna.clone()).await, Ok(true));
    assert_eq!(h.store.remove_user(anna.clone()).await, Ok(false));
    assert_eq!(h.store.password(anna).await, Ok(None));
}

async fn a_session_is_its_users(h: &Harness) {
    let ben = name("ben");
    h.user(&ben).await;
    let hash = h.session(&ben, HOUR).await;
    let found = h.store.find(SESSION, hash).await.expect("answers").expect("is there");
    assert_eq!(found.principal.who, Who::User(ben.clone()));
    assert_eq!((found.principal.role, found.principal.scope), (Role::Manager, of(&["north"])));
    assert!(found.left.is_some_and(|left| left <= HOUR && left > HOUR - Duration::from_secs(30)));
    assert!(!h.is_known(TOKEN, hash).await, "a session is no token");
    if h.moves_time() {
        h.pass(HOUR);
        assert!(!h.is_known(SESSION, hash).await);
    }
    h.store.remove_user(ben).await.expect("removed");
}

async fn a_session_ends_alone_with_its_password_and_with_its_user(h: &Harness) {
    let cleo = name("cleo");
    h.user(&cleo).await;
    let (one, other) = (h.session(&cleo, HOUR).await, h.session(&cleo, HOUR).await);
    assert_eq!(h.store.end_session(one).await, Ok(true));
    assert_eq!(h.store.end_session(one).await, Ok(false));
    assert!(!h.is_known(SESSION, one).await && h.is_known(SESSION, other).await);
    h.store.set_password(cleo.clone(), "hash".to_owned()).await.expect("set");
    assert!(!h.is_known(SESSION, other).await);
    let last = h.session(&cleo, HOUR).await;
    h.store.remove_user(cleo.clone()).await.expect("removed");
    assert!(!h.is_known(SESSION, last).await);
    h.user(&cleo).await;
    assert!(!h.is_known(SESSION, last).await, "another of the same name has no part in it");
    h.store.remove_user(cleo).await.expect("removed");
}

async fn a_password_that_was_changed_meanwhile_begins_no_session(h: &Harness) {
    let dora = name("dora");
    h.user(&dora).await;
    h.store.set_password(dora.clone(), "newer".to_owned()).await.expect("set");
    let hash = Secret::draw(SESSION).hash();
    let begin = |who, password: &str| h.store.start_session(hash, who, password.to_owned(), HOUR);
    assert_eq!(begin(dora.clone(), "hash").await, Ok(false));
    assert_eq!(begin(name("nobody"), "hash").await, Ok(false));
    assert!(!h.is_known(SESSION, hash).await);
    h.store.remove_user(dora).await.expect("removed");
}

async fn one_session_too_many_ends_the_first(h: &Harness) {
    let emil = name("emil");
    h.user(&emil).await;
    let mut sessions = Vec::new();
    for number in 0..=limits::SESSIONS as u32 {
        sessions.push(h.session(&emil, HOUR + Duration::from_secs(number.into())).await);
    }
    assert!(!h.is_known(SESSION, sessions[0]).await);
    for session in &sessions[1..] {
        assert!(h.is_known(SESSION, *session).await);
    }
    h.store.remove_user(emil).await.expect("removed");
}

async fn entries_come_the_newest_first_and_in_pages(h: &Harness) {
    for number in 0..5 {
        h.store.record(entry("anna", &format!("POST /{number}")), false).await.expect("kept");
    }
    let first = h.store.entries(None, 2).await.expect("answers");
    let what = |page: &samovar_access::Entries| {
        page.entries.iter().map(|it| it.entry.what.clone()).collect::<Vec<_>>()
    };
    assert_eq!(what(&first), ["POST /4", "POST /3"]);
    assert_eq!(first.entries[0].entry, entry("anna", "POST /4"), "as it was written down");
    assert!(first.entries[0].id > first.entries[1].id && first.entries[0].at_ms > 0);
    let second = h.store.entries(first.before, 2).await.expect("answers");
    assert_eq!(what(&second), ["POST /2", "POST /1"]);
    let last = h.store.entries(second.before, 2).await.expect("answers");
    assert_eq!((what(&last), last.before), (vec!["POST /0".to_owned()], None));
    let long = entry(&"x".repeat(100_000), "POST /long");
    h.store.record(long, false).await.expect("kept");
    let kept = &h.store.entries(None, 1).await.expect("answers").entries[0];
    assert_eq!(kept.entry.who.len(), limits::DETAIL_BYTES);
}

async fn what_repeats_is_counted(h: &Harness) {
    for _ in 0..3 {
        h.store.record(entry("ben", "POST /v1/events"), true).await.expect("kept");
    }
    h.store.record(entry("cleo", "POST /v1/events"), true).await.expect("kept");
    h.store.record(entry("ben", "POST /v1/events"), true).await.expect("kept");
    let page = h.store.entries(None, 2).await.expect("answers").entries;
    assert_eq!((page[0].entry.who.as_str(), page[0].times), ("cleo", 1));
    assert_eq!((page[1].entry.who.as_str(), page[1].times), ("ben", 4));
    assert!(page[1].last_ms >= page[1].at_ms);
    if h.moves_time() {
        h.pass(limits::REPEATS + Duration::from_secs(1));
        h.store.record(entry("ben", "POST /v1/events"), true).await.expect("kept");
        let page = h.store.entries(None, 1).await.expect("answers").entries;
        assert_eq!((page[0].entry.who.as_str(), page[0].times), ("ben", 1), "a minute is over");
    }
}

async fn the_audit_log_is_bounded(h: &Harness) {
    let begin = h.store.entries(None, 1).await.expect("answers").entries[0].id;
    for round in 0..limits::ENTRIES / 100 + 1 {
        let writes = (0..100).map(|_| h.store.record(entry("emil", "POST /"), false));
        for written in futures(writes).await {
            written.unwrap_or_else(|error| panic!("{round}: {error}"));
        }
    }
    let mut before = Some(begin + 150);
    let mut oldest = u64::MAX;
    while before.is_some() {
        let page = h.store.entries(before, limits::PAGE).await.expect("answers");
        oldest = page.entries.last().map_or(oldest, |it| it.id);
        before = page.before;
    }
    let newest = h.store.entries(None, 1).await.expect("answers").entries[0].id;
    assert_eq!(newest - oldest + 1, limits::ENTRIES as u64, "the oldest go");
}

async fn tokens_are_bounded(h: &Harness) {
    let kept = h.store.tokens().await.expect("answers").len();
    let make = || h.token_for(Role::Viewer, Scope::All, None);
    futures((kept..limits::TOKENS).map(|_| make())).await;
    let one_more = new_token(Role::Viewer, Scope::All, None);
    let hash = Secret::draw(TOKEN).hash();
    let refused = h.store.create_token(one_more, hash, &Random::System).await;
    let refusal = Refusal::TooManyTokens { limit: limits::TOKENS };
    assert_eq!(refused, Err(StoreError::Refused(refusal)));
}

/// All at a time: they share commits.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(all).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_when_the_folder_is_opened_again() {
    let h = Harness::embedded().await;
    let (id, hash) = h.token(Role::Owner, of(&["north"])).await;
    let anna = name("anna");
    h.user(&anna).await;
    let session = h.session(&anna, HOUR).await;
    h.store.record(entry("anna", "POST /v1/clear"), false).await.expect("kept");
    let h = h.reopened().await;
    assert!(h.is_known(TOKEN, hash).await && h.is_known(SESSION, session).await);
    assert_eq!(h.store.entries(None, 9).await.expect("answers").entries.len(), 1);
    assert_eq!(h.store.revoke_token(id).await, Ok(true));
    let h = h.reopened().await;
    assert!(!h.is_known(TOKEN, hash).await, "a revocation holds");
}
