//! Access on Redis: alone, behind Sentinel, or a Cluster. All of it is in one slot, and an operation is
//! one script there.

mod answer;
mod scripts;

use std::{sync::Arc, time::Duration};

use samovar_clock::{Clock, Random, Spawner};
use samovar_store::redis::{
    Call, ConnectError, Link, Lost, Options, OptionsError, QueryError, Redis, Repeat, Script,
    Value, pipe,
};

use self::{
    answer::{Answer, number, unexpected, words},
    scripts as script,
};
use super::{
    Found, StoreError, Times, TokenRecord, TokenShown, UserRecord, UserShown, ms, read, write,
};
use crate::{Entry, Hash, NewEntry, TokenId, UserName, limits};

/// How long a replica may take to confirm a write.
const CONFIRM_WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct RedisStore {
    redis: Redis,
    state: String,
    /// Each write is confirmed by a replica before it is acknowledged.
    replicated: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum RedisOpenError {
    #[error("the address of the Redis for access: {0}")]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Evicts(String),
    #[error(transparent)]
    Store(StoreError),
}

impl RedisStore {
    /// Refuses a Redis that may evict tokens. Has to be called within a Tokio runtime.
    pub async fn connect(
        url: &str,
        replicated: bool,
        clock: Clock,
        random: Random,
    ) -> Result<Self, RedisOpenError> {
        // Nobody's trust hangs on these heartbeats.
        let options = Options {
            beat_every: Duration::from_secs(1),
            trust_bound: Duration::from_secs(2),
            ..Options::parse(url)?
        };
        let state = format!("{}:{{access}}:state", options.prefix);
        let deaf = Arc::new(|_: &[u8]| {});
        let redis = Redis::connect(options, clock, random, Spawner::current(), deaf).await?;
        if let Err(error) = keeps(&redis).await {
            redis.shutdown().await;
            return Err(error);
        }
        Ok(Self { redis, state, replicated })
    }

    pub(super) async fn put_token(
        &self,
        record: TokenRecord,
        hash: Hash,
        lifetime: Option<Duration>,
    ) -> Result<(), StoreError> {
        let lifetime_ms = lifetime.map(|it| ms(it).to_string()).unwrap_or_default();
        let call = self.call(&script::TOKEN_PUT).arg(record.id.to_string());
        let call = call.arg(&hash.as_bytes()[..]).arg(write(&record)).arg(lifetime_ms);
        let call = call.arg(limits::TOKENS).arg(ms(limits::EXPIRED_KEPT));
        self.write(&call).await.map(drop)
    }

    pub(super) async fn tokens(&self) -> Result<Vec<TokenShown>, StoreError> {
        let mut answer = self.ask(&self.call(&script::TOKEN_ALL)).await?.ok_or_else(unexpected)?;
        let now_ms = answer.ms()?;
        let mut tokens = Vec::new();
        while !answer.is_over() {
            let (record, times) = token(&mut answer)?;
            tokens.push(record.shown(now_ms, times));
        }
        Ok(tokens)
    }

    pub(super) async fn drop_token(&self, id: TokenId) -> Result<bool, StoreError> {
        self.whether(&self.call(&script::TOKEN_DROP).arg(id.to_string())).await
    }

    pub(super) async fn note_use(&self, hash: Hash) -> Result<(), StoreError> {
        let call = self.call(&script::TOKEN_USED).arg(&hash.as_bytes()[..]);
        self.write(&call).await.map(drop)
    }

    pub(super) async fn find_token(&self, hash: Hash) -> Result<Option<Found>, StoreError> {
        let call = self.call(&script::TOKEN_FIND).arg(&hash.as_bytes()[..]);
        let Some(mut answer) = self.ask(&call).await? else { return Ok(None) };
        let now_ms = answer.ms()?;
        let (record, times) = token(&mut answer)?;
        Ok(record.found(now_ms, times))
    }

    pub(super) async fn put_user(
        &self,
        name: UserName,
        record: UserRecord,
        password: String,
    ) -> Result<(), StoreError> {
        let call = self.call(&script::USER_PUT).arg(name.as_str()).arg(write(&record));
        self.write(&call.arg(password).arg(limits::USERS)).await.map(drop)
    }

    pub(super) async fn users(&self) -> Result<Vec<UserShown>, StoreError> {
        let mut answer = self.ask(&self.call(&script::USER_ALL)).await?.ok_or_else(unexpected)?;
        let mut users = Vec::new();
        while !answer.is_over() {
            let (name, row) = (answer.text()?, answer.text()?);
            let (name, record, created_ms) = user(name, &row)?;
            users.push(record.shown(name, created_ms, answer.ms()?));
        }
        Ok(users)
    }

    pub(super) async fn password(&self, name: UserName) -> Result<Option<String>, StoreError> {
        let call = self.call(&script::USER_PASSWORD).arg(name.as_str());
        self.ask(&call).await?.map(|mut answer| answer.text()).transpose()
    }

    pub(super) async fn drop_user(&self, name: UserName) -> Result<bool, StoreError> {
        self.whether(&self.call(&script::USER_DROP).arg(name.as_str())).await
    }

    pub(super) async fn set_password(
        &self,
        name: UserName,
        password: String,
    ) -> Result<bool, StoreError> {
        let call = self.call(&script::USER_SET_PASSWORD).arg(name.as_str()).arg(password);
        self.whether(&call).await
    }

    pub(super) async fn put_session(
        &self,
        hash: Hash,
        name: UserName,
        expected: String,
        lifetime: Duration,
    ) -> Result<bool, StoreError> {
        let call = self.call(&script::SESSION_PUT).arg(&hash.as_bytes()[..]).arg(name.as_str());
        self.whether(&call.arg(expected).arg(ms(lifetime)).arg(limits::SESSIONS)).await
    }

    pub(super) async fn find_session(&self, hash: Hash) -> Result<Option<Found>, StoreError> {
        let call = self.call(&script::SESSION_FIND).arg(&hash.as_bytes()[..]);
        let Some(mut answer) = self.ask(&call).await? else { return Ok(None) };
        let (left, name) = (Duration::from_millis(answer.ms()?), answer.text()?);
        let (name, record, _) = user(name, &answer.text()?)?;
        Ok(Some(record.found(name, left)))
    }

    pub(super) async fn drop_session(&self, hash: Hash) -> Result<bool, StoreError> {
        self.whether(&self.call(&script::SESSION_DROP).arg(&hash.as_bytes()[..])).await
    }

    pub(super) async fn record(&self, entry: NewEntry, repeats: bool) -> Result<(), StoreError> {
        let key = if repeats { entry.key() } else { String::new() };
        let call = self.call(&script::ENTRY_PUT).arg(write(&entry)).arg(key);
        self.write(&call.arg(ms(limits::REPEATS)).arg(limits::ENTRIES)).await.map(drop)
    }

    pub(super) async fn entries(
        &self,
        before: Option<u64>,
        rows: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        let call = self.call(&script::ENTRY_PAGE).arg(before).arg(rows);
        let mut answer = self.ask(&call).await?.ok_or_else(unexpected)?;
        let mut entries = Vec::new();
        while !answer.is_over() {
            let row = answer.text()?;
            let ([id, at, last, times], entry) = words(&row)?;
            let (id, at_ms, last_ms, times) =
                (number(id)?, number(at)?, number(last)?, number(times)?);
            entries.push(Entry { id, at_ms, last_ms, times, entry: read("an entry", entry)? });
        }
        Ok(entries)
    }

    pub(super) async fn close(&self) {
        self.redis.shutdown().await;
    }

    fn call<'s>(&self, script: &'s Script) -> Call<'s> {
        script.call(&[&self.state])
    }

    /// A question that changes nothing.
    async fn ask(&self, call: &Call<'_>) -> Result<Option<Answer>, StoreError> {
        let asked = self.redis.run(call, Repeat::Safe).await;
        answer::read(asked.map_err(|error| answer::error(&error))?.0)
    }

    /// A change, as durable as was asked for when this returns. It is sent once more when a broken
    /// connection took the answer, for it changes nothing more then, or is refused.
    async fn write(&self, call: &Call<'_>) -> Result<Option<Answer>, StoreError> {
        let mut done = self.redis.run(call, Repeat::OnlyIfUnsent).await;
        if let Err(QueryError::Unanswered { reason: Lost::Connection, .. }) = done {
            done = self.redis.run(call, Repeat::OnlyIfUnsent).await;
        }
        let (value, link) = done.map_err(|error| answer::error(&error))?;
        if self.replicated {
            confirm(&link).await?;
        }
        answer::read(value)
    }

    async fn whether(&self, call: &Call<'_>) -> Result<bool, StoreError> {
        self.write(call).await?.ok_or_else(unexpected)?.yes()
    }
}

/// On the connection that wrote: it waits for what this connection has written.
async fn confirm(link: &Link) -> Result<(), StoreError> {
    let mut question = pipe();
    question.cmd("WAIT").arg(1).arg(ms(CONFIRM_WITHIN));
    match link.query(&question).await {
        Ok(answers) if matches!(answers[..], [Value::Int(1..)]) => Ok(()),
        _ => Err(StoreError::Unavailable(
            "no replica has confirmed it: it is not known whether it would survive a failover, \
             repeating is safe; look after the replicas, or choose `durability = \"local\"`"
                .to_owned(),
        )),
    }
}

async fn keeps(redis: &Redis) -> Result<(), RedisOpenError> {
    for link in redis.links() {
        let server = link.server().await.map_err(|it| RedisOpenError::Store(answer::error(&it)))?;
        if server.may_evict_durable_keys() {
            return Err(RedisOpenError::Evicts(format!(
                "the Redis at {} may evict tokens and users (maxmemory-policy {}): set \
                 `maxmemory-policy noeviction`, or give the cache a Redis of its own with \
                 `[cache] url`",
                link.address(),
                server.maxmemory_policy
            )));
        }
    }
    Ok(())
}

fn token(answer: &mut Answer) -> Result<(TokenRecord, Times), StoreError> {
    let row = answer.text()?;
    let ([created, expires], record) = words(&row)?;
    let times = Times {
        created_ms: number(created)?,
        expires_ms: (expires != "-").then(|| number(expires)).transpose()?,
        used_ms: answer.maybe_ms()?,
    };
    Ok((read("a token", record)?, times))
}

fn user(name: String, row: &str) -> Result<(UserName, UserRecord, u64), StoreError> {
    let ([created], record) = words(row)?;
    let name = UserName::new(name).map_err(|error| StoreError::Damaged(error.to_string()))?;
    Ok((name, read("a user", record)?, number(created)?))
}
