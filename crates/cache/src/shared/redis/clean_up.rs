//! Looking over all keys, in small steps, for entries past all use and leases of dead processes.
//!
//! Entries expire by themselves; what is left are those made of parts older than they are. Leases
//! run out by themselves too: removing one early lets somebody else compute at once. A process
//! lives while it listens to a master.

use std::collections::HashSet;

use samovar_store::redis::{Link, Pipeline, QueryError, Value};

use super::{RedisTier, lease::read_lease, reply};
use crate::{
    entry::{LIFE_BYTES, gone_at_ms},
    key::EntryKey,
    limits,
    shared::{CleanedUp, Release, StoreError},
};

/// Keys that one step looks at, more or less: the server does nothing else meanwhile.
const STEP: usize = 500;

/// Goes over all keys of one kind at one master.
struct Scan {
    mark: &'static str,
    /// `None` at the end.
    cursor: Option<String>,
}

impl Scan {
    fn of(mark: &'static str) -> Self {
        Self { mark, cursor: Some("0".to_owned()) }
    }
}

impl RedisTier {
    pub(crate) async fn clean_up(
        &self,
        expired: bool,
        leases: bool,
        dry_run: bool,
    ) -> Result<CleanedUp, StoreError> {
        let mut found = CleanedUp::default();
        let links = self.redis.links();
        if links.is_empty() {
            return Err(StoreError::Unavailable("no master is connected".to_owned()));
        }
        for link in &links {
            if expired {
                let mut scan = Scan::of(":e:");
                while let Some(keys) = self.step(link, &mut scan).await? {
                    self.clean_entries(link, &keys, dry_run, &mut found).await?;
                }
            }
            if leases {
                let mut alive = self.alive().await?;
                let mut scan = Scan::of(":l:");
                while let Some(keys) = self.step(link, &mut scan).await? {
                    self.clean_leases(link, &keys, dry_run, &mut alive, &mut found).await?;
                }
            }
        }
        Ok(found)
    }

    /// The texts of the next keys of a scan, which may be none; `None` when it is over.
    async fn step(&self, link: &Link, scan: &mut Scan) -> Result<Option<Vec<String>>, StoreError> {
        let Some(cursor) = scan.cursor.take() else { return Ok(None) };
        let mut question = Pipeline::with_capacity(1);
        let glob = self.names.glob(scan.mark);
        question.cmd("SCAN").arg(cursor).arg("MATCH").arg(glob).arg("COUNT").arg(STEP);
        let mut said = ask(link, &question).await?.into_iter();
        let (next, keys) = match said.next() {
            Some(Value::Array(parts)) => match <[Value; 2]>::try_from(parts) {
                Ok([next, Value::Array(keys)]) => (next, keys),
                _ => return Err(reply::unexpected("SCAN")),
            },
            _ => return Err(reply::unexpected("SCAN")),
        };
        let next = reply::text(&next).unwrap_or("0");
        scan.cursor = (next != "0").then(|| next.to_owned());
        let text = |key| self.names.text(reply::text(key)?).filter(|text| is_of(text, scan.mark));
        Ok(Some(keys.iter().filter_map(text).map(str::to_owned).collect()))
    }

    async fn clean_entries(
        &self,
        link: &Link,
        keys: &[String],
        dry_run: bool,
        found: &mut CleanedUp,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut question = Pipeline::with_capacity(keys.len() * 2 + 1);
        for key in keys {
            question.cmd("GETRANGE").arg(self.names.key(key)).arg(0).arg(LIFE_BYTES - 1);
            question.cmd("STRLEN").arg(self.names.key(key));
        }
        question.cmd("TIME");
        let mut said = ask(link, &question).await?;
        let now_ms = match said.pop() {
            Some(Value::Array(time)) => reply::time_ms(&time),
            _ => None,
        };
        let now_ms = now_ms.ok_or_else(|| reply::unexpected("TIME"))?;
        let mut removal = Pipeline::new();
        for (key, [header, length]) in keys.iter().zip(said.as_chunks::<2>().0) {
            let Value::BulkString(header) = header else { continue };
            if gone_at_ms(header).is_none_or(|gone_at| gone_at > now_ms) {
                continue;
            }
            found.expired_bytes += reply::integer(length).unwrap_or(0).unsigned_abs();
            list(key, &mut found.expired, &mut found.unlisted);
            removal.cmd("UNLINK").arg(self.names.key(key));
        }
        // One that was committed meanwhile goes too: it will be computed once more.
        if !dry_run && !removal.is_empty() {
            ask(link, &removal).await?;
        }
        Ok(())
    }

    async fn clean_leases(
        &self,
        link: &Link,
        keys: &[String],
        dry_run: bool,
        alive: &mut HashSet<u64>,
        found: &mut CleanedUp,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut question = Pipeline::with_capacity(keys.len());
        for key in keys {
            question.cmd("GET").arg(self.names.key(key));
        }
        let said = ask(link, &question).await?;
        let lease = |value: &Value| match value {
            Value::BulkString(lease) => read_lease(lease, 0),
            _ => None,
        };
        let mut held: Vec<_> = keys.iter().zip(said.iter().filter_map(lease)).collect();
        held.retain(|(_, lease)| !alive.contains(&lease.node));
        if held.is_empty() {
            return Ok(());
        }
        // A process that was not there a moment ago may have been starting, or reconnecting.
        *alive = self.alive().await?;
        held.retain(|(_, lease)| !alive.contains(&lease.node));
        for (key, lease) in held {
            list(key, &mut found.dead_leases, &mut found.unlisted);
            if !dry_run {
                let entry = EntryKey::from_stored(&key.replacen(":l:", ":e:", 1));
                // By the token: what somebody else has taken meanwhile stays.
                self.release(Release { entry, token: lease.token, failure: None }).await?;
            }
        }
        Ok(())
    }

    /// The processes that listen to any master.
    async fn alive(&self) -> Result<HashSet<u64>, StoreError> {
        let mut alive = HashSet::from([self.redis.options().node]);
        for link in self.redis.links() {
            let nodes = self.redis.nodes_at(&link).await;
            alive.extend(nodes.map_err(|error| reply::error(&error))?);
        }
        Ok(alive)
    }
}

/// A glob cannot tell where the hash tag ends.
fn is_of(text: &str, mark: &str) -> bool {
    text.find('}').is_some_and(|end| text[end + 1..].starts_with(mark))
}

fn list(key: &str, listed: &mut Vec<String>, unlisted: &mut u64) {
    if listed.len() < limits::LISTED_KEYS {
        listed.push(key.to_owned());
    } else {
        *unlisted += 1;
    }
}

/// Asks one master and nobody else.
async fn ask(link: &Link, question: &Pipeline) -> Result<Vec<Value>, StoreError> {
    link.query(question).await.map_err(|error: QueryError| reply::error(&error))
}
