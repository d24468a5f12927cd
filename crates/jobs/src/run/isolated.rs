//! A job that runs in a child process: the parent's side, which answers it and sees how it ends.

use samovar_memory::{
    Admitted,
    child::{Death, Event, Failure, Line, Pool, Request},
};
use tokio::sync::mpsc;

use super::{
    attempt::End,
    context::{Context, Told},
    kind::Stop,
    wire::{self, Answer, Ask, Ended, Question, Said},
};
use crate::{Claimed, Held, StoreError};

/// Questions of one child that wait for their answer. More: the child waits.
const QUESTIONS: usize = 64;
/// Between two attempts to start a child where none can be started.
const START_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Dropping the future kills the child.
pub(super) async fn run(pool: &Pool, job: &Claimed, cx: &Context, admitted: &Admitted) -> End {
    let request = Request {
        work: wire::WORK.to_owned(),
        job: job.hold.id.to_string(),
        limit: job.policy.class.into(),
        input: wire::write(job),
        gauge: admitted.child_gauge(),
    };
    let (asks, asked) = mpsc::channel(QUESTIONS);
    let tell = move |event, line: &Line| {
        if let Event::Progress(question) = event {
            // Nobody listens any more once the attempt is over.
            let _ = asks.blocking_send((question, line.clone()));
        }
    };
    tokio::select! {
        biased;
        () = answer_all(cx, asked) => End::Told(Told::Lost),
        ended = pool.run(request, tell) => end(cx, ended),
    }
}

/// For ever; whatever it is told meanwhile, the child is told as well.
async fn answer_all(cx: &Context, mut asked: mpsc::Receiver<(Vec<u8>, Line)>) {
    let mut told = cx.told_from_now_on();
    let mut line: Option<Line> = None;
    loop {
        tokio::select! {
            question = asked.recv() => match question {
                Some((question, to)) => {
                    answer(cx, &question, &to).await;
                    line = Some(to);
                }
                // How it ended is on its way.
                None => std::future::pending().await,
            },
            Ok(()) = told.changed() => {
                let told = *told.borrow_and_update();
                if let Some(line) = &line {
                    line.say(&wire::write(&Said::Told(told)));
                }
            }
        }
    }
}

async fn answer(cx: &Context, question: &[u8], line: &Line) {
    let Ok(Ask { number, question }) = wire::read(question) else {
        tracing::error!(job = %cx.id(), "a child process is not understood");
        return;
    };
    let (reach, hold) = (cx.reach(), cx.hold());
    let held = |held: Result<Held, StoreError>| held.map(Answer::Held);
    let answer = match question {
        Question::Told => {
            line.say(&wire::write(&Said::Told(cx.told())));
            Ok(Answer::Held(Held::Yes))
        }
        Question::Progress(progress) => held(reach.progress(hold, progress).await),
        Question::Checkpoint(value) => held(cx.checkpoint_raw(value).await),
        Question::Once(key) => reach.once(hold, key).await.map(Answer::Recorded),
        Question::Call(remote) => reach.call(cx.claimed(), &remote).await.map(Answer::IsOpen),
        Question::Called(remote, went) => held(reach.called(cx.claimed(), &remote, went).await),
        Question::RecordOnce(key, value) => held(reach.record_once(hold, key, value).await),
    };
    line.say(&wire::write(&Said::Answer(number, answer.map_err(Into::into))));
}

fn end(cx: &Context, ended: Result<Vec<u8>, Failure>) -> End {
    match ended {
        Ok(output) => match wire::read::<Ended>(&output) {
            Ok(Ended { end, record }) => {
                record.notes.into_iter().for_each(|note| cx.note(note));
                match end {
                    Ok(left) => {
                        cx.leave(left);
                        End::Well
                    }
                    Err(stop) => End::of(stop, cx),
                }
            }
            Err(reason) => End::Stopped(Stop::Error(reason)),
        },
        Err(Failure::Died(death)) => of_death(death),
        Err(Failure::Work(reason)) => End::Stopped(Stop::Error(reason)),
        Err(failure @ Failure::Start(_)) => {
            End::Stopped(Stop::Later { after: START_AGAIN, reason: failure.to_string() })
        }
        Err(Failure::Cancelled) => End::Told(Told::Lost),
    }
}

/// What the job brought about itself, what the machine did, and what nobody knows: poison.
fn of_death(death: Death) -> End {
    let reason = format!("the child process {death}");
    match death {
        Death::Limit { .. } => End::TooBig(reason),
        Death::FailedAllocation { .. } => End::Stopped(Stop::Error(reason)),
        Death::Panicked { message } => End::Stopped(Stop::Error(format!("it panicked: {message}"))),
        Death::HostOutOfMemory
        | Death::Killed { .. }
        | Death::Crashed { .. }
        | Death::Exited { .. } => End::Killed(reason),
    }
}
