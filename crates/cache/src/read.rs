//! The read path as callers see it: the local tier, then one flight per key.

use std::{future::Future, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use samovar_clock::Instant;
use tracing::Instrument;

use crate::{
    answer::{Answer, ReadError, State, Tier, Value},
    cache::{Cache, Found, Inner},
    cells::Capture,
    flight::{Joined, Lead, Outcome, Role},
    judge::{Assessed, Recognised, Standing},
    limits,
    search::{Led, Looked, Want},
    shared::{LookUp, Origin},
    stats::Count,
    ticket::{Parts, Ticket},
    wait::Waited,
    widget::{Bound, Reading, ReadingError},
};

/// What [`Cache::begin`] found.
#[derive(Debug)]
pub enum Beginning {
    Answer(Answer),
    Compute(Ticket),
}

impl Cache {
    /// The reading's value: from the local tier, the shared one, or from `compute`, which then
    /// runs in the background to its end even if the caller goes away once it has begun.
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
        self.get_or_compose(reading, |_| compute()).await
    }

    /// [`Cache::get_or_compute`] for a value that is made of other readings: `compose` reads them
    /// through its [`Parts`], after the value's own stamps were captured.
    pub async fn get_or_compose<C, F, V, E>(
        &self,
        reading: &Reading<'_>,
        compose: C,
    ) -> Result<Answer, ReadError>
    where
        C: FnOnce(Parts) -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value>,
        E: std::fmt::Display,
    {
        match self.0.find(reading)? {
            Found::Answer { answer, refresh: false } => Ok(answer.counted()),
            Found::Answer { answer, refresh: true } => {
                self.0.refresh_behind(reading, &answer, compose)?;
                Ok(answer.counted())
            }
            Found::Nothing => {
                let bound = self.0.bind(reading)?;
                self.0.clone().wait_or_lead(bound, compose).await
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
                    self.0.landed(&flight, &bound, started).await?;
                    continue;
                }
                Role::Lead(lead) => (lead, compute.take()),
            };
            let (lead, Some(compute)) = joined else {
                return Err(self.0.too_late(started));
            };
            let flight = lead.flight.clone();
            let compute = |_: Parts| compute();
            self.0.clone().spawn_flight(lead, bound.clone(), Want::Anew, None, compute);
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
        match self.0.find(reading)? {
            Found::Answer { answer, refresh } if answer.is_fresh() || !refresh => {
                Ok(Beginning::Answer(answer.counted()))
            }
            _ => self.0.begin(self.0.bind(reading)?).await,
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
    async fn begin(self: &Arc<Self>, bound: Arc<Bound>) -> Result<Beginning, ReadError> {
        let started = self.clock.now();
        loop {
            match self.join(&bound, started) {
                Role::Lead(lead) => {
                    lead.flight.goes_to_background();
                    let flight = lead.flight.clone();
                    let inner = self.clone();
                    let leading =
                        Box::pin(inner.lead(lead, bound.clone(), Want::Value, started, None));
                    // To its end, because a lease that was won has to be given back.
                    let rest = (started + bound.deadline).since(self.clock.now());
                    match self.clock.timeout(rest, self.to_its_end(leading)).await {
                        Ok(Some(Led::Compute(ticket))) => {
                            bound.row.count(Count::Misses);
                            return Ok(Beginning::Compute(*ticket));
                        }
                        Ok(Some(Led::Done(_))) => {
                            match self.wait(&flight, Joined::FIRST, &bound, started).await? {
                                Waited::Answer(answer) => return Ok(Beginning::Answer(answer)),
                                Waited::Again => return Err(self.too_late(started)),
                            }
                        }
                        Ok(None) | Err(_) => return Err(self.too_late(started)),
                    }
                }
                Role::Follow(flight, joined) => {
                    match self.wait(&flight, joined, &bound, started).await? {
                        Waited::Answer(answer) => return Ok(Beginning::Answer(answer)),
                        Waited::Again => {}
                    }
                }
            }
        }
    }

    pub(crate) fn join(&self, bound: &Bound, now: Instant) -> Role {
        self.node.flights.join(&bound.key, now, bound.strict())
    }

    async fn wait_or_lead<C, F, V, E>(
        self: Arc<Self>,
        bound: Arc<Bound>,
        compute: C,
    ) -> Result<Answer, ReadError>
    where
        C: FnOnce(Parts) -> F + Send + 'static,
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
                    // The look is the reader's own work: mostly it finds something, and nobody
                    // else has to be woken. A reader that is dropped leaves it to the next.
                    let looked = match self.look_with_patience(&lead, &bound, started).await? {
                        Patient::Looked(looked) => looked,
                        Patient::Stale(answer) => return Ok(self.served(&bound, answer)),
                    };
                    if let Looked::Found(answer, phase) = looked {
                        lead.finish(Outcome::Answer(answer.clone(), phase));
                        bound.row.waited(self.clock.now().since(started));
                        return Ok(self.served(&bound, answer));
                    }
                    let flight = lead.flight.clone();
                    let (inner, looked) = (self.clone(), Some(looked));
                    inner.spawn_flight(lead, bound.clone(), Want::Value, looked, compute);
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
                return Ok(answer.counted());
            }
        }
    }

    /// A reader's own look. While the store is silent, the reader takes an old value of this node
    /// when its patience is over.
    async fn look_with_patience(
        &self,
        lead: &Lead,
        bound: &Bound,
        started: Instant,
    ) -> Result<Patient, ReadError> {
        let mut look = pin!(self.look(lead, bound, Want::Value));
        let left = |limit: Duration| (started + limit).since(self.clock.now());
        if let Ok(looked) = self.clock.timeout(left(bound.silence()), look.as_mut()).await {
            return Ok(Patient::Looked(looked));
        }
        if let Some(answer) = self.local_without_store(bound) {
            return Ok(Patient::Stale(answer));
        }
        match self.clock.timeout(left(bound.deadline), look).await {
            Ok(looked) => Ok(Patient::Looked(looked)),
            Err(_) => Err(self.too_late(started)),
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
        C: FnOnce(Parts) -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value>,
        E: std::fmt::Display,
    {
        if !answer.entry.claim_refresh(answer.read_at) {
            return Ok(());
        }
        let bound = self.bind(reading)?;
        if let Role::Lead(lead) = self.join(&bound, answer.read_at) {
            lead.flight.goes_to_background();
            bound.row.count(Count::Refreshes);
            let want = Want::Newer { than: answer.entry.commit };
            let (inner, entry) = (self.clone(), answer.entry.clone());
            self.spawner.spawn(async move {
                if let Err(error) = inner.clone().fly(lead, bound, want, None, compute).await {
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
        looked: Option<Looked>,
        compute: C,
    ) where
        C: FnOnce(Parts) -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value>,
        E: std::fmt::Display,
    {
        lead.flight.goes_to_background();
        let spawner = self.spawner.clone();
        // Errors reach those who wait through the flight. What it does is done for this reader.
        let flight = async move { drop(self.fly(lead, bound, want, looked, compute).await) };
        spawner.spawn(flight.in_current_span());
    }

    /// Leads a flight to its end. False: somebody else does what was wanted.
    pub(crate) async fn fly<C, F, V, E>(
        self: Arc<Self>,
        lead: Lead,
        bound: Arc<Bound>,
        want: Want,
        looked: Option<Looked>,
        compute: C,
    ) -> Result<bool, ReadError>
    where
        C: FnOnce(Parts) -> F + Send + 'static,
        F: Future<Output = Result<V, E>> + Send + 'static,
        V: Into<Value>,
        E: std::fmt::Display,
    {
        let started = self.clock.now();
        let ticket = match self.clone().lead(lead, bound.clone(), want, started, looked).await {
            Led::Compute(ticket) => ticket,
            Led::Done(Outcome::Failed(error)) => return Err(error),
            Led::Done(Outcome::Again) => return Ok(false),
            Led::Done(Outcome::Answer(..)) => return Ok(true),
        };
        let (limit, parts) = (bound.widget.0.compute_limit, ticket.parts());
        let work = AssertUnwindSafe(async move { compute(parts).await }).catch_unwind();
        let computed: Result<Value, String> = match self.clock.timeout(limit, work).await {
            Ok(Ok(Ok(value))) => Ok(value.into()),
            Ok(Ok(Err(error))) => Err(error.to_string()),
            Ok(Err(_)) => Err("it panicked".to_owned()),
            Err(_) => Err(format!("it took longer than {limit:?}")),
        };
        match computed {
            Ok(value) => ticket.commit(value).await.map(|_| true),
            Err(error) => Err(ticket.fail(&error).await),
        }
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
        let mut open = Vec::new();
        for (index, reading) in readings.iter().enumerate() {
            if !strict
                && let Found::Answer { answer, .. } = self.find(reading)?
                && answer.is_fresh()
            {
                answers[index] = Some(answer.counted());
                continue;
            }
            let bound = self.bind(reading)?;
            let exact = strict || bound.strict() || self.node.local.holds(bound.key.as_str());
            open.push(Open { index, bound, exact });
        }
        while !open.is_empty() {
            let sent_at = self.clock.now();
            let asked: Vec<Asked> =
                open.drain(..).map(|open| self.to_be_asked(open, sent_at)).collect();
            let look_ups: Vec<LookUp> = asked.iter().map(Asked::look_up).collect();
            let looks = self.shared.look(&look_ups).await?;
            for (Asked { open: it, capture, global }, look) in asked.into_iter().zip(looks) {
                let bound = &it.bound;
                let assessed = match global {
                    None => self.assess(bound, look, &capture, sent_at),
                    Some(global) => match self.recognise(bound, look, &capture, global, sent_at) {
                        Recognised::Known(assessed) => assessed,
                        Recognised::Unsure => {
                            open.push(Open { exact: true, ..it });
                            continue;
                        }
                    },
                };
                if let Some(Assessed { entry, standing: Standing::Fresh, .. }) = assessed {
                    let (state, tier) = (State::Fresh, Tier::Shared);
                    let answer = Answer { entry, state, tier, stored: true, read_at: sent_at };
                    answers[it.index] = Some(self.served(bound, answer));
                }
            }
        }
        Ok(answers)
    }

    fn to_be_asked(&self, open: Open, now: Instant) -> Asked {
        let capture = self.node.cells.capture(&open.bound.versions);
        let origins = self.shared.origins(&open.bound.key).filter(|_| !open.exact);
        let global = origins
            .filter(|origins| self.vouched(&capture, origins, now))
            .map(|origins| origins.global);
        Asked { open, capture, global }
    }
}

/// What a reader's own look led to.
enum Patient {
    Looked(Looked),
    /// The store was silent for too long; to be served as it is.
    Stale(Answer),
}

/// One of many readings, not answered yet.
struct Open {
    index: usize,
    bound: Arc<Bound>,
    /// Its versions are to be asked for, whoever vouches for them.
    exact: bool,
}

/// One of many readings, about to be asked for.
struct Asked {
    open: Open,
    capture: Capture,
    /// Where its global versions are, if its versions need not be asked for.
    global: Option<Origin>,
}

impl Asked {
    fn look_up(&self) -> LookUp {
        match self.global {
            Some(_) => self.open.bound.look_up_entry(),
            None => self.open.bound.look_up(),
        }
    }
}
