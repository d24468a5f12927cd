//! Futures that work for an account at every poll, and spawning that keeps it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::task::JoinHandle;

use super::{Account, scope::Inherited};

pin_project_lite::pin_project! {
    /// A future that enters its account whenever it is polled, on whatever thread.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InAccount<F> {
        account: Inherited,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for InAccount<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let future = this.future;
        this.account.scope(|| future.poll(cx))
    }
}

impl Account {
    /// Follows `future` through its awaits.
    pub fn wrap<F: Future>(&self, future: F) -> InAccount<F> {
        InAccount { account: Inherited(Some(self.clone())), future }
    }
}

/// Follows `future` for the account that is running here and now.
pub fn inherit_future<F: Future>(future: F) -> InAccount<F> {
    InAccount { account: Inherited::here(), future }
}

/// `tokio::spawn` for the running account.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio::spawn(inherit_future(future))
}

/// `tokio::task::spawn_blocking` for the running account.
pub fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let inherited = Inherited::here();
    tokio::task::spawn_blocking(move || inherited.scope(work))
}

/// `std::thread::spawn` for the running account.
pub fn spawn_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let inherited = Inherited::here();
    std::thread::spawn(move || inherited.scope(work))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inherit;

    fn running() -> String {
        Account::running().map(|account| account.job().to_owned()).unwrap_or_default()
    }

    #[tokio::test]
    async fn the_account_follows_through_awaits_and_spawns() {
        let account = Account::unlimited("follows");
        let seen = account.wrap(async {
            let before = running();
            tokio::task::yield_now().await;
            let spawned = spawn(async { running() }).await.expect("it ends");
            let blocking = spawn_blocking(running).await.expect("it ends");
            let thread = spawn_thread(running).join().expect("it ends");
            let scoped =
                std::thread::scope(|scope| scope.spawn(inherit(running)).join().expect("it ends"));
            [before, running(), spawned, blocking, thread, scoped]
        });
        assert_eq!(seen.await, ["follows"; 6]);
        assert_eq!(running(), "");
    }
}
