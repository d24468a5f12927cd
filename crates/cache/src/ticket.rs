//! `begin` and `commit`: the right to compute one reading, and what becomes of the value.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use samovar_clock::Instant;
use samovar_store::Trust;
use tokio::sync::Notify;

use crate::{
    answer::{Answer, ReadError, State, Tier, Value},
    cache::Inner,
    cells::{Capture, Cell},
    codec::compress,
    entry::{Coding, Provenance, Stamp, StoredEntry},
    flight::{Lead, Outcome},
    laws::Law,
    shared::{Commit, Committed, Failure, Message, Origin, Origins, Release, Won},
    stats::{Count, Row},
    version::{Ids, Version, cut},
    widget::{Bound, Reading},
};

/// The right to compute one reading. Its stamps were captured before it was handed out, so data
/// that is read from now on is covered by them.
///
/// The lease is renewed while the ticket lives. Dropped without a commit, it is given back.
#[derive(Debug)]
pub struct Ticket {
    inner: Arc<Inner>,
    bound: Arc<Bound>,
    phase: u32,
    began_at: Instant,
    parts: Parts,
    /// `None` while the store is down.
    lease: Option<Lease>,
    /// Holds one of the few computes that are allowed while the store is down.
    unstored: bool,
    /// Taken when the flight ends.
    lead: Option<Lead>,
}

/// The way from a compute to the readings its value is made of. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Parts {
    inner: Arc<Inner>,
    /// From when the value's age counts, in nanoseconds of the boot clock: the capture of its stamps,
    /// or that of its oldest part.
    as_of: Arc<AtomicU64>,
}

impl Parts {
    /// Reads what the value is made from, after the value's own stamps were captured and each
    /// checked against the shared tier. The value becomes as old as the oldest of them.
    ///
    /// `None` is a part that is not fresh: make it, then ask again. The parts must carry tags at
    /// or below those of this reading, or the value will not notice their changes.
    pub async fn read(&self, parts: &[Reading<'_>]) -> Result<Vec<Option<Answer>>, ReadError> {
        let answers = self.find(parts).await?;
        for answer in answers.iter().flatten() {
            self.include(answer);
        }
        Ok(answers)
    }

    /// [`Parts::read`] for parts of which not all grow old: those that do are to be included.
    pub async fn find(&self, parts: &[Reading<'_>]) -> Result<Vec<Option<Answer>>, ReadError> {
        self.inner.get_many(parts, true).await
    }

    /// Makes the value as old as this part, which was found, or was made after the value's stamps were
    /// captured: [`Ticket::commit`] has returned it.
    pub fn include(&self, part: &Answer) {
        self.as_of.fetch_min(part.entry.as_of.as_nanos(), Ordering::AcqRel);
    }

    fn as_of(&self) -> Instant {
        Instant::from_nanos(self.as_of.load(Ordering::Acquire))
    }
}

/// A lease at the store, with the stamps that were captured when it was won.
#[derive(Debug)]
struct Lease {
    token: u64,
    won: Won,
    capture: Capture,
    steps: Vec<u64>,
    renewal: Arc<Renewal>,
}

impl Lease {
    fn stamp(&self, cell: &Cell, version: &Version) -> Stamp {
        Stamp {
            key_hash: cell.hash(),
            change: version.ids.change,
            clear: version.ids.clear,
            incarnation: self.won.origins.of(cell.key()).incarnation,
        }
    }
}

#[derive(Debug, Default)]
struct Renewal {
    over: AtomicBool,
    stop: Notify,
}

/// What a search found, before it becomes a ticket.
pub(crate) struct Prepared {
    pub(crate) phase: u32,
    pub(crate) sent_at: Instant,
    pub(crate) lease: Option<(u64, Won, Capture)>,
}

impl Prepared {
    pub(crate) fn into_ticket(self, inner: Arc<Inner>, lead: Lead, bound: Arc<Bound>) -> Ticket {
        let lease = self.lease.map(|(token, won, capture)| {
            let said: Vec<Option<Ids>> = won.versions.iter().map(|v| Some(v.ids)).collect();
            let steps =
                inner.node.cells.observe(&capture, &said, Some((&won.origins, self.sent_at)));
            let renewal = Arc::new(Renewal::default());
            keep_renewing(&inner, &bound, token, &renewal);
            Lease { token, won, capture, steps, renewal }
        });
        let as_of = Arc::new(AtomicU64::new(self.sent_at.as_nanos()));
        Ticket {
            parts: Parts { inner: inner.clone(), as_of },
            inner,
            bound,
            phase: self.phase,
            began_at: self.sent_at,
            unstored: lease.is_none(),
            lease,
            lead: Some(lead),
        }
    }
}

fn keep_renewing(inner: &Arc<Inner>, bound: &Bound, token: u64, renewal: &Arc<Renewal>) {
    let (inner, key) = (inner.clone(), bound.key.clone());
    let (renewal, spawner) = (renewal.clone(), inner.spawner.clone());
    spawner.spawn(async move {
        let lease = inner.settings.lease;
        while !renewal.over.load(Ordering::Acquire) {
            if inner.clock.timeout(lease / 3, renewal.stop.notified()).await.is_ok() {
                return;
            }
            // While the store does not answer, the next turn may still come in time. A lease that
            // is lost stays lost: the commit will be told.
            if let Ok(false) = inner.shared.renew(&key, token, lease).await {
                return;
            }
        }
    });
}

impl Ticket {
    /// The key as shown to people.
    pub fn key(&self) -> &str {
        self.bound.key.shown()
    }

    pub(crate) fn row(&self) -> &Row {
        &self.bound.row
    }

    /// False while the store is down: the value will serve those who wait, and be kept nowhere. Few
    /// such tickets are given out at a time, so whoever has one should not ask for another before it
    /// has ended.
    pub fn is_leased(&self) -> bool {
        self.lease.is_some()
    }

    /// For a value that is made of other readings.
    pub fn parts(&self) -> Parts {
        self.parts.clone()
    }

    /// Stores the value if the lease is still this ticket's, and serves it to all who wait.
    ///
    /// Without the store, or when the lease was lost, the value serves those who waited and is not
    /// kept: [`Answer::is_stored`] tells.
    pub async fn commit(mut self, value: impl Into<Value>) -> Result<Answer, ReadError> {
        let (value, absent, provenance) = match value.into() {
            Value::Bytes(bytes) => (bytes, false, Provenance::default()),
            Value::Absent => (Bytes::new(), true, Provenance::default()),
            Value::Read(bytes, provenance) => (bytes, false, provenance),
        };
        let (bytes, limit) = (value.len() as u64, self.inner.settings.value_limit);
        if bytes > limit {
            let error = ReadError::TooLarge { bytes, limit };
            let text = error.to_string();
            return Err(self.give_up(&text, error).await);
        }
        let took = self.inner.clock.now().since(self.began_at);
        let row = &self.bound.row;
        row.count(Count::Computes);
        row.add(Count::ComputedBytes, bytes);
        row.computed(took);
        self.bound.widget.0.compute.computed(took);

        let stored = StoredEntry { provenance, ..self.dress(value, absent, took).await };
        let (origins, committed) = self.land(&stored).await;
        let nothing = (Capture::default(), Vec::new());
        let (capture, steps) = match &self.lease {
            Some(lease) => (&lease.capture, &lease.steps),
            None => (&nothing.0, &nothing.1),
        };
        let entry = self.inner.localize(
            &self.bound,
            &stored,
            &origins,
            capture,
            steps,
            self.parts.as_of(),
            None,
        );
        let lead = self.lead.take().expect("a ticket ends once");
        if committed && self.bound.widget.0.local && steps.iter().all(|step| *step != 0) {
            lead.keep(|| self.inner.node.local.insert(entry.clone()));
            self.inner.node.news.notify_one();
        }
        let answer = Answer {
            entry,
            state: State::Fresh,
            tier: Tier::Computed,
            stored: committed,
            read_at: self.inner.clock.now(),
        };
        lead.finish(Outcome::Answer(answer.clone(), self.phase));
        Ok(answer)
    }

    /// Ends the compute without a value: the reading backs off, longer with each failure in a row.
    pub async fn fail(self, error: &str) -> ReadError {
        let (first, _) = self.bound.widget.0.back_off;
        let failed = ReadError::Failed { error: error.to_owned(), retry_after: first };
        self.give_up(error, failed).await
    }

    async fn give_up(mut self, text: &str, error: ReadError) -> ReadError {
        self.bound.row.count(Count::Errors);
        let (first, longest) = self.bound.widget.0.back_off;
        if let Some(token) = self.stop_renewing() {
            let failure = Failure { error: cut(text).to_owned(), first, longest };
            let entry = self.bound.key.clone();
            let release = Release { entry, token, failure: Some(failure) };
            if let Err(error) = self.inner.shared.release(release).await {
                tracing::debug!(%error, "a lease could not be given back; it will run out");
            }
        }
        if let Some(lead) = self.lead.take() {
            lead.finish(Outcome::Failed(error.clone()));
        }
        error
    }

    /// The value with everything that is stored beside it.
    async fn dress(&self, value: Bytes, absent: bool, compute: Duration) -> StoredEntry {
        let inner = &self.inner;
        let widget = &self.bound.widget.0;
        let content_hash = xxhash_rust::xxh3::xxh3_64(&value);
        if let Some(previous) = inner.node.local.get(self.bound.key.as_str()) {
            if previous.content_hash == content_hash {
                self.bound.row.count(Count::Unchanged);
            } else if previous.unmoved() {
                self.bound.row.count(Count::Drifted);
            }
        }
        let raw_len = value.len() as u64;
        let (coding, value) = match value.is_empty() {
            true => (Coding::Identity, value),
            false => {
                inner.node.local.keeper.keep(|| compress(value, inner.settings.compress_above))
            }
        };
        let p99 = widget.compute.compute_quantile(0.99).unwrap_or(compute);
        let (commit, as_of_ms, stamps) = match &self.lease {
            Some(lease) => {
                let older = self.began_at.since(self.parts.as_of()).as_millis() as u64;
                let stamps = self.stamps(lease).await;
                (lease.token, lease.won.now_ms.saturating_sub(older), stamps)
            }
            None => (0, 0, Vec::new()),
        };
        StoredEntry {
            commit,
            coding,
            absent,
            as_of_ms,
            lifetimes: widget.freshness.draw(absent, p99, &inner.random),
            compute,
            provenance: Provenance::default(),
            raw_len,
            content_hash,
            stamps,
            value,
        }
    }

    /// The stamps as captured when the lease was won.
    async fn stamps(&self, lease: &Lease) -> Vec<Stamp> {
        let late;
        let versions = if self.inner.laws.hold(Law::StampFirst) {
            &lease.won.versions
        } else {
            late = self.versions_now().await.unwrap_or_else(|| lease.won.versions.clone());
            &late
        };
        let versions = self.bound.versions.iter().zip(versions);
        versions.map(|(cell, version)| lease.stamp(cell, version)).collect()
    }

    /// Whether this is one of the stamps that were captured when the lease was won.
    pub(crate) fn has_captured(&self, stamp: &Stamp) -> bool {
        let Some(lease) = &self.lease else { return false };
        let mut captured = self.bound.versions.iter().zip(&lease.won.versions);
        let same = captured.find(|(cell, _)| cell.hash() == stamp.key_hash);
        same.is_some_and(|(cell, version)| lease.stamp(cell, version) == *stamp)
    }

    /// What a broken law would stamp with; see [`Law::StampFirst`].
    async fn versions_now(&self) -> Option<Vec<Version>> {
        let look = self.inner.shared.look(&[self.bound.look_up()]).await.ok()?.pop()?;
        look.versions.into_iter().collect()
    }

    /// Writes the entry. Says whose versions its stamps are, and whether it was stored.
    async fn land(&mut self, stored: &StoredEntry) -> (Origins, bool) {
        let token = self.stop_renewing();
        let (Some(lease), Some(token)) = (&self.lease, token) else {
            let nobody = Origin { incarnation: 0, trust: Arc::new(Trust::unproven()) };
            return (Origins { tenant: nobody.clone(), global: nobody }, false);
        };
        let lifetimes = stored.lifetimes;
        let commit = Commit {
            at: self.bound.look_up(),
            token,
            value: stored.encode().into(),
            life: lifetimes.ttl + lifetimes.grace,
            keep: self.inner.keep_versions(&self.bound),
        };
        let now = self.inner.node.cells.capture(&self.bound.versions);
        let committed = match self.inner.shared.commit(commit).await {
            Ok(Committed::Stored { versions }) => {
                if let Some(versions) = versions {
                    let said: Vec<_> = versions.iter().map(|v| v.as_ref().map(|v| v.ids)).collect();
                    self.inner.node.cells.observe(&now, &said, None);
                }
                true
            }
            Ok(Committed::Lost) => {
                self.bound.row.count(Count::LeasesLost);
                false
            }
            Err(error) => {
                tracing::debug!(%error, "a value could not be stored");
                // Whether it landed is unknown; if it did not, nobody should wait for the lease.
                self.inner.release_behind(&self.bound, token);
                false
            }
        };
        (lease.won.origins.clone(), committed)
    }

    /// From now on the lease runs out by itself. The token tells which one it is.
    fn stop_renewing(&self) -> Option<u64> {
        let lease = self.lease.as_ref()?;
        lease.renewal.over.store(true, Ordering::Release);
        lease.renewal.stop.notify_one();
        Some(lease.token)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Also when a commit or a failure was given up half-way: a lease that has ended already
        // is not touched.
        if let (Some(token), Some(_)) = (self.stop_renewing(), &self.lead) {
            self.inner.release_behind(&self.bound, token);
        }
        if self.unstored {
            self.inner.unstored.add_permits(1);
        }
    }
}

impl Inner {
    /// Gives a lease back without waiting for the store.
    pub(crate) fn release_behind(self: &Arc<Self>, bound: &Bound, token: u64) {
        let inner = self.clone();
        let entry = bound.key.clone();
        self.spawner.spawn(async move {
            let release = Release { entry: entry.clone(), token, failure: None };
            match inner.shared.release(release).await {
                // Whoever leads the next flight here may have found it taken meanwhile.
                Ok(()) => inner.node.take_in(&Message::Released(entry.as_str().to_owned())),
                Err(error) => {
                    tracing::debug!(%error, "a lease could not be given back; it will run out");
                }
            }
        });
    }
}
