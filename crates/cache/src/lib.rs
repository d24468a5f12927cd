//! A two-tier cache whose invalidation has no open race.
//!
//! Values live in this process (bounded by bytes) and in a shared tier: a folder of this machine,
//! or Redis. Of all readers in all processes one computes. Values are served while they are fresh,
//! refreshed before they are not, and dropped the moment their data changes.
//!
//! # A first reading
//!
//! ```
//! use std::time::Duration;
//!
//! use samovar_cache::{Cache, Definition, Freshness, How, Subject, Tag, Tenant, Tier};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! // The shared tier in a folder. `connect("redis://...")` instead of `open` puts it on Redis.
//! let cache = Cache::builder().memory(64 << 20).open(folder).await?;
//!
//! // Said once: a widget, how fresh it must be, what its keys look like.
//! let revenue = cache.declare(
//!     Definition::new("revenue")
//!         .freshness(Freshness::new("sales", Duration::from_secs(300)))
//!         .key("revenue:{tenant}:{channel}"),
//! )?;
//!
//! // A reading is a widget with everything bound, for one tenant.
//! let tenant = Tenant::new("acme")?;
//! let tags = [Tag::new("orders")?];
//! let params = [("channel", "web")];
//! let reading = revenue.reading(&tenant).params(&params).tags(&tags);
//!
//! let compute = || async { Ok::<_, std::io::Error>("12345") }; // ask the database here
//! let first = cache.get_or_compute(&reading, compute).await?;
//! assert_eq!(first.tier(), Tier::Computed);
//! assert_eq!(first.key(), "revenue:acme:web#1");
//!
//! let second = cache.get_or_compute(&reading, compute).await?;
//! assert_eq!(second.tier(), Tier::Local);
//! assert_eq!(&second.bytes()?[..], b"12345");
//!
//! // An order came in: whoever depends on orders computes anew.
//! let today = [Tag::new("orders/2026/11/19")?];
//! cache.invalidate(&Subject::Tags(&today), Some(&tenant), &How::default()).await?;
//! let third = cache.get_or_compute(&reading, compute).await?;
//! assert_eq!(third.tier(), Tier::Computed);
//!
//! // Closed in good order, the folder's entries are fresh when it is opened again.
//! cache.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What to know
//!
//! **Tenants** are a part of every key: a hit across tenants cannot be expressed.
//!
//! **Freshness** has a TTL, a grace in which the value may still be served marked stale, jitter,
//! and a moment at which it is refreshed in the background. Built-in classes: `realtime` and `live`
//! 60 s, `short` and `statistics` 5 min, `medium` and `heavy` 15 min, `long` 1 h, `daily` 24 h
//! ([`Freshness::built_in`]). The refresh follows the measured compute time unless
//! [`RefreshAhead`] says otherwise.
//!
//! **Tags** are paths. A reading with the tag `orders` notices a change of `orders/2026/11/19`, and
//! one with the day's tag notices a change of `orders`. A tag belongs to a tenant unless it was made
//! with [`Tag::global`]. Every reading also has its widget, its freshness class, its tenant and
//! "everything" to be named by: see [`Subject`]. Naming one costs the same whatever depends on it;
//! no list of keys is kept anywhere.
//!
//! **Invalidate or clear.** After [`Cache::invalidate`] the old value may be served, marked stale,
//! to readers whose [`Definition::patience`] ends before there is a new one; with [`How::over`] the
//! recomputations are spread. After [`Cache::clear`] it is not served at all.
//!
//! **Answers** say where they come from and what they are worth: [`Answer::tier`],
//! [`Answer::state`], [`Answer::age`]. A reader gets, in this order: a fresh value; a stale one if
//! its class allows and making a new one takes longer than it waits, or fails; an error that says
//! when to come back.
//!
//! # What is promised
//!
//! A value computed from data that was read before an invalidation is not served as fresh after it:
//! on the node that invalidated from the moment the call returns, on others as soon as the news
//! arrives (milliseconds), on a node that is cut off after the heartbeat bound (one second), from
//! when on it asks the shared tier or says "stale". A [`Definition::strict`] widget asks the shared
//! tier on every read. This holds while leases run out, processes stop and go on, and Redis is
//! killed, emptied, rolled back or replaced: a simulation in this crate's tests tries it, and tests
//! with real servers do.
//!
//! # Computing without a closure
//!
//! [`Cache::begin`] gives either a value or a [`Ticket`], the right to make one. Read your data
//! after `begin` has returned, then commit. There is no bare "put": a value whose data was read
//! before its versions were could be stale without anybody noticing.
//!
//! ```
//! # use samovar_cache::{Beginning, Cache, Definition, Tenant};
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let cache = Cache::builder().open(folder.path()).await?;
//! # let widget = cache.declare(Definition::new("stats"))?;
//! # let tenant = Tenant::new("acme")?;
//! let answer = match cache.begin(&widget.reading(&tenant)).await? {
//!     Beginning::Answer(answer) => answer,
//!     Beginning::Compute(ticket) => ticket.commit("expensive").await?,
//! };
//! assert_eq!(&answer.bytes()?[..], b"expensive");
//! # Ok(())
//! # }
//! ```
//!
//! A value made from other readings is stamped first and its parts are read through its [`Parts`]
//! ([`Cache::get_or_compose`], [`Ticket::parts`]); it is as old as the oldest of
//! those that it includes: what only grows old by its tags is looked for ([`Parts::find`]) and not included.
//!
//! A value may be divided by its tags, each piece of it depending on one of them alone
//! ([`Reading::divided`]). Then what has not moved is found although the rest has
//! ([`Cache::find_divided`]), and whoever makes it anew takes over what the stamps of its ticket are
//! of ([`Ticket::vouches_for`]), without reading that data again.
//!
//! # Types, and "there is nothing"
//!
//! ```
//! # use samovar_cache::{Cache, Definition, Tenant};
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let cache = Cache::builder().open(folder.path()).await?;
//! # let widget = cache.declare(Definition::new("top_donor"))?;
//! # let tenant = Tenant::new("acme")?;
//! # let reading = widget.reading(&tenant);
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Donor {
//!     name: String,
//! }
//!
//! let find = || async { Ok::<Option<Donor>, std::io::Error>(None) };
//! let (donor, answer) = cache.get_or_compute_json::<Donor, _, _, _>(&reading, find).await?;
//! assert!(donor.is_none());
//! assert!(answer.is_absent()); // cached as well, for the class's negative TTL
//! # Ok(())
//! # }
//! ```
//!
//! # When things fail
//!
//! | what | what a reader gets |
//! |---|---|
//! | the compute fails | the stale value if there is one, else [`ReadError::Failed`]; the reading backs off, longer each time, in all processes |
//! | somebody else computes for long | the stale value after the reader's patience, else [`ReadError::Deadline`] |
//! | the store is down | what is local, marked stale; else a compute straight from the source, few at a time, not stored |
//! | a value is too large | [`ReadError::TooLarge`]; nothing is stored |
//! | the process dies while computing | the lease runs out after [`Settings::lease`] and another process computes |
//!
//! # Seeing inside
//!
//! [`Cache::explain`] tells of one reading what is stored, each of its versions with what changed
//! it last, who computes and when it will be refreshed. [`Cache::counters`], [`Cache::health`],
//! [`Cache::history`] and [`Cache::advice`] tell how widgets fare; [`Cache::store_state`] and
//! [`Cache::local_state`] how the tiers do. All limits are in [`limits`].

mod advice;
mod answer;
mod cache;
mod cells;
mod change;
mod codec;
mod divided;
mod entry;
mod explain;
mod flight;
mod freshness;
mod judge;
mod keeper;
mod key;
mod laws;
pub mod limits;
mod local;
mod node;
mod pattern;
mod read;
mod refresh;
mod search;
mod shared;
mod stats;
mod tag;
mod tenant;
mod ticket;
mod typed;
mod version;
mod wait;
mod widget;

pub use advice::{Advice, Sample, advise};
pub use answer::{Answer, ReadError, StaleBecause, State, Tier, Value};
pub use cache::{Builder, Cache, LocalState, OpenError, Settings};
pub use change::{ChangeError, ClearedBy, How, Subject};
pub use divided::Divided;
pub use entry::{Coding, EntryError, Provenance, check_stored_entry};
pub use explain::{Explanation, StampShown, StoredShown};
pub use freshness::{Freshness, FreshnessError, RefreshAhead};
pub use keeper::Keeper;
pub use key::{Bucket, KeyError, KeyTemplate};
pub use laws::{Law, Laws};
pub use pattern::Pattern;
pub use read::Beginning;
pub use refresh::{Due, Refreshed, Turn};
pub use samovar_store::embedded::Folder;
#[cfg(feature = "simulation")]
pub use shared::simulated;
pub use shared::{BackOff, CleanedUp, LeaseState, StoreError, StoreState};
pub use stats::{Counters, Health, HealthTargets, LATENCY_BOUNDS_US, Latency};
pub use tag::{Tag, TagError};
pub use tenant::{Tenant, TenantError};
pub use ticket::{Parts, Ticket};
pub use version::VersionKey;
pub use widget::{Definition, DefinitionError, Reading, ReadingError, Widget};
