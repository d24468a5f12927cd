//! Conditions awaited with a limit. The one place where tests may let time pass.
#![expect(
    clippy::disallowed_methods,
    reason = "outside processes cannot be awaited otherwise: polled here so that no test sleeps"
)]

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Asks `check` again and again until it answers, at most for `limit`.
///
/// # Errors
/// When `limit` has passed; the message names `what` was awaited.
pub fn until<T>(limit: Duration, what: &str, mut check: impl FnMut() -> Option<T>) -> Result<T> {
    let mut pace = Pace::new(limit);
    loop {
        if let Some(answer) = check() {
            return Ok(answer);
        }
        std::thread::sleep(pace.next(what)?);
    }
}

/// As [`until`], for checks that are futures.
///
/// # Errors
/// When `limit` has passed; the message names `what` was awaited.
pub async fn until_async<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    what: &str,
    mut check: impl FnMut() -> F,
) -> Result<T> {
    let mut pace = Pace::new(limit);
    loop {
        if let Some(answer) = check().await {
            return Ok(answer);
        }
        tokio::time::sleep(pace.next(what)?).await;
    }
}

/// Short pauses first, so that quick things are seen quickly.
struct Pace {
    start: Instant,
    limit: Duration,
    pause: Duration,
}

impl Pace {
    fn new(limit: Duration) -> Self {
        Self { start: Instant::now(), limit, pause: FIRST_PAUSE }
    }

    fn next(&mut self, what: &str) -> Result<Duration> {
        if self.start.elapsed() >= self.limit {
            bail!("waited {:?} in vain for {what}", self.limit);
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Ok(pause)
    }
}
