//! Work in chunks over a stream: chunks shrink when memory is tight and grow back when it is not.

use std::{fmt, future::Future, pin::pin, sync::Arc, task::Poll};

use futures_util::{Stream, StreamExt};

use crate::{Account, Budget, Pressure};

/// How large chunks may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSize {
    /// What is asked for while memory is plenty.
    pub most: usize,
    pub least: usize,
}

impl ChunkSize {
    pub fn at_most(most: usize) -> Self {
        Self { most: most.max(1), least: (most / 16).max(1) }
    }
}

/// Decides how large the next chunk is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizer {
    size: ChunkSize,
    next: usize,
}

impl Sizer {
    pub fn new(size: ChunkSize) -> Self {
        Self { size, next: size.most }
    }

    pub fn next(&self) -> usize {
        self.next
    }

    /// Halves under elevated pressure, falls to the least under critical, and grows by an eighth
    /// of the most otherwise: quick to give way, slow to come back.
    pub fn adapt(&mut self, pressure: Pressure) {
        let ChunkSize { most, least } = self.size;
        self.next = match pressure {
            Pressure::None => self.next + (most / 8).max(1),
            Pressure::Elevated => self.next / 2,
            Pressure::Critical => least,
        }
        .clamp(least, most);
    }
}

/// Where chunks learn how tight it is.
#[derive(Clone)]
pub struct ChunkMemory {
    account: Account,
    budget: Option<Budget>,
    observer: Option<Observer>,
}

type Observer = Arc<dyn Fn(SmallerChunks) + Send + Sync>;

/// Chunks had to get smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmallerChunks {
    pub pressure: Pressure,
    pub from: usize,
    pub to: usize,
}

impl ChunkMemory {
    pub fn new(account: Account, budget: Option<Budget>) -> Self {
        Self { account, budget, observer: None }
    }

    /// Tells `observer` whenever chunks get smaller.
    pub fn observed(self, observer: impl Fn(SmallerChunks) + Send + Sync + 'static) -> Self {
        Self { observer: Some(Arc::new(observer)), ..self }
    }

    /// The tighter of the account and the budget.
    pub fn pressure(&self) -> Pressure {
        let of_account = self.account.usage().and_then(|usage| {
            usage.limit_bytes.map(|limit| Pressure::of(usage.current_bytes, limit))
        });
        let of_budget = self.budget.as_ref().map(Budget::pressure);
        of_account.max(of_budget).unwrap_or_default()
    }
}

impl fmt::Debug for ChunkMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, budget, observer: _ } = self;
        f.debug_struct("ChunkMemory")
            .field("account", account)
            .field("budget", budget)
            .finish_non_exhaustive()
    }
}

/// Hands the items of `stream` to `each`, a chunk at a time, inside of the account. After a chunk
/// free pages go back to the system if memory is tight. `each` saves the cursor: what it has
/// returned from need not be done again.
pub async fn in_chunks<S, W, E>(
    stream: S,
    size: ChunkSize,
    memory: &ChunkMemory,
    mut each: impl FnMut(Vec<S::Item>) -> W,
) -> Result<(), E>
where
    S: Stream,
    W: Future<Output = Result<(), E>>,
    E: From<crate::Exceeded>,
{
    let work = async {
        let mut stream = pin!(stream);
        let mut sizer = Sizer::new(size);
        loop {
            let chunk = next_chunk(&mut stream, sizer.next()).await;
            if chunk.is_empty() {
                return Ok(());
            }
            memory.account.check()?;
            // Before the chunk is gone: what it took counts.
            let (from, pressure) = (sizer.next(), memory.pressure());
            sizer.adapt(pressure);
            if let Some(observer) = memory.observer.as_ref().filter(|_| sizer.next() < from) {
                observer(SmallerChunks { pressure, from, to: sizer.next() });
            }
            each(chunk).await?;
            memory.account.check()?;
            if memory.pressure() > Pressure::None {
                crate::purge();
            }
        }
    };
    memory.account.wrap(work).await
}

/// Up to `most` items; fewer at the end, none after it.
async fn next_chunk<S: Stream + Unpin>(stream: &mut S, most: usize) -> Vec<S::Item> {
    let mut chunk = Vec::new();
    std::future::poll_fn(|cx| {
        while chunk.len() < most {
            match stream.poll_next_unpin(cx) {
                Poll::Ready(Some(item)) => chunk.push(item),
                Poll::Ready(None) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    })
    .await;
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_give_way_quickly_and_come_back_slowly() {
        let mut sizer = Sizer::new(ChunkSize::at_most(100));
        assert_eq!(sizer.next(), 100);
        let mut after = |pressure| {
            sizer.adapt(pressure);
            sizer.next()
        };
        assert_eq!(after(Pressure::Elevated), 50);
        assert_eq!(after(Pressure::None), 62);
        assert_eq!(after(Pressure::Critical), 6);
        assert_eq!(after(Pressure::Elevated), 6);
        for _ in 0..10 {
            after(Pressure::None);
        }
        assert_eq!(after(Pressure::None), 100);
    }

    #[tokio::test]
    async fn every_item_comes_once_and_in_order() {
        let memory = ChunkMemory::new(Account::unlimited("chunks"), None);
        let (mut seen, mut lengths) = (Vec::new(), Vec::new());
        let stream = futures_util::stream::iter(0..250);
        let work = in_chunks(stream, ChunkSize::at_most(100), &memory, |chunk| {
            lengths.push(chunk.len());
            seen.extend(chunk);
            std::future::ready(Ok::<(), crate::Exceeded>(()))
        });
        work.await.expect("nothing is exceeded");
        assert_eq!(seen, (0..250).collect::<Vec<_>>());
        assert_eq!(lengths, [100, 100, 50]);
    }
}
