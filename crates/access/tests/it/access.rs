//! Who is let in, from memory and from the store, and who is held up.

use std::{net::IpAddr, sync::Arc, time::Duration};

use samovar_access::{
    Access, Denied, EmbeddedStore, NewUser, Password, RedisStore, Role, Scope, Secret, SecretKind,
    Settings, Store, StoreError, limits,
};
use samovar_clock::{Clock, ManualClock, Random, WallTime};
use samovar_store::embedded::Folder;
use samovar_testkit::{RedisServer, wait};
use tempfile::TempDir;

use crate::harness::{name, new_token};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const LIMIT: Duration = Duration::from_secs(30);

struct Fixture {
    access: Access,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(ManualClock::new(WallTime::from_millis(1_754_000_000_000)));
    let manual = Clock::Manual(clock.clone());
    let owned = Folder::own(folder.path()).expect("owned");
    let store = EmbeddedStore::open(owned, manual.clone(), Random::System).await.expect("opens");
    let settings = Settings { required: true, ..Settings::default() };
    let access = Access::new(Store::Embedded(store), settings, manual, Random::System);
    Fixture { access, clock, _folder: folder }
}

async fn token(access: &Access) -> (samovar_access::TokenId, Secret) {
    access.create_token(new_token(Role::Owner, Scope::All, None)).await.expect("made")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_asked_for_once_and_known_from_then_on() {
    let Fixture { access, clock, .. } = fixture().await;
    let (id, secret) = token(&access).await;
    assert!(access.known(&secret).is_none(), "nobody has asked for it");
    let principal = access.check(&secret, HERE).await.expect("let in");
    assert_eq!(principal.role, Role::Owner);
    assert!(access.known(&secret).is_some());
    clock.advance(limits::BELIEVED);
    assert!(access.known(&secret).is_none(), "it is asked for again");
    access.check(&secret, HERE).await.expect("let in");
    access.revoke_token(id).await.expect("revoked");
    assert!(access.known(&secret).is_none(), "at once on this node");
    assert_eq!(access.check(&secret, HERE).await, Err(Denied::Unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_by_another_node_is_heard_within_the_bound() {
    let server = RedisServer::builder().start().expect("starts");
    let clock = Arc::new(ManualClock::new(WallTime::from_millis(0)));
    let node = async || {
        let store = RedisStore::connect(&server.url(), false, Clock::System, Random::System).await;
        let (store, clock) = (store.expect("connects"), Clock::Manual(clock.clone()));
        Access::new(Store::Redis(store), Settings::default(), clock, Random::System)
    };
    let (one, other) = (node().await, node().await);
    let (id, secret) = token(&one).await;
    other.check(&secret, HERE).await.expect("let in");
    one.revoke_token(id).await.expect("revoked");
    assert!(one.check(&secret, HERE).await.is_err());
    assert!(other.known(&secret).is_some(), "it has not heard yet");
    clock.advance(limits::RECHECK);
    assert!(other.known(&secret).is_some(), "it asks behind this request");
    wait::until(LIMIT, "the answer", || other.known(&secret).is_none().then_some(()))
        .expect("it is forgotten");
    assert_eq!(other.check(&secret, HERE).await, Err(Denied::Unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_what_was_known_is_let_in_and_nothing_else() {
    let server = RedisServer::builder().start().expect("starts");
    let clock = Arc::new(ManualClock::new(WallTime::from_millis(0)));
    let store = RedisStore::connect(&server.url(), false, Clock::System, Random::System).await;
    let store = Store::Redis(store.expect("connects"));
    let manual = Clock::Manual(clock.clone());
    let access = Access::new(store, Settings::default(), manual, Random::System);
    let (_, secret) = token(&access).await;
    access.check(&secret, HERE).await.expect("let in");
    drop(server);
    clock.advance(limits::BELIEVED);
    access.check(&secret, HERE).await.expect("let in all the same");
    assert!(access.known(&secret).is_some(), "without asking each time");
    let stranger = Secret::draw(SecretKind::Token);
    let denied = access.check(&stranger, HERE).await;
    assert!(matches!(denied, Err(Denied::Store(StoreError::Unavailable(_)))), "{denied:?}");
    clock.advance(limits::OUTAGE);
    let denied = access.check(&secret, HERE).await;
    assert!(matches!(denied, Err(Denied::Store(_))), "not for ever: {denied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_presents_many_secrets_that_are_none_has_to_wait() {
    let Fixture { access, clock, .. } = fixture().await;
    let (_, secret) = token(&access).await;
    access.check(&secret, HERE).await.expect("let in");
    for _ in 0..limits::FAILED_SECRETS {
        let stranger = Secret::draw(SecretKind::Token);
        assert_eq!(access.check(&stranger, HERE).await, Err(Denied::Unknown));
    }
    let stranger = Secret::draw(SecretKind::Token);
    let held = access.check(&stranger, HERE).await;
    assert_eq!(held, Err(Denied::TooMany { wait: limits::SECRET_AGAIN }));
    assert!(matches!(access.malformed(HERE), Denied::TooMany { .. }));
    access.check(&secret, HERE).await.expect("who is known is not held up");
    let elsewhere = IpAddr::from([192, 0, 2, 1]);
    assert_eq!(access.check(&stranger, elsewhere).await, Err(Denied::Unknown));
    clock.advance(limits::SECRET_AGAIN);
    assert_eq!(access.check(&stranger, HERE).await, Err(Denied::Unknown));
}

async fn user(access: &Access, user: &str) -> Password {
    let password = Password::new("correct horse").expect("long enough");
    let new = NewUser { name: name(user), role: Role::Viewer, scope: Scope::All };
    access.create_user(new, &password).await.expect("made");
    password
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_holds_until_it_is_ended() {
    let Fixture { access, clock, .. } = fixture().await;
    user(&access, "anna").await;
    let sign_in = || access.sign_in("anna", "correct horse", HERE);
    let signed_in = sign_in().await.expect("signed in");
    assert_eq!(signed_in.principal.who.to_string(), "user anna");
    assert!(access.known(&signed_in.secret).is_some());
    assert_eq!(access.sign_out(&signed_in.secret).await, Ok(true));
    assert!(access.known(&signed_in.secret).is_none());
    assert_eq!(access.check(&signed_in.secret, HERE).await, Err(Denied::Unknown));

    let signed_in = sign_in().await.expect("signed in");
    let other = Password::new("battery staple").expect("long enough");
    assert_eq!(access.set_password(&name("anna"), &other).await, Ok(true));
    assert!(access.known(&signed_in.secret).is_none(), "another password ends it");
    assert_eq!(sign_in().await.map(drop), Err(Denied::Wrong));

    let signed_in = access.sign_in("anna", "battery staple", HERE).await.expect("signed in");
    clock.advance(access.settings().session);
    assert_eq!(access.check(&signed_in.secret, HERE).await, Err(Denied::Unknown), "it ran out");
    let signed_in = access.sign_in("anna", "battery staple", HERE).await.expect("signed in");
    assert_eq!(access.remove_user(&name("anna")).await, Ok(true));
    assert_eq!(access.check(&signed_in.secret, HERE).await, Err(Denied::Unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_sign_ins_are_held_up_by_address_and_by_user() {
    let Fixture { access, clock, .. } = fixture().await;
    user(&access, "ben").await;
    let elsewhere = IpAddr::from([192, 0, 2, 1]);
    for number in 0..limits::FAILED_SIGN_INS {
        // Of an unknown user as of a known one.
        let who = if number % 2 == 0 { "ben" } else { "nobody" };
        assert_eq!(access.sign_in(who, "wrong", HERE).await.map(drop), Err(Denied::Wrong));
    }
    let held = access.sign_in("ben", "correct horse", HERE).await.map(drop);
    assert_eq!(held, Err(Denied::TooMany { wait: limits::SIGN_IN_AGAIN }), "also the right one");
    access.sign_in("ben", "correct horse", elsewhere).await.expect("from another address");

    clock.advance(Duration::from_secs(3600));
    for number in 0..limits::FAILED_SIGN_INS as u8 {
        let from = IpAddr::from([198, 51, 100, number]);
        assert_eq!(access.sign_in("ben", "wrong", from).await.map(drop), Err(Denied::Wrong));
    }
    let held = access.sign_in("ben", "correct horse", elsewhere).await.map(drop);
    assert!(matches!(held, Err(Denied::TooMany { .. })), "from wherever it comes: {held:?}");
    clock.advance(limits::SIGN_IN_AGAIN);
    access.sign_in("ben", "correct horse", elsewhere).await.expect("then it counts again");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sign_ins_at_a_time_are_no_way_around_the_limit() {
    let Fixture { access, .. } = fixture().await;
    user(&access, "cleo").await;
    let attempts = (0..30).map(|_| access.sign_in("cleo", "wrong", HERE));
    let ended = futures_util::future::join_all(attempts).await;
    let compared = ended.iter().filter(|it| matches!(it, Err(Denied::Wrong))).count();
    assert_eq!(compared, limits::FAILED_SIGN_INS as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_its_user_in_once_and_soon() {
    let Fixture { access, clock, .. } = fixture().await;
    let user = NewUser { name: name("anna"), role: Role::Owner, scope: Scope::All };
    let password = Password::new("nobody knows it").expect("long enough");
    access.create_user(user, &password).await.expect("made");
    let link = access.create_link(name("anna"));
    let follow = async |link: &Secret| access.follow_link(link.exposed().as_bytes(), HERE).await;
    assert_eq!(access.check(&link, HERE).await, Err(Denied::Unknown), "it is no session");
    let signed_in = follow(&link).await.expect("signed in");
    assert_eq!(signed_in.principal.role, Role::Owner);
    assert_eq!(follow(&link).await.expect_err("once"), Denied::Unknown);
    let principal = access.check(&signed_in.secret, HERE).await.expect("let in");
    assert_eq!(principal.role, Role::Owner);

    let late = access.create_link(name("anna"));
    clock.advance(limits::LINK);
    assert_eq!(follow(&late).await.expect_err("too late"), Denied::Unknown);
    let nobodys = access.create_link(name("nobody"));
    assert_eq!(follow(&nobodys).await.expect_err("no such user"), Denied::Unknown);
    let session = signed_in.secret.exposed().as_bytes();
    assert_eq!(access.follow_link(session, HERE).await.expect_err("no link"), Denied::Unknown);
}
