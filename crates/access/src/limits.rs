//! Every limit of access control, and what happens at it.

use std::{ops::RangeInclusive, time::Duration};

/// Tokens that are kept, those that have expired among them. More are refused.
pub const TOKENS: usize = 1000;
/// A token that expired so long ago goes when another one is made.
pub const EXPIRED_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Users. More are refused.
pub const USERS: usize = 1000;
/// Sessions of one user. One more ends the one that would have ended first.
pub const SESSIONS: usize = 20;
/// Entries of the audit log. One more drops the oldest.
pub const ENTRIES: usize = 10_000;
/// Entries of one page of it. More are on the next one.
pub const PAGE: usize = 500;
/// What repeats within this time is one entry, which says how often.
pub const REPEATS: Duration = Duration::from_secs(60);
/// Bytes of what an entry says was asked for. More is cut off.
pub const DETAIL_BYTES: usize = 500;
/// Tenants to which one token or user is bound. More are refused.
pub const TENANTS: usize = 16;
/// Bytes of the id of a tenant. Longer ones are refused.
pub const TENANT_BYTES: usize = 200;
/// Bytes of the name of a user.
pub const USER_BYTES: usize = 64;
/// Bytes of what a token is called.
pub const LABEL_BYTES: usize = 100;
/// Bytes of a password. Shorter ones are guessed, and longer ones cost time to refuse.
pub const PASSWORD_BYTES: RangeInclusive<usize> = 10..=256;
/// How long a token may live that does not live for ever.
pub const LIFETIME: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(3650 * 24 * 3600);
/// How long a sign-in may hold.
pub const SESSION: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 3600);

/// How long a link that signs somebody in holds, unless it is used before.
pub const LINK: Duration = Duration::from_secs(600);
/// Such links of one process. One more ends the oldest.
pub const LINKS: usize = 100;

/// Tokens and sessions that are held verified. One more drops those that were verified longest ago.
pub const KNOWN: usize = 8192;
/// From this age on what is held is verified again, behind the request that asked.
pub const RECHECK: Duration = Duration::from_secs(2);
/// What is held is not believed for longer: the time within which all nodes hear of a revocation.
pub const BELIEVED: Duration = Duration::from_secs(5);
/// Unless the store does not answer: then so long.
pub const OUTAGE: Duration = Duration::from_secs(600);
/// While the store does not answer it is asked so often about each of them.
pub const ASK_AGAIN: Duration = Duration::from_secs(1);
/// When a token was used last is written down so often.
pub const USE_NOTED: Duration = Duration::from_secs(60);

/// Passwords that are hashed at a time, in 19 MiB each.
pub const HASHING: usize = 2;
/// Those that wait for their turn. One more is told to come back.
pub const HASHING_WAITING: usize = 32;

/// Sign-ins that may fail from one address, or of one user, in a row.
pub const FAILED_SIGN_INS: u32 = 10;
/// Then one in this time.
pub const SIGN_IN_AGAIN: Duration = Duration::from_secs(15);
/// Tokens and sessions that are none, from one address, in a row.
pub const FAILED_SECRETS: u32 = 60;
/// Then one in this time.
pub const SECRET_AGAIN: Duration = Duration::from_secs(1);
/// Addresses and users whose failures are remembered. One more drops whoever has waited longest.
pub const REMEMBERED: usize = 10_000;
/// How long an answer of the store is waited for on the way of a request.
pub const ANSWER: Duration = Duration::from_secs(2);
