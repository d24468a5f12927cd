//! The read path: local tier, one flight per key, shared tier, lease, compute.

use std::{future::Future, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use samovar_clock::Instant;

use crate::{
    answer::{Answer, ReadError, StaleBecause, State, Tier, Value},
    cache::{Cache, Found, Inner},
    entry::commit_of,
    flight::{Candidate, Flight, Joined, Lead, Outcome, Role},
    judge::{Assessed, Standing},
    limits,
    shared::{Begin, Begun, LookUp, StoreError},
    stats::Count,
    ticket::{Prepared, Ticket},
    version::Ids,
    widget::{Bound, Reading, ReadingError},
};

/// What a leader is after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    /// Any fresh value.
    Value,
    /// A successor of the entry with this commit.
    Newer { than: u64 },
    /// A new compute, whatever is there and whatever failed before.
    Anew,
}

/// How the search of a leader ends.
pub(crate) enum Led {
    Done(Outcome),
    Compute(Box<Ticket>),
}

/// How a wait for somebody else's flight ends.
enum Waited {
    Answer(Answer),
    /// The flight had nothing for this reader.
    Again,
}

/// What [`Cache::begin`] found.
#[derive(Debug)]
pub enum Beginning {
    Answer(Answer),
    Compute(Ticket),
}

impl Cache {
    /// The reading's value: from the local tier, the shared one, or from `compute`, which then
    /// runs in the background to its end even if the caller goes away.
    ///
    /// Of all callers in all processes one computes. A caller waits for it until its patience is
    /// over if there is a stale value it may have, else until its deadline.
    pub async fn get_or_compute<C, F, V, E>(
        &self,
        reading: &Reading<'_>,
        compute: C,
    ) -> Result<Answer, ReadError>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value>,
        E: std::fmt::Display,
    {
        match self.0.find(reading)? {
            Found::Answer { answer, refresh: false } => Ok(answer),
            Found::Answer { answer, refresh: true } => {
                self.0.refresh_behind(reading, &answer, compute)?;
                Ok(answer)
            }
            Found::Nothing => {
                let bound = self.0.bind(reading)?;
                self.0.clone().wait_or_lead(bound, compute).await
            }
        }
    }

    /// Computes the reading now, whatever the cache holds, unless somebody is already doing so.
    pub async fn recompute<C, F, V, E>(
        &self,
        reading: &Reading<'_>,
        compute: C,
    ) -> Result<Answer, ReadError>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value>,
        E: std::fmt::Display,
    {
        let bound = self.0.bind(reading)?;
        let started = self.0.clock.now();
        let mut compute = Some(compute);
        loop {
            let joined = match self.0.join(&bound, started) {
                // What was begun before this call is not what was asked for.
                Role::Follow(flight, _) => {
                    self.0.landed(&flight, started + bound.deadline).await?;
                    continue;
                }
                Role::Lead(lead) => (lead, compute.take()),
            };
            let (lead, Some(compute)) = joined else {
                return Err(self.0.too_late(started));
            };
            let flight = lead.flight.clone();
            self.0.clone().spawn_flight(lead, bound.clone(), Want::Anew, compute);
            return match self.0.wait(&flight, Joined::FIRST, &bound, started).await? {
                Waited::Answer(answer) => Ok(answer),
                Waited::Again => Err(self.0.too_late(started)),
            };
        }
    }

    /// For computes that are not a closure: either a value, or the right to make one.
    ///
    /// Between the two calls nobody else computes this reading. Data must be read after `begin`
    /// has returned; then [`Ticket::commit`] or [`Ticket::fail`].
    pub async fn begin(&self, reading: &Reading<'_>) -> Result<Beginning, ReadError> {
        if let Found::Answer { answer, refresh: false } = self.0.find(reading)? {
            return Ok(Beginning::Answer(answer));
        }
        let bound = self.0.bind(reading)?;
        let started = self.0.clock.now();
        loop {
            match self.0.join(&bound, started) {
                Role::Lead(lead) => {
                    let flight = lead.flight.clone();
                    match self.0.clone().lead(lead, bound.clone(), Want::Value, started).await {
                        Led::Compute(ticket) => return Ok(Beginning::Compute(*ticket)),
                        Led::Done(_) => {
                            match self.0.wait(&flight, Joined::FIRST, &bound, started).await? {
                                Waited::Answer(answer) => return Ok(Beginning::Answer(answer)),
                                Waited::Again => return Err(self.0.too_late(started)),
                            }
                        }
                    }
                }
                Role::Follow(flight, joined) => {
                    match self.0.wait(&flight, joined, &bound, started).await? {
                        Waited::Answer(answer) => return Ok(Beginning::Answer(answer)),
                        Waited::Again => {}
                    }
                }
            }
        }
    }

    /// Fresh values of many readings, in one wait for those that are not local. `None` where there
    /// is none: [`Cache::begin`] or [`Cache::get_or_compute`] makes it.
    pub async fn get_many(
        &self,
        readings: &[Reading<'_>],
    ) -> Result<Vec<Option<Answer>>, ReadError> {
        self.0.get_many(readings, false).await
    }
}

impl Inner {
    pub(crate) fn join(&self, bound: &Bound, now: Instant) -> Role {
        self.node.flights.join(&bound.key, now, bound.strict())
    }

    fn too_late(&self, started: Instant) -> ReadError {
        ReadError::Deadline { waited: self.clock.now().since(started) }
    }

    async fn wait_or_lead<C, F, V, E>(
        self: Arc<Self>,
        bound: Arc<Bound>,
        compute: C,
    ) -> Result<Answer, ReadError>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value>,
        E: std::fmt::Display,
    {
        let started = self.clock.now();
        let mut compute = Some(compute);
        loop {
            // Counted from when this reader looks, not from when it came: what it is told then
            // must hold then.
            let (flight, joined) = match self.join(&bound, self.clock.now()) {
                Role::Follow(flight, joined) => (flight, joined),
                Role::Lead(lead) => {
                    let Some(compute) = compute.take() else {
                        return Err(self.too_late(started));
                    };
                    let flight = lead.flight.clone();
                    self.clone().spawn_flight(lead, bound.clone(), Want::Value, compute);
                    (flight, Joined::FIRST)
                }
            };
            match self.wait(&flight, joined, &bound, started).await? {
                Waited::Answer(answer) => {
                    bound.row.waited(self.clock.now().since(started));
                    return Ok(answer);
                }
                Waited::Again => {}
            }
            if !bound.strict()
                && let Found::Answer { answer, refresh: false } = self.find_key(bound.key.as_str())
            {
                return Ok(answer);
            }
        }
    }

    /// Refreshes behind a reader that has its answer already.
    fn refresh_behind<C, F, V, E>(
        self: &Arc<Self>,
        reading: &Reading<'_>,
        answer: &Answer,
        compute: C,
    ) -> Result<(), ReadingError>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value>,
        E: std::fmt::Display,
    {
        if !answer.entry.claim_refresh(answer.read_at) {
            return Ok(());
        }
        let bound = self.bind(reading)?;
        if let Role::Lead(lead) = self.join(&bound, answer.read_at) {
            bound.row.count(Count::Refreshes);
            let want = Want::Newer { than: answer.entry.commit };
            let (inner, entry) = (self.clone(), answer.entry.clone());
            self.spawner.spawn(async move {
                if let Err(error) = inner.clone().fly(lead, bound, want, compute).await {
                    let wait = error.retry_after().unwrap_or_default();
                    entry.refresh_not_before(inner.clock.now() + wait);
                }
            });
        }
        Ok(())
    }

    /// Leads a flight in the background to its end, whoever still waits for it.
    fn spawn_flight<C, F, V, E>(
        self: Arc<Self>,
        lead: Lead,
        bound: Arc<Bound>,
        want: Want,
        compute: C,
    ) where
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value>,
        E: std::fmt::Display,
    {
        let spawner = self.spawner.clone();
        // Errors reach those who wait through the flight.
        spawner.spawn(async move { drop(self.fly(lead, bound, want, compute).await) });
    }

    /// Leads a flight to its end.
    async fn fly<C, F, V, E>(
        self: Arc<Self>,
        lead: Lead,
        bound: Arc<Bound>,
        want: Want,
        compute: C,
    ) -> Result<(), ReadError>
    where
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value>,
        E: std::fmt::Display,
    {
        let started = self.clock.now();
        let ticket = match self.clone().lead(lead, bound.clone(), want, started).await {
            Led::Compute(ticket) => ticket,
            Led::Done(Outcome::Failed(error)) => return Err(error),
            Led::Done(_) => return Ok(()),
        };
        let limit = bound.widget.0.compute_limit;
        let work = AssertUnwindSafe(async move { compute().await }).catch_unwind();
        let computed: Result<Value, String> = match self.clock.timeout(limit, work).await {
            Ok(Ok(Ok(value))) => Ok(value.into()),
            Ok(Ok(Err(error))) => Err(error.to_string()),
            Ok(Err(_)) => Err("it panicked".to_owned()),
            Err(_) => Err(format!("it took longer than {limit:?}")),
        };
        match computed {
            Ok(value) => ticket.commit(value).await.map(drop),
            Err(error) => Err(ticket.fail(&error).await),
        }
    }

    /// Looks for a fresh value until there is one, or the lease to make one.
    pub(crate) async fn lead(
        self: Arc<Self>,
        lead: Lead,
        bound: Arc<Bound>,
        want: Want,
        started: Instant,
    ) -> Led {
        match self.search(&lead, &bound, want, started).await {
            Search::Won(ticket) => Led::Compute(Box::new(ticket.into_ticket(self, lead, bound))),
            Search::Ended(outcome) => {
                lead.finish(outcome.clone());
                Led::Done(outcome)
            }
        }
    }

    async fn search(
        self: &Arc<Self>,
        lead: &Lead,
        bound: &Arc<Bound>,
        want: Want,
        started: Instant,
    ) -> Search {
        let flight = &*lead.flight;
        let look_up = LookUp { entry: bound.key.clone(), versions: bound.versions.clone() };
        // A store that takes its time is like one that is down, once patience is over.
        if let Some(answer) = self.local_without_store(bound) {
            flight.offer(answer, false);
        }
        loop {
            let capture = self.node.cells.capture(&bound.versions);
            let phase = flight.capture(capture.clone(), self.shared.trusts(&bound.key));
            let sent_at = self.clock.now();
            let look = match self.shared.look(std::slice::from_ref(&look_up)).await {
                Ok(looks) => looks.into_iter().next().expect("one look for one question"),
                Err(error) => return self.without_store(lead, bound, &error, started).await,
            };
            // Also of an entry that is not usable: what counts is whether it is still the same.
            let seen = look.entry.as_deref().and_then(commit_of);
            let assessed = self.assess(bound, look, &capture, sent_at);
            let mut at_once = false;
            if assessed.is_none() {
                flight.withdraw();
            }
            if let Some(Assessed { entry, standing, keepable }) = assessed {
                if keepable {
                    lead.keep(|| self.node.local.insert(entry.clone()));
                }
                let answer = Answer {
                    entry,
                    state: State::Fresh,
                    tier: Tier::Shared,
                    stored: true,
                    read_at: sent_at,
                };
                let wanted = match want {
                    Want::Value => true,
                    Want::Newer { than } => answer.entry.commit != than,
                    Want::Anew => false,
                };
                match standing {
                    Standing::Fresh if wanted => {
                        return Search::Ended(Outcome::Answer(answer, phase));
                    }
                    Standing::Fresh => {}
                    Standing::Spread if wanted && !bound.strict() => {
                        let answer = answer.stale(StaleBecause::Spread);
                        return Search::Ended(Outcome::Answer(answer, phase));
                    }
                    Standing::Spread => {}
                    _ if bound.strict() => {}
                    Standing::Old(because) => {
                        at_once = want != Want::Anew;
                        flight.offer(answer.stale(because), at_once);
                    }
                    Standing::Changed => {
                        flight.offer(answer.stale(StaleBecause::Change), false);
                    }
                }
            }

            let capture = self.node.cells.capture(&bound.versions);
            let phase = flight.capture(capture.clone(), self.shared.trusts(&bound.key));
            let sent_at = self.clock.now();
            let token = self.random.id();
            let fresh_ids = || Ids { change: self.random.id(), clear: self.random.id() };
            let begin = Begin {
                at: look_up.clone(),
                token,
                node: self.node.id,
                lease: self.settings.lease,
                seen,
                fresh: bound.versions.iter().map(|_| fresh_ids()).collect(),
                keep: self.keep_versions(bound),
                force: want == Want::Anew,
            };
            match self.shared.begin(begin).await {
                Ok(Begun::Won(won)) => {
                    bound.row.count(Count::LeasesWon);
                    let lease = Some((token, won, capture));
                    return Search::Won(Prepared { phase, sent_at, lease });
                }
                Ok(Begun::Changed) => {}
                Ok(Begun::BackOff(back_off)) => {
                    return Search::Ended(Outcome::Failed(ReadError::BackingOff {
                        error: back_off.error,
                        failures: back_off.failures,
                        retry_after: back_off.left,
                    }));
                }
                Ok(Begun::Busy { left }) => {
                    // Who refreshes has nobody waiting for it; whoever holds the lease will do.
                    if at_once || matches!(want, Want::Newer { .. }) {
                        return Search::Ended(Outcome::Again);
                    }
                    bound.row.count(Count::LeaseWaits);
                    let rest = (started + bound.deadline).since(self.clock.now());
                    if rest.is_zero() {
                        return Search::Ended(Outcome::Again);
                    }
                    let nap = left.max(Duration::from_millis(1)).min(limits::LEASE_POLL).min(rest);
                    let _ = self.clock.timeout(nap, flight.released.notified()).await;
                }
                Err(error) => {
                    if matches!(error, StoreError::Unanswered(_)) {
                        self.release_behind(bound, token);
                    }
                    return self.without_store(lead, bound, &error, started).await;
                }
            }
        }
    }

    /// The store cannot be asked: an old value if there is one, else straight from the source,
    /// few at a time.
    async fn without_store(
        self: &Arc<Self>,
        lead: &Lead,
        bound: &Arc<Bound>,
        error: &StoreError,
        started: Instant,
    ) -> Search {
        tracing::debug!(key = bound.key.shown(), %error, "reading without the store");
        if let Some(answer) = self.local_without_store(bound) {
            let phase = lead.flight.capture(Default::default(), None);
            return Search::Ended(Outcome::Answer(answer, phase));
        }
        let now = self.clock.now();
        let rest = (started + bound.deadline).since(now);
        match self.clock.timeout(rest, self.unstored.acquire()).await {
            // The compute is limited by the tickets that hold one; they give it back when dropped.
            Ok(Ok(permit)) => {
                permit.forget();
                bound.row.count(Count::Unstored);
                let phase = lead.flight.capture(Default::default(), None);
                Search::Won(Prepared { phase, sent_at: self.clock.now(), lease: None })
            }
            _ => Search::Ended(Outcome::Failed(error.clone().into())),
        }
    }

    /// What may be served, marked stale, while the store cannot be asked.
    fn local_without_store(&self, bound: &Bound) -> Option<Answer> {
        let read_at = self.clock.now();
        let entry = self.node.local.get(bound.key.as_str())?;
        let usable = !bound.strict() && entry.may_serve_stale(read_at);
        let state = State::Stale(StaleBecause::StoreDown);
        usable.then_some(Answer { entry, state, tier: Tier::Local, stored: true, read_at })
    }

    /// Waits for a flight: for its outcome, for a stale value after the reader's patience, until
    /// the reader's deadline.
    async fn wait(
        &self,
        flight: &Flight,
        joined: Joined,
        bound: &Bound,
        started: Instant,
    ) -> Result<Waited, ReadError> {
        let patient_until = bound.patient_until(started);
        let deadline = started + bound.deadline;
        loop {
            let mut changed = pin!(flight.changed());
            changed.as_mut().enable();
            let now = self.clock.now();
            let progress = flight.progress();
            let usable = |candidate: &Candidate| {
                !progress.dropped && candidate.answer.entry.may_serve_stale(now)
            };
            let candidate = progress.candidate.as_ref().filter(|candidate| usable(candidate));
            match progress.outcome {
                Some(Outcome::Answer(answer, phase)) => {
                    if joined.served_by(phase, self.laws)
                        && (answer.is_fresh() || answer.entry.may_serve_stale(now))
                    {
                        return Ok(Waited::Answer(self.served(bound, answer)));
                    }
                    return Ok(Waited::Again);
                }
                Some(Outcome::Failed(error)) => {
                    return match candidate {
                        Some(candidate) => {
                            Ok(Waited::Answer(self.served(bound, candidate.answer.clone())))
                        }
                        None => Err(error),
                    };
                }
                Some(Outcome::Again) => {
                    return Ok(match candidate {
                        Some(candidate) if candidate.at_once || now >= patient_until => {
                            Waited::Answer(self.served(bound, candidate.answer.clone()))
                        }
                        _ if now >= deadline => return Err(self.too_late(started)),
                        _ => Waited::Again,
                    });
                }
                None => {}
            }
            let until = match candidate {
                Some(candidate) if candidate.at_once || now >= patient_until => {
                    return Ok(Waited::Answer(self.served(bound, candidate.answer.clone())));
                }
                Some(_) => patient_until.min(deadline),
                None => deadline,
            };
            if now >= deadline {
                return Err(self.too_late(started));
            }
            let _ = self.clock.timeout(until.since(now), changed).await;
        }
    }

    /// Waits until a flight has ended, however it ends.
    async fn landed(&self, flight: &Flight, deadline: Instant) -> Result<(), ReadError> {
        let started = self.clock.now();
        loop {
            let mut changed = pin!(flight.changed());
            changed.as_mut().enable();
            if flight.progress().outcome.is_some() {
                return Ok(());
            }
            let now = self.clock.now();
            if now >= deadline {
                return Err(self.too_late(started));
            }
            let _ = self.clock.timeout(deadline.since(now), changed).await;
        }
    }

    fn served(&self, bound: &Bound, answer: Answer) -> Answer {
        bound.row.count(match (answer.state, answer.tier) {
            (State::Stale(_), _) => Count::StaleHits,
            (State::Fresh, Tier::Local) => Count::LocalHits,
            (State::Fresh, Tier::Shared) => Count::SharedHits,
            (State::Fresh, Tier::Computed) => Count::Misses,
        });
        answer
    }

    /// Fresh values only. With `strict`, all of them by asking the shared tier.
    pub(crate) async fn get_many(
        &self,
        readings: &[Reading<'_>],
        strict: bool,
    ) -> Result<Vec<Option<Answer>>, ReadError> {
        if readings.len() > limits::READINGS_PER_CALL {
            let limit = limits::READINGS_PER_CALL;
            return Err(ReadingError::TooMany { count: readings.len(), limit }.into());
        }
        let mut answers = vec![None; readings.len()];
        let mut asked = Vec::new();
        let mut look_ups = Vec::new();
        for (index, reading) in readings.iter().enumerate() {
            if !strict
                && let Found::Answer { answer, .. } = self.find(reading)?
                && answer.is_fresh()
            {
                answers[index] = Some(answer);
                continue;
            }
            let bound = self.bind(reading)?;
            let (entry, versions) = (bound.key.clone(), bound.versions.clone());
            look_ups.push(LookUp { entry, versions });
            asked.push((index, self.node.cells.capture(&bound.versions), bound));
        }
        if asked.is_empty() {
            return Ok(answers);
        }
        let sent_at = self.clock.now();
        let looks = self.shared.look(&look_ups).await?;
        for ((index, capture, bound), look) in asked.into_iter().zip(looks) {
            let Some(assessed) = self.assess(&bound, look, &capture, sent_at) else { continue };
            if assessed.standing == Standing::Fresh {
                let answer = Answer {
                    entry: assessed.entry,
                    state: State::Fresh,
                    tier: Tier::Shared,
                    stored: true,
                    read_at: sent_at,
                };
                answers[index] = Some(self.served(&bound, answer));
            }
        }
        Ok(answers)
    }

    /// How long the versions of a reading must live to outlive its entry.
    pub(crate) fn keep_versions(&self, bound: &Bound) -> Duration {
        let freshness = &bound.widget.0.freshness;
        let compute = bound.widget.0.compute_limit + self.settings.lease;
        freshness.ttl + freshness.grace + compute + limits::VERSION_MARGIN
    }
}

/// How a search ends.
enum Search {
    Ended(Outcome),
    Won(Prepared),
}
