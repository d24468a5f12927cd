//! Questions that many attempts have for the store at the same time go to it as one call: while one
//! is on its way, the next ones gather. Nobody waits for others, except for those that are running
//! already and about to ask.

use std::{collections::VecDeque, fmt, future::Future, sync::Arc};

use tokio::sync::{mpsc, oneshot};

use crate::{Finish, Finished, Held, Hold, NewJob, Outcome, Store, StoreError, limits};

type Asked<Q, A> = (Q, Waiting<A>);
type Waiting<A> = oneshot::Sender<Result<A, StoreError>>;

/// What attempts of one queue have to tell its store.
#[derive(Clone, Debug)]
pub(super) struct Reports {
    pub(super) starts: Gather<Hold, Held>,
    pub(super) finishes: Gather<Finish, Finished>,
}

impl Reports {
    pub(super) fn to(store: &Arc<Store>) -> Self {
        let (starting, finishing) = (store.clone(), store.clone());
        let start = move |holds| {
            let store = starting.clone();
            async move { store.start(holds).await }
        };
        let finish = move |finishes| {
            let store = finishing.clone();
            async move { store.finish(finishes).await }
        };
        Self { starts: Gather::start(|_| 1, start), finishes: Gather::start(weight, finish) }
    }
}

/// What one call may carry. Something heavier goes alone.
const CALL_WEIGHT: usize = 4096;

/// In jobs, and kilobytes.
fn weight(finish: &Finish) -> usize {
    let Outcome::Done { result, follow_ups } = &finish.outcome else { return 1 };
    let bytes = |job: &NewJob| job.payload.len();
    let bytes = follow_ups.iter().map(bytes).sum::<usize>() + result.as_ref().map_or(0, Vec::len);
    1 + follow_ups.len() + bytes / 1024
}

/// Clones ask together.
pub(super) struct Gather<Q, A>(mpsc::Sender<Asked<Q, A>>);

impl<Q, A> Gather<Q, A>
where
    Q: Clone + Send + Sync + 'static,
    A: Send + 'static,
{
    /// `ask` gives an answer for each question, in their order.
    fn start<F>(weigh: fn(&Q) -> usize, ask: impl Fn(Vec<Q>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<A>, StoreError>> + Send,
    {
        let (sender, mut asked) = mpsc::channel(limits::JOBS_PER_CALL);
        tokio::spawn(async move {
            let mut some: VecDeque<Asked<Q, A>> = VecDeque::new();
            while let Some(first) = next(&mut asked, &mut some).await {
                some.push_front(first);
                gather(&mut asked, &mut some).await;
                let mut weight = 0;
                let fits = some.iter().take_while(|(question, _)| {
                    weight += weigh(question);
                    weight <= CALL_WEIGHT
                });
                let count = fits.count().max(1);
                tell(&ask, some.drain(..count).unzip()).await;
            }
        });
        Self(sender)
    }

    pub(super) async fn ask(&self, question: Q) -> Result<A, StoreError> {
        let (waits, answer) = oneshot::channel();
        let unanswered = || StoreError::Unavailable("its runtime ends".to_owned());
        self.0.send((question, waits)).await.map_err(|_| unanswered())?;
        answer.await.map_err(|_| unanswered())?
    }
}

/// What is left from before, or else the next one that is asked.
async fn next<T>(asked: &mut mpsc::Receiver<T>, some: &mut VecDeque<T>) -> Option<T> {
    match some.pop_front() {
        Some(first) => Some(first),
        None => asked.recv().await,
    }
}

/// Whoever asks now, and whoever is about to.
async fn gather<T>(asked: &mut mpsc::Receiver<T>, some: &mut VecDeque<T>) {
    let mut found = 0;
    while found < some.len() && some.len() < limits::JOBS_PER_CALL {
        found = some.len();
        tokio::task::yield_now().await;
        while some.len() < limits::JOBS_PER_CALL
            && let Ok(more) = asked.try_recv()
        {
            some.push_back(more);
        }
    }
}

async fn tell<Q: Clone, A, F>(
    ask: &impl Fn(Vec<Q>) -> F,
    (questions, waiting): (Vec<Q>, Vec<Waiting<A>>),
) where
    F: Future<Output = Result<Vec<A>, StoreError>>,
{
    match ask(questions.clone()).await {
        Ok(answers) => {
            for (answer, waits) in answers.into_iter().zip(waiting) {
                let _ = waits.send(Ok(answer));
            }
        }
        // One of them is to blame, and the others are not.
        Err(StoreError::Refused(_) | StoreError::Damaged(_)) if questions.len() > 1 => {
            for (question, waits) in questions.into_iter().zip(waiting) {
                let _ = waits.send(one(ask, question).await);
            }
        }
        Err(error) => {
            for waits in waiting {
                let _ = waits.send(Err(error.clone()));
            }
        }
    }
}

async fn one<Q, A, F>(ask: &impl Fn(Vec<Q>) -> F, question: Q) -> Result<A, StoreError>
where
    F: Future<Output = Result<Vec<A>, StoreError>>,
{
    let missing = || StoreError::Damaged("a question was not answered".to_owned());
    ask(vec![question]).await?.pop().ok_or_else(missing)
}

impl<Q, A> Clone for Gather<Q, A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<Q, A> fmt::Debug for Gather<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gather")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::store::Refusal;

    fn refused() -> StoreError {
        Refusal::TooManyWorkers { limit: 0 }.into()
    }

    #[tokio::test]
    async fn what_is_asked_meanwhile_goes_as_one_and_everybody_gets_his_own_answer() {
        let (calls, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(0)));
        let gather = {
            let (calls, gate) = (calls.clone(), gate.clone());
            Gather::start(
                |_| 1,
                move |some: Vec<u32>| {
                    calls.lock().expect("sound").push(some.len());
                    let gate = gate.clone();
                    async move {
                        gate.acquire().await.expect("open").forget();
                        Ok(some.into_iter().map(|it| it * 2).collect())
                    }
                },
            )
        };
        let first = tokio::spawn({
            let gather = gather.clone();
            async move { gather.ask(1).await }
        });
        while calls.lock().expect("sound").is_empty() {
            tokio::task::yield_now().await;
        }
        let others = join_all((2..10).map(|it| gather.ask(it)));
        let (answers, ()) = tokio::join!(others, async { gate.add_permits(9) });
        let answers: Vec<_> = answers.into_iter().map(|it| it.expect("answered")).collect();
        assert_eq!(answers, [4, 6, 8, 10, 12, 14, 16, 18]);
        assert_eq!(first.await.expect("runs"), Ok(2));
        assert_eq!(*calls.lock().expect("sound"), [1, 8]);
    }

    #[tokio::test]
    async fn the_one_that_is_refused_does_not_take_others_with_it() {
        let gather = Gather::start(
            |_| 1,
            |some: Vec<u32>| async move { if some.contains(&13) { Err(refused()) } else { Ok(some) } },
        );
        let answers = join_all([1, 13, 2].map(|it| gather.ask(it))).await;
        assert_eq!(answers, [Ok(1), Err(refused()), Ok(2)]);
    }

    #[tokio::test]
    async fn a_store_that_is_away_tells_all_of_them() {
        let away = StoreError::Unavailable("away".to_owned());
        let gather: Gather<u32, u32> = Gather::start(|_| 1, {
            let away = away.clone();
            move |_| std::future::ready(Err(away.clone()))
        });
        let answers = join_all([1, 2].map(|it| gather.ask(it))).await;
        assert_eq!(answers, [Err(away.clone()), Err(away)]);
    }

    #[tokio::test]
    async fn a_call_carries_no_more_than_it_may() {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let counted = calls.clone();
        let gather = Gather::start(
            |weight: &usize| *weight,
            move |some: Vec<usize>| {
                counted.lock().expect("sound").push(some.clone());
                std::future::ready(Ok(some))
            },
        );
        let weights = [CALL_WEIGHT - 1, 1, 1, CALL_WEIGHT + 7, 2];
        let answers = join_all(weights.map(|it| gather.ask(it))).await;
        assert_eq!(answers, weights.map(Ok));
        let expected = [vec![CALL_WEIGHT - 1, 1], vec![1], vec![CALL_WEIGHT + 7], vec![2]];
        assert_eq!(*calls.lock().expect("sound"), expected);
    }
}
