//! The way of a pipeline to the master that does it, and its second and third tries.

use std::{sync::Arc, time::Duration};

use ::redis::{Arg, Cmd, Pipeline, Value};

use super::{
    address::Address,
    backoff::Backoff,
    error::{QueryError, Repeat, Unavailable},
    link::Link,
    reply::{self, Turn},
    script::Script,
    shared::Shared,
    slot, topology,
};

/// Commands whose keys share one slot.
pub(super) struct Request<'a> {
    pub(super) key: &'a [u8],
    pub(super) pipeline: &'a Pipeline,
    /// The script behind each command; empty where none is one.
    pub(super) scripts: &'a [&'a Script],
    pub(super) repeat: Repeat,
}

/// Answers and the link they came over.
pub(super) type Answer = (Vec<Value>, Arc<Link>);

pub(super) async fn query(
    shared: &Arc<Shared>,
    request: &Request<'_>,
) -> Result<Answer, QueryError> {
    let slot = slot::of(request.key);
    let mut attempts = 0;
    // The usual case, on its own because it copies nothing.
    loop {
        attempts += 1;
        let link = shared.link_to_slot(slot).await?;
        match link.send(request.pipeline).await {
            Ok(values) => {
                if reply::first_error(&values).is_some() {
                    return Rest::new(shared, request, slot, attempts).finish(values, link).await;
                }
                // An answer that met the end of its link says nothing about the incarnation.
                if !link.is_ended() || !may_repeat(shared, request, attempts) {
                    return Ok((values, link));
                }
            }
            Err(error) => match error {
                // It ended between being found and being used.
                QueryError::Unavailable(Unavailable::Down { .. })
                    if attempts <= shared.options.retries => {}
                QueryError::Unanswered { .. } if may_repeat(shared, request, attempts) => {}
                error => return Err(error),
            },
        }
    }
}

fn may_repeat(shared: &Shared, request: &Request<'_>, attempts: u32) -> bool {
    request.repeat == Repeat::Safe && attempts <= shared.options.retries
}

/// What is left of a pipeline some of whose commands were not done.
struct Rest<'a> {
    shared: &'a Arc<Shared>,
    request: &'a Request<'a>,
    slot: u16,
    attempts: u32,
    pause: Backoff,
    /// The commands that only publish. They follow whatever is sent again, on the same connection:
    /// a message must not stay ahead of the change that it tells of.
    messages: Vec<usize>,
}

/// Where a command goes next.
#[derive(Clone, PartialEq)]
enum Via {
    Owner,
    /// To this master, which does not own the slot yet.
    Asking(Address),
}

/// A command that has to be sent again.
#[derive(Clone)]
struct Pending {
    index: usize,
    via: Via,
    load: bool,
}

impl<'a> Rest<'a> {
    fn new(shared: &'a Arc<Shared>, request: &'a Request<'a>, slot: u16, attempts: u32) -> Self {
        let pauses = (shared.options.retry_pause, Duration::from_secs(1));
        let commands = request.pipeline.cmd_iter().enumerate();
        let messages = commands.filter(|(_, command)| publishes(command)).map(|(index, _)| index);
        let messages = messages.collect();
        Self { shared, request, slot, attempts, pause: Backoff::new(pauses), messages }
    }

    async fn finish(
        mut self,
        mut values: Vec<Value>,
        mut link: Arc<Link>,
    ) -> Result<Answer, QueryError> {
        let all: Vec<Pending> = (0..values.len())
            .map(|index| Pending { index, via: Via::Owner, load: false })
            .collect();
        // Of each answer, the link it came over, as long as that is one and the same.
        let mut only: Option<Arc<Link>> = None;
        let mut waiting = self.sort(&mut values, all, &link, &mut only).await?;
        while let Some(first) = waiting.first() {
            let via = first.via.clone();
            let (now, later) = waiting.into_iter().partition(|pending| pending.via == via);
            waiting = later;
            let now = self.with_messages(now, &via);
            link = match &via {
                Via::Owner => self.shared.link_to_slot(self.slot).await?,
                Via::Asking(address) => self.shared.link_to(address).await?,
            };
            let again = self.send(&mut values, now, &link, &mut only).await?;
            waiting.extend(again);
        }
        match reply::first_error(&values) {
            Some((index, error)) => Err(link.refused(index, error)),
            None => Ok((values, only.unwrap_or(link))),
        }
    }

    fn with_messages(&self, mut now: Vec<Pending>, via: &Via) -> Vec<Pending> {
        let first = now.iter().map(|pending| pending.index).min().unwrap_or(0);
        for &index in self.messages.iter().filter(|index| **index > first) {
            if now.iter().all(|pending| pending.index != index) {
                now.push(Pending { index, via: via.clone(), load: false });
            }
        }
        now.sort_unstable_by_key(|pending| pending.index);
        now
    }

    /// Sends commands again, puts their answers into place, and returns those still not done.
    async fn send(
        &mut self,
        values: &mut [Value],
        now: Vec<Pending>,
        link: &Arc<Link>,
        only: &mut Option<Arc<Link>>,
    ) -> Result<Vec<Pending>, QueryError> {
        self.attempts += 1;
        let commands: Vec<&Cmd> = self.request.pipeline.cmd_iter().collect();
        let mut pipeline = Pipeline::new();
        // For each command that is sent, whose answer it brings.
        let mut answers: Vec<Option<usize>> = Vec::new();
        for pending in &now {
            if pending.load {
                pipeline.add_command(self.request.scripts[pending.index].load());
                answers.push(None);
            }
            if let Via::Asking(_) = pending.via {
                pipeline.cmd("ASKING");
                answers.push(None);
            }
            pipeline.add_command(commands[pending.index].clone());
            answers.push(Some(pending.index));
        }
        match link.send(&pipeline).await {
            Ok(got) => {
                for (value, place) in got.into_iter().zip(answers) {
                    if let Some(index) = place {
                        values[index] = value;
                    }
                }
                self.sort(values, now, link, only).await
            }
            Err(QueryError::Unanswered { .. }) if self.may_repeat() => Ok(now),
            Err(QueryError::Unavailable(Unavailable::Down { .. })) if self.has_attempts() => {
                Ok(now)
            }
            Err(error) => Err(error),
        }
    }

    /// Tells the commands that were done from those to be sent again, and waits where that helps.
    async fn sort(
        &mut self,
        values: &mut [Value],
        sent: Vec<Pending>,
        link: &Arc<Link>,
        only: &mut Option<Arc<Link>>,
    ) -> Result<Vec<Pending>, QueryError> {
        let mut again = Vec::new();
        let mut wait = false;
        for mut pending in sent {
            let Value::ServerError(error) = &values[pending.index] else {
                // Whoever passed a message on has said nothing about a key.
                if !self.messages.contains(&pending.index) {
                    self.came_over(link, only);
                }
                continue;
            };
            link.note(error);
            let turn = reply::turn(error, link.address());
            let is_cluster = self.shared.options.is_cluster();
            match turn {
                Turn::Moved { slot, to } if is_cluster => {
                    pending.via = Via::Owner;
                    wait |= !topology::learn(self.shared, &to, Some(slot));
                }
                Turn::Ask { to } if is_cluster => {
                    wait |= !topology::learn(self.shared, &to, None);
                    pending.via = Via::Asking(to);
                }
                Turn::Later { .. } => {
                    pending.via = Via::Owner;
                    wait = true;
                }
                Turn::NotNow => {
                    pending.via = Via::Owner;
                    self.shared.look_again.notify_one();
                    wait = true;
                }
                Turn::UnknownScript if pending.index < self.request.scripts.len() => {
                    pending.load = true;
                }
                // Reported when the other commands are done.
                _ => continue,
            }
            if !self.has_attempts() {
                return Err(QueryError::TurnedAway {
                    address: link.address().clone(),
                    index: pending.index,
                    code: error.code().into(),
                    attempts: self.attempts,
                });
            }
            again.push(pending);
        }
        if wait {
            let pause = self.pause.pause(&self.shared.random);
            self.shared.clock.sleep(pause).await;
        }
        Ok(again)
    }

    fn came_over(&self, link: &Arc<Link>, only: &mut Option<Arc<Link>>) {
        match only {
            None => *only = Some(link.clone()),
            Some(first) if Arc::ptr_eq(first, link) => {}
            Some(_) => {
                let id = self.shared.random.id();
                *only = Some(Arc::new(Link::stand_in(link.address().clone(), id)));
            }
        }
    }

    fn has_attempts(&self) -> bool {
        self.attempts <= self.shared.options.retries
    }

    fn may_repeat(&self) -> bool {
        self.request.repeat == Repeat::Safe && self.has_attempts()
    }
}

fn publishes(command: &Cmd) -> bool {
    matches!(command.args_iter().next(), Some(Arg::Simple(name)) if name.eq_ignore_ascii_case(b"PUBLISH"))
}
