//! Our cache with every reading in its local tier. The shared tier behind it is the embedded one.

use std::{hint::black_box, sync::Arc};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use samovar_cache::{Answer, Cache, ReadError, Reading, Tag, Widget};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::deck::{self, Card, Parts, SMALL_VALUE};

const MEMORY: u64 = 1 << 30;
/// Computes at a time while it is filled.
const FILLERS: usize = 256;

#[derive(Debug)]
pub struct Resident(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Arc<Parts>,
    cache: Cache,
    widgets: Vec<Widget>,
    /// Of the first reading, then of the second, and so on.
    tags: Vec<Tag>,
    tags_each: usize,
    _folder: TempDir,
}

impl Resident {
    /// Computes a value for each of the first `readings` readings, and makes sure that all stay.
    pub async fn fill(parts: &Arc<Parts>, tags_each: usize, readings: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let cache = Cache::builder().memory(MEMORY).open(folder.path()).await?;
        let inner = Arc::new(Inner {
            parts: parts.clone(),
            widgets: parts.declare(&cache)?,
            cache,
            tags: (0..readings).flat_map(|index| parts.tags(index, tags_each)).collect(),
            tags_each,
            _folder: folder,
        });
        let resident = Self(inner);
        resident.compute_all(readings).await?;
        // Readings whose versions were made at the same time by others are not kept at first.
        for index in 0..readings {
            if resident.get(index).is_none() {
                resident.get_or_compute(index).await?;
            }
        }
        resident.check(readings)?;
        Ok(resident)
    }

    async fn compute_all(&self, readings: usize) -> Result<()> {
        let mut fillers = JoinSet::new();
        for first in 0..FILLERS {
            let inner = self.0.clone();
            fillers.spawn(async move {
                for index in (first..readings).step_by(FILLERS) {
                    inner.compute(index).await?;
                }
                Ok::<_, ReadError>(())
            });
        }
        while let Some(filled) = fillers.join_next().await {
            filled??;
        }
        Ok(())
    }

    fn check(&self, readings: usize) -> Result<()> {
        let state = self.0.cache.local_state();
        ensure!(state.entries == readings, "not everything stayed: {state:?}");
        for index in 0..readings {
            let answer =
                self.get(index).with_context(|| format!("reading {index} is not local"))?;
            ensure!(answer.stored_bytes().0.len() == SMALL_VALUE, "{answer:?}");
            if index == 0 {
                let mut key = String::new();
                deck::write_key(&self.0.parts, &self.0.parts.card(0), &mut key);
                ensure!(key.ends_with(answer.key()), "{key} is not {}", answer.key());
            }
        }
        Ok(())
    }

    /// What is measured: the reading is made from its parts and looked up.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Answer> {
        let card = self.0.parts.card(index);
        self.0.cache.get(&self.0.reading(&card, index))
    }

    /// Hits, each with a look at the bytes.
    pub fn get_each(&self, draws: &[u32]) {
        for &index in draws {
            let answer = self.get(index as usize).expect("everything is resident");
            black_box(answer.stored_bytes().0.as_ref());
        }
    }

    /// Hits, each with a handle on the bytes that outlives the answer.
    pub fn get_each_owned(&self, draws: &[u32]) {
        for &index in draws {
            let answer = self.get(index as usize).expect("everything is resident");
            black_box(answer.bytes().expect("not compressed").as_ref());
        }
    }

    /// The same through the call that would compute.
    pub async fn get_or_compute(&self, index: usize) -> Result<Answer, ReadError> {
        self.0.compute(index).await
    }
}

impl Inner {
    #[inline]
    fn reading<'a>(&'a self, card: &'a Card<'a>, index: usize) -> Reading<'a> {
        self.widgets[card.widget]
            .reading(card.tenant)
            .params(&card.params)
            .tags(&self.tags[index * self.tags_each..][..self.tags_each])
    }

    async fn compute(&self, index: usize) -> Result<Answer, ReadError> {
        let card = self.parts.card(index);
        let compute = move || async move {
            Ok::<Bytes, std::convert::Infallible>(deck::payload(index as u64, SMALL_VALUE))
        };
        self.cache.get_or_compute(&self.reading(&card, index), compute).await
    }
}
