//! What a worker says of jobs it holds: they run, they live, how far they are.

use futures_util::future::try_join_all;
use samovar_store::redis::Call;

use super::{
    RedisStore,
    claim::millis,
    id_bytes, pack,
    queues::Places,
    reply,
    scripts::{NOTE, ONCE, RENEW, START},
};
use crate::{
    job::{Held, Progress, cut},
    limits,
    name::{Hold, JobId, QueueName},
    store::{Renew, StoreError},
};

impl RedisStore {
    pub(crate) async fn start(&self, holds: Vec<Hold>) -> Result<Vec<Held>, StoreError> {
        let places = self.places(&ids(&holds)).await?;
        self.tell(&holds, places, |queue| self.call(&START, queue)).await
    }

    pub(crate) async fn renew(&self, renew: Renew) -> Result<Vec<Held>, StoreError> {
        self.outage.leased(renew.lease);
        let lease_ms = millis(renew.lease);
        let holds = &renew.holds;
        let places = match renew.queue {
            Some(queue) => vec![(queue, (0..holds.len()).collect())],
            None => self.places(&ids(holds)).await?,
        };
        self.tell(holds, places, |queue| self.call(&RENEW, queue).arg(lease_ms)).await
    }

    /// Asks each queue about its jobs; nobody holds what is nowhere.
    async fn tell<'s>(
        &self,
        holds: &[Hold],
        places: Places,
        begin: impl Fn(&QueueName) -> Call<'s>,
    ) -> Result<Vec<Held>, StoreError> {
        let ask = |(queue, at): &(QueueName, Vec<usize>)| {
            let packed = at.iter().map(|index| pack::hold(holds[*index]));
            (queue.clone(), packed.fold(begin(queue), Call::arg))
        };
        let calls: Vec<_> = places.iter().map(ask).collect();
        let told = try_join_all(calls.iter().map(|(queue, call)| async move {
            self.write(queue, call, true).await?.ok_or_else(reply::unexpected)?.integers()
        }));
        let mut all = vec![Held::Lost; holds.len()];
        for ((_, at), told) in places.iter().zip(told.await?) {
            for (index, told) in at.iter().zip(told) {
                all[*index] = held(told);
            }
        }
        Ok(all)
    }

    pub(crate) async fn progress(
        &self,
        hold: Hold,
        progress: Progress,
    ) -> Result<Held, StoreError> {
        let note = cut(progress.note.clone(), limits::REASON_BYTES);
        self.note(hold, "p", &pack::progress(&progress, &note), "").await
    }

    pub(crate) async fn checkpoint(&self, hold: Hold, value: Vec<u8>) -> Result<Held, StoreError> {
        self.note(hold, "c", &value, "").await
    }

    pub(crate) async fn record_once(
        &self,
        hold: Hold,
        key: String,
        value: Vec<u8>,
    ) -> Result<Held, StoreError> {
        self.note(hold, "o", &value, &key).await
    }

    async fn note(
        &self,
        hold: Hold,
        what: &str,
        value: &[u8],
        key: &str,
    ) -> Result<Held, StoreError> {
        let places = self.places(&[hold.id]).await?;
        let Some((queue, _)) = places.first() else { return Ok(Held::Lost) };
        let call = self
            .call(&NOTE, queue)
            .arg(pack::hold(hold))
            .arg(what)
            .arg(value)
            .arg(key)
            .arg(limits::ONCE_PER_JOB);
        let mut answer = self.write(queue, &call, true).await?.ok_or_else(reply::unexpected)?;
        Ok(held(answer.integer()?))
    }

    pub(crate) async fn once(&self, id: JobId, key: String) -> Result<Option<Vec<u8>>, StoreError> {
        let places = self.places(&[id]).await?;
        let Some((queue, _)) = places.first() else { return Ok(None) };
        let call = self.call(&ONCE, queue).arg(&id_bytes(id)[..]).arg(key);
        self.ask(queue, &call).await?.map(|mut answer| answer.bytes()).transpose()
    }
}

fn ids(holds: &[Hold]) -> Vec<JobId> {
    holds.iter().map(|hold| hold.id).collect()
}

fn held(told: i64) -> Held {
    match told {
        1 => Held::Yes,
        2 => Held::Cancelled,
        _ => Held::Lost,
    }
}
