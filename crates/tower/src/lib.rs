//! A tower layer that invalidates what a successful write has changed.
//!
//! An application that shows cached readings has to say when their data changed. This layer says it
//! for whole routes: a table of rules turns the method and path of a write into tags, and after the
//! write has succeeded, and before its response goes out, whatever depends on them is invalidated.
//! Handlers know nothing of it. It works around every [`tower_service::Service`] that answers
//! [`http::Request`]s on a Tokio runtime, axum's router for one.
//!
//! ```
//! use axum::{Router, body::Body, http::{Method, Request}, routing::put};
//! use samovar_cache::{Cache, Definition, Tag, Tenant, Tier};
//! use samovar_tower::{InvalidateLayer, Methods, Rules, Touch};
//! use tower::ServiceExt;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let cache = Cache::builder().open(folder).await?;
//!
//! let rules = Rules::new()
//!     .on(
//!         [Method::PUT, Method::DELETE],
//!         "/restaurants/{restaurant}/menu/{item}",
//!         Touch::tags(["menu/{item}"]).tenant("{restaurant}"),
//!     )?
//!     .on(
//!         Methods::writes(),
//!         "/restaurants/{restaurant}/settings/{*rest}",
//!         Touch::new().widget("opening_hours").class("live").tenant("{restaurant}"),
//!     )?
//!     .on(Method::POST, "/orders", Touch::tags(["orders"]).tenant_header("x-tenant"))?;
//!
//! let app: Router = Router::new()
//!     .route("/restaurants/{restaurant}/menu/{item}", put(async || "saved"))
//!     .layer(InvalidateLayer::new(rules, cache.clone()));
//!
//! // A reading that depends on the whole menu of one restaurant.
//! let menu = cache.declare(Definition::new("menu"))?;
//! let (tenant, tags) = (Tenant::new("roma")?, [Tag::new("menu")?]);
//! let reading = menu.reading(&tenant).tags(&tags);
//! let compute = || async { Ok::<_, std::io::Error>("pizza, pasta") };
//! cache.get_or_compute(&reading, compute).await?;
//!
//! let write = Request::put("/restaurants/roma/menu/pizza").body(Body::empty())?;
//! let response = app.oneshot(write).await?;
//! assert_eq!(response.headers()["samovar-invalidated"], "yes");
//!
//! let answer = cache.get_or_compute(&reading, compute).await?;
//! assert_eq!(answer.tier(), Tier::Computed);
//! # Ok(())
//! # }
//! ```
//!
//! # Rules
//!
//! A rule has methods, a path and what is touched ([`Touch`]). All rules that match apply. A path is
//! made of plain segments, parameters (`{item}`) and, at its end, all that follows (`{*rest}`). It
//! is split at its slashes and then decoded, so `%2F` is a part of its segment; a slash too many, at
//! the end or elsewhere, does not count. GET, HEAD, OPTIONS and TRACE never invalidate.
//!
//! Whatever can be wrong with a rule is told when it is made, by [`RuleError`]. What can only be
//! seen in a request errs on the side of too much: a value that cannot be a part of a tag, such as
//! one with a space, cuts the tag in front of its segment, and `menu/two words` becomes `menu`,
//! which reaches all of the menu. For that a tag begins with plain text.
//!
//! The tenant is never guessed: where it is not found, nothing of that rule is invalidated, the
//! response says `no`, and the log has an error. To reach all tenants because one client left out a
//! header would give every client a lever on everybody.
//!
//! # Targets
//!
//! A [`Cache`](samovar_cache::Cache) of this process, or a [`Remote`] Samovar:
//!
//! ```
//! use samovar_tower::Remote;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let samovar = Remote::new("http://127.0.0.1:7070")?.token("smv_0123456789")?;
//! # drop(samovar); Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! | what happened | what follows |
//! |---|---|
//! | the service answered 2xx, 302 or 303 ([`InvalidateLayer::succeeded`]) | invalidated; then the response goes out with `Samovar-Invalidated: yes`, so the client reads its own write |
//! | any other status, an error of the service, a panic | nothing is invalidated; the response is untouched |
//! | the target is away, or slower than the [patience](InvalidateLayer::patience) | the response goes out with `Samovar-Invalidated: no`; the change is repeated in the background [for a minute](InvalidateLayer::retry_for) |
//! | the target is still away at the next write | that one waits for 100 ms at most: an outage of the target does not slow the application down |
//! | the target refuses (a wrong token, an unknown tenant) | `Samovar-Invalidated: no`, an error in the log, no repetition |
//! | the client goes away before the service has answered | the request runs on by itself and is then treated as any other ([`InvalidateLayer::finish_within`], [`InvalidateLayer::cancel_when_dropped`]) |
//! | the client goes away after that | invalidated |
//! | the process ends while a change waits | the change is lost: await [`InvalidateLayer::idle`] before the end |
//!
//! A write that could not be invalidated is never turned into an error: it has happened, and a
//! client that sees an error would repeat it. Who must know looks at the header.
//!
//! # Where to put it
//!
//! Outermost, on the outermost router: axum takes the prefix off the path in nested routers, and
//! rules are compared with the path as it came. It also has to stand outside of whatever commits: a
//! layer that opens a transaction per request and commits after the handler belongs inside. What
//! puts the tenant into the extensions of the request stands outside of it; a handler that is the
//! only one to know puts it into those of the response ([`Touch::tenant_from_response`]). A body
//! that is still being streamed when its status goes out may not write.
//!
//! All limits are in [`limits`].

mod change;
mod delivery;
mod future;
mod layer;
pub mod limits;
mod path;
mod remote;
mod rules;
mod settings;
mod target;
mod template;
mod touch;
mod tree;

pub use change::{Change, What};
pub use future::ResponseFuture;
pub use layer::{INVALIDATED, Invalidate, InvalidateLayer};
pub use remote::{Remote, RemoteError};
pub use rules::{Methods, Problem, RuleError, Rules};
pub use target::{Target, TargetError};
pub use touch::Touch;
