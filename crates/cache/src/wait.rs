//! How a reader waits for a flight: not past its patience if there is a stale value, never past its
//! deadline.

use std::{pin::pin, sync::Arc};

use samovar_clock::Instant;

use crate::{
    answer::{Answer, ReadError, State, Tier},
    cache::Inner,
    flight::{Candidate, Flight, Joined, Outcome, Progress},
    limits,
    stats::Count,
    widget::Bound,
};

/// How a wait for somebody else's flight ends.
pub(crate) enum Waited {
    Answer(Answer),
    /// The flight had nothing for this reader.
    Again,
}

impl Inner {
    /// Waits for a flight: for its outcome, for a stale value after the reader's patience, until
    /// the reader's deadline.
    pub(crate) async fn wait(
        &self,
        flight: &Arc<Flight>,
        joined: Joined,
        bound: &Bound,
        started: Instant,
    ) -> Result<Waited, ReadError> {
        let patient_until = bound.patient_until(started);
        let deadline = started + bound.deadline;
        let silent_until = started + bound.silence();
        let overdue = self.clock.now() + limits::OVERDUE_LOOK;
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
                None if progress.store_spoke => deadline,
                None if now < silent_until => silent_until.min(deadline),
                None => match self.local_without_store(bound) {
                    Some(answer) => return Ok(Waited::Answer(self.served(bound, answer))),
                    None => deadline,
                },
            };
            if now >= deadline {
                return Err(self.too_late(started));
            }
            let Some(attended) = self.attended(flight, bound, &progress, overdue, now) else {
                return Ok(Waited::Again);
            };
            let _ = self.clock.timeout(until.min(attended).since(now), changed).await;
        }
    }

    /// Waits until a flight has ended, however it ends.
    pub(crate) async fn landed(
        &self,
        flight: &Arc<Flight>,
        bound: &Bound,
        started: Instant,
    ) -> Result<(), ReadError> {
        let deadline = started + bound.deadline;
        let overdue = self.clock.now() + limits::OVERDUE_LOOK;
        loop {
            let mut changed = pin!(flight.changed());
            changed.as_mut().enable();
            let (now, progress) = (self.clock.now(), flight.progress());
            if progress.outcome.is_some() {
                return Ok(());
            }
            if now >= deadline {
                return Err(self.too_late(started));
            }
            let Some(attended) = self.attended(flight, bound, &progress, overdue, now) else {
                return Ok(());
            };
            let _ = self.clock.timeout(deadline.min(attended).since(now), changed).await;
        }
    }

    /// Until when the leader of a flight is surely at work. `None` if a reader leads it that seems
    /// to stand still: its flight is abandoned, so that another one can begin.
    fn attended(
        &self,
        flight: &Arc<Flight>,
        bound: &Bound,
        progress: &Progress,
        overdue: Instant,
        now: Instant,
    ) -> Option<Instant> {
        if progress.in_background {
            return Some(Instant::FAR_FUTURE);
        }
        if now < overdue {
            return Some(overdue);
        }
        self.node.flights.abandon(bound.key.as_str(), flight);
        None
    }

    pub(crate) fn served(&self, bound: &Bound, answer: Answer) -> Answer {
        bound.row.count(match (answer.state, answer.tier) {
            (State::Stale(_), _) => Count::StaleHits,
            (State::Fresh, Tier::Local) => Count::LocalHits,
            (State::Fresh, Tier::Shared) => Count::SharedHits,
            (State::Fresh, Tier::Computed) => Count::Misses,
        });
        answer
    }

    pub(crate) fn too_late(&self, started: Instant) -> ReadError {
        ReadError::Deadline { waited: self.clock.now().since(started) }
    }
}
