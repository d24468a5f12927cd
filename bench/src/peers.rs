//! The bare maps that the local tier is measured against, filled with the same keys and values.

use std::{fmt, hint::black_box, sync::Arc};

use anyhow::{Result, ensure};
use bytes::Bytes;
use quick_cache::{UnitWeighter, sync::DefaultLifecycle};

use crate::deck::{self, Parts, READINGS};

type Hasher = foldhash::fast::RandomState;
type Map<V> =
    quick_cache::sync::Cache<Arc<str>, V, UnitWeighter, Hasher, DefaultLifecycle<Arc<str>, V>>;
type Moka = moka::sync::Cache<Arc<str>, Bytes, Hasher>;

/// The bare maps, with the keys and values that our cache has, in memory of their own.
pub struct Peers {
    parts: Arc<Parts>,
    quick_cache: Map<Bytes>,
    quick_slice: Map<Arc<[u8]>>,
    moka: Moka,
}

impl Peers {
    pub fn fill(parts: &Arc<Parts>) -> Result<Self> {
        let room = 2 * READINGS;
        let peers = Self {
            parts: parts.clone(),
            quick_cache: map(room),
            quick_slice: map(room),
            moka: moka::sync::Cache::builder()
                .max_capacity(room as u64)
                .build_with_hasher(Hasher::default()),
        };
        let mut key = String::new();
        for index in 0..READINGS {
            deck::write_key(parts, &parts.card(index), &mut key);
            let value = || deck::payload(index as u64, deck::SMALL_VALUE);
            peers.quick_cache.insert(key.as_str().into(), value());
            peers.quick_slice.insert(key.as_str().into(), Arc::from(&*value()));
            peers.moka.insert(key.as_str().into(), value());
        }
        peers.moka.run_pending_tasks();
        let resident =
            [peers.quick_cache.len(), peers.quick_slice.len(), peers.moka.entry_count() as usize];
        ensure!(resident == [READINGS; 3], "not everything stayed: {resident:?}");
        Ok(peers)
    }

    pub fn quick_cache(&self, draws: &[u32]) {
        self.each(draws, |key| self.quick_cache.get(key));
    }

    pub fn quick_slice(&self, draws: &[u32]) {
        self.each(draws, |key| self.quick_slice.get(key));
    }

    pub fn moka(&self, draws: &[u32]) {
        self.each(draws, |key| self.moka.get(key));
    }

    #[inline]
    fn each<V: AsRef<[u8]>>(&self, draws: &[u32], get: impl Fn(&str) -> Option<V>) {
        let mut key = String::with_capacity(256);
        for &index in draws {
            deck::write_key(&self.parts, &self.parts.card(index as usize), &mut key);
            let value = get(&key).expect("everything is resident");
            black_box(value.as_ref());
        }
    }
}

fn map<V: Clone>(room: usize) -> Map<V> {
    Map::with(room, room as u64, UnitWeighter, Hasher::default(), DefaultLifecycle::default())
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}
