//! A widget in the shadow of what it is to replace: it is computed, kept and compared like any other,
//! and served to nobody.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use samovar_cache::Value;
use serde::Serialize;

use crate::{
    engine::{Inner, Served},
    reading::BoundReading,
};

/// How the readings of one widget compared with what the source says at that time.
#[derive(Debug, Default)]
pub(crate) struct Shadow {
    /// One comparison at a time: it costs a compute.
    comparing: AtomicBool,
    seen: Mutex<Comparisons>,
}

/// Counted by this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparisons {
    /// What would have been served is what the source said.
    pub equal: u64,
    pub different: u64,
    /// There was nothing to compare.
    pub failed: u64,
    pub last_difference: Option<Difference>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub at_ms: i64,
    pub key: String,
    /// Of what would have been served.
    pub age_ms: u64,
    pub fresh: bool,
}

impl Shadow {
    pub(crate) fn comparisons(&self) -> Comparisons {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Ends the comparison, however it ends.
struct Comparing(Arc<Served>);

impl Drop for Comparing {
    fn drop(&mut self) {
        self.0.shadow.comparing.store(false, Ordering::Release);
    }
}

impl Inner {
    /// Compares in the background, unless this widget is being compared already.
    pub(crate) fn compare(self: &Arc<Self>, reading: BoundReading) {
        let shadow = &reading.served.shadow;
        if shadow.comparing.swap(true, Ordering::AcqRel) {
            return;
        }
        let inner = self.clone();
        tokio::spawn(async move {
            let comparing = Comparing(reading.served.clone());
            let found = inner.comparison(&reading).await;
            let mut seen = comparing.0.shadow.seen.lock().unwrap_or_else(PoisonError::into_inner);
            match found {
                Ok(None) => seen.equal += 1,
                Ok(Some(difference)) => {
                    seen.different += 1;
                    seen.last_difference = Some(difference);
                }
                Err(()) => seen.failed += 1,
            }
        });
    }

    async fn comparison(
        self: &Arc<Self>,
        reading: &BoundReading,
    ) -> Result<Option<Difference>, ()> {
        let answer = self.answer(reading).await.map_err(drop)?;
        let served = answer.bytes().map_err(drop)?;
        let now = self.clone().compute(reading.clone()).await.map_err(drop)?;
        let is_equal = match &now {
            Value::Read(bytes, _) | Value::Bytes(bytes) => *bytes == served,
            Value::Absent => served.is_empty(),
        };
        Ok((!is_equal).then(|| Difference {
            at_ms: self.clock.wall().as_millis(),
            key: answer.key().to_owned(),
            age_ms: answer.age().as_millis().try_into().unwrap_or(u64::MAX),
            fresh: answer.is_fresh(),
        }))
    }
}
