//! What the leader of a flight does: look at the shared tier, and take the lease if there is
//! nothing fresh.

use std::{sync::Arc, time::Duration};

use samovar_clock::Instant;

use crate::{
    answer::{Answer, ReadError, StaleBecause, State, Tier},
    cache::Inner,
    cells::Capture,
    entry::commit_of,
    flight::{Lead, Outcome},
    judge::{Assessed, Recognised, Standing},
    laws::Law,
    limits,
    shared::{Begin, Begun, Look, LookUp, Origins, StoreError},
    stats::Count,
    ticket::{Prepared, Ticket},
    version::Ids,
    widget::Bound,
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

/// How a search ends.
enum Search {
    Won(Prepared),
    Ended(Outcome),
}

/// What a leader's look at the shared tier led to.
pub(crate) enum Looked {
    /// What the leader is after, and the capture that stood before it.
    Found(Answer, u32),
    /// Nothing that the leader is after.
    Open {
        /// The commit of the entry that is there, usable or not.
        seen: Option<u64>,
        /// Those who wait have been offered an old value that nothing says has changed.
        at_once: bool,
    },
    /// The store cannot be asked.
    Failed(StoreError),
}

impl Inner {
    /// Looks for a fresh value until there is one, or the lease to make one. `looked` is what the
    /// first look led to, if that has been made.
    pub(crate) async fn lead(
        self: Arc<Self>,
        lead: Lead,
        bound: Arc<Bound>,
        want: Want,
        started: Instant,
        looked: Option<Looked>,
    ) -> Led {
        match self.search(&lead, &bound, want, started, looked).await {
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
        mut looked: Option<Looked>,
    ) -> Search {
        let flight = &*lead.flight;
        loop {
            let looked = match looked.take() {
                Some(looked) => looked,
                None => self.look(lead, bound, want).await,
            };
            let (seen, at_once) = match looked {
                Looked::Open { seen, at_once } => (seen, at_once),
                Looked::Found(answer, phase) => {
                    return Search::Ended(Outcome::Answer(answer, phase));
                }
                Looked::Failed(error) => {
                    return self.without_store(lead, bound, &error, want, started).await;
                }
            };
            let capture = self.node.cells.capture(&bound.versions);
            let phase = flight.capture(capture.clone(), self.shared.origins(&bound.key));
            let sent_at = self.clock.now();
            let token = self.random.id();
            let fresh_ids = || Ids { change: self.random.id(), clear: self.random.id() };
            let begin = Begin {
                at: bound.look_up(),
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
                    return self.without_store(lead, bound, &error, want, started).await;
                }
            }
        }
    }

    /// Looks at the shared tier once, keeps what is worth it, and offers what may be served stale.
    pub(crate) async fn look(&self, lead: &Lead, bound: &Bound, want: Want) -> Looked {
        let flight = &*lead.flight;
        let origins = self.shared.origins(&bound.key);
        let capture = self.node.cells.capture(&bound.versions);
        let phase = flight.capture(capture.clone(), origins.clone());
        let sent_at = self.clock.now();
        let asked = self.ask(bound, &capture, origins, sent_at).await;
        flight.store_has_spoken();
        let (seen, assessed) = match asked {
            Ok(found) => found,
            Err(error) => return Looked::Failed(error),
        };
        let Some(Assessed { entry, standing, keepable }) = assessed else {
            flight.withdraw();
            return Looked::Open { seen, at_once: false };
        };
        if keepable && bound.widget.0.local {
            lead.keep(|| self.node.local.insert(entry.clone()));
            self.node.news.notify_one();
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
        let mut at_once = false;
        match standing {
            Standing::Fresh if wanted => return Looked::Found(answer, phase),
            Standing::Fresh => {}
            Standing::Spread if wanted && !bound.strict() => {
                let answer = answer.stale(StaleBecause::Spread);
                return Looked::Found(answer, phase);
            }
            Standing::Spread => {}
            _ if bound.strict() => {}
            Standing::Old(because) => {
                at_once = want != Want::Anew;
                flight.offer(answer.stale(because), at_once);
            }
            Standing::Changed => flight.offer(answer.stale(StaleBecause::Change), false),
        }
        Looked::Open { seen, at_once }
    }

    /// What the shared tier holds, and which commit that is: also of an entry that is not usable,
    /// since what counts is whether it is still the same.
    ///
    /// Versions for which trusted listeners vouch are not asked for: nor would they be if the local
    /// tier held the entry. But for a strict widget, and where the local tier does hold one, which
    /// is not fresh any more: the shared one is hardly better, and would have to be asked about.
    async fn ask(
        &self,
        bound: &Bound,
        capture: &Capture,
        origins: Option<Origins>,
        sent_at: Instant,
    ) -> Result<(Option<u64>, Option<Assessed>), StoreError> {
        let exact = || bound.strict() || self.node.local.holds(bound.key.as_str());
        if let Some(origins) = origins
            && self.vouched(capture, &origins, sent_at)
            && !exact()
        {
            let look = self.look_up(bound.look_up_entry()).await?;
            let seen = look.entry.as_deref().and_then(commit_of);
            let found = self.recognise(bound, look, capture, origins.global, sent_at);
            if let Recognised::Known(assessed) = found {
                return Ok((seen, assessed));
            }
        }
        let look = self.look_up(bound.look_up()).await?;
        let seen = look.entry.as_deref().and_then(commit_of);
        Ok((seen, self.assess(bound, look, capture, sent_at)))
    }

    async fn look_up(&self, question: LookUp) -> Result<Look, StoreError> {
        let looks = self.shared.look(std::slice::from_ref(&question)).await?;
        Ok(looks.into_iter().next().expect("one look for one question"))
    }

    /// Whether a reading's versions need not be asked for.
    pub(crate) fn vouched(&self, capture: &Capture, origins: &Origins, now: Instant) -> bool {
        let trusted = origins.trusted(now) || !self.laws.hold(Law::SilenceEndsTrust);
        trusted && capture.vouched(origins, now, self.laws)
    }

    /// The store cannot be asked: an old value if there is one, else straight from the source,
    /// few at a time.
    async fn without_store(
        self: &Arc<Self>,
        lead: &Lead,
        bound: &Arc<Bound>,
        error: &StoreError,
        want: Want,
        started: Instant,
    ) -> Search {
        tracing::debug!(key = bound.key.shown(), %error, "reading without the store");
        if matches!(want, Want::Newer { .. }) {
            // What a refresh computes now would be kept nowhere, and readers need the places.
            return Search::Ended(Outcome::Failed(error.clone().into()));
        }
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
    pub(crate) fn local_without_store(&self, bound: &Bound) -> Option<Answer> {
        let read_at = self.clock.now();
        let entry = self.node.local.get(bound.key.as_str())?;
        let usable = !bound.strict() && entry.may_serve_stale(read_at);
        let state = State::Stale(StaleBecause::StoreDown);
        usable.then_some(Answer { entry, state, tier: Tier::Local, stored: true, read_at })
    }

    /// How long the versions of a reading must live to outlive its entry.
    pub(crate) fn keep_versions(&self, bound: &Bound) -> Duration {
        let freshness = &bound.widget.0.freshness;
        let compute = bound.widget.0.compute_limit + self.settings.lease;
        freshness.ttl + freshness.grace + compute + limits::VERSION_MARGIN
    }
}
