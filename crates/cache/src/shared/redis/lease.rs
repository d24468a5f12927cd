//! The life of a lease: begin, renew, then commit or release.

use std::{sync::Arc, time::Duration};

use samovar_store::redis::{Call, Link, Pipeline, Repeat, Value};

use super::{
    RedisTier,
    keys::Scopes,
    reply,
    scripts::{BEGIN, COMMIT, RELEASE, RENEW, VERSIONS},
};
use crate::{
    entry::COMMIT_AT,
    key::EntryKey,
    shared::{
        BackOff, Begin, Begun, Commit, Committed, LeaseState, Message, Origins, Release,
        StoreError, Won,
    },
    version::{Ids, Version},
};

/// The count of failures outlives the wait by this long.
const REMEMBER_FAILURES: Duration = Duration::from_secs(600);

impl RedisTier {
    pub(crate) async fn begin(&self, begin: Begin) -> Result<Begun, StoreError> {
        let scopes = Scopes(&begin.at.versions);
        let fresh = |index: usize| Version::new(begin.fresh[index]).encode();
        let [lease, entry, back_off] = self.names.reading(&begin.at.entry);
        let mut keys = vec![lease, entry, back_off];
        keys.extend(scopes.of(false).map(|(_, key)| self.names.full(key.as_str())));
        let seen = begin.seen.map(|commit| commit.to_be_bytes());
        let call = BEGIN
            .call(&keys)
            .arg(begin.token.to_be_bytes().as_slice())
            .arg(begin.node.to_be_bytes().as_slice())
            .arg(millis(begin.lease))
            .arg(seen.as_ref().map_or(&[][..], |commit| commit))
            .arg(COMMIT_AT)
            .arg(u8::from(begin.force));
        let call =
            scopes.of(false).fold(lives(call, begin.keep), |call, (i, _)| call.arg(fresh(i)));

        let Some(ensure) = self.versions_call(scopes, begin.keep, Some(&begin.fresh)) else {
            let (value, link) = self.run(&call, Repeat::OnlyIfUnsent).await?;
            return self.begun(&begin, value, &link, None).await;
        };
        let (leased, ensured) = self.run_both(&call, &ensure, Repeat::OnlyIfUnsent).await;
        let (value, link) = leased?;
        self.begun(&begin, value, &link, Some(ensured)).await
    }

    async fn begun(
        &self,
        begin: &Begin,
        value: Value,
        link: &Arc<Link>,
        ensured: Option<super::Said>,
    ) -> Result<Begun, StoreError> {
        let Value::Array(said) = value else { return Err(reply::unexpected("a begin")) };
        let leased = match read_leased(said) {
            Some(Leased::Won { versions, now_ms }) => (versions, now_ms),
            Some(Leased::Not(begun)) => return Ok(begun),
            None => return Err(reply::unexpected("a begin")),
        };
        // From here on the lease is ours, to be used or to be given back.
        match won(begin, leased, link, ensured) {
            Ok(won) => Ok(Begun::Won(won)),
            Err(error) => {
                let entry = begin.at.entry.clone();
                let release = Release { entry, token: begin.token, failure: None };
                if let Err(error) = self.release(release).await {
                    tracing::debug!(%error, "a lease could not be given back; it will run out");
                }
                Err(error)
            }
        }
    }

    /// Reads the global versions and lengthens their lives; makes them if ids are given.
    fn versions_call(
        &self,
        scopes: Scopes<'_>,
        keep: Duration,
        fresh: Option<&[Ids]>,
    ) -> Option<Call<'static>> {
        let keys: Vec<_> = scopes.of(true).map(|(_, key)| self.names.full(key.as_str())).collect();
        if keys.is_empty() {
            return None;
        }
        let mut call = lives(VERSIONS.call(&keys), keep);
        if let Some(fresh) = fresh {
            for (index, _) in scopes.of(true) {
                call = call.arg(Version::new(fresh[index]).encode());
            }
        }
        Some(call)
    }

    pub(crate) async fn renew(
        &self,
        entry: &EntryKey,
        token: u64,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let call = RENEW
            .call(&[self.names.full(&entry.lease())])
            .arg(token.to_be_bytes().as_slice())
            .arg(millis(lease));
        let (value, _) = self.run(&call, Repeat::Safe).await?;
        Ok(reply::integer(&value) == Some(1))
    }

    pub(crate) async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let scopes = Scopes(&commit.at.versions);
        let [lease, entry, back_off] = self.names.reading(&commit.at.entry);
        let mut keys = vec![lease, entry, back_off];
        keys.extend(scopes.of(false).map(|(_, key)| self.names.full(key.as_str())));
        let call = COMMIT
            .call(&keys)
            .arg(commit.token.to_be_bytes().as_slice())
            .arg(&commit.value[..])
            .arg(millis(commit.life))
            .arg(COMMIT_AT);
        let call =
            lives(call, commit.keep).arg(self.redis.bus_channel()).arg(released(&commit.at.entry));

        // The script knows a commit that it has done before, so repeating it is safe.
        let (landed, global) = match self.versions_call(scopes, commit.keep, None) {
            Some(global) => {
                let (landed, global) = self.run_both(&call, &global, Repeat::Safe).await;
                (landed?, Some(global))
            }
            None => (self.run(&call, Repeat::Safe).await?, None),
        };
        let Value::Array(said) = landed.0 else { return Err(reply::unexpected("a commit")) };
        let own = match said.split_first() {
            Some((verdict, _)) if reply::text(verdict) == Some("lost") => {
                return Ok(Committed::Lost);
            }
            Some((_, own)) if own.len() == scopes.of(false).count() => own,
            _ => return Err(reply::unexpected("a commit")),
        };
        let own = own.iter().map(reply::version).collect();
        // The value has landed, whatever became of the other question.
        let global = match global {
            Some(Ok((Value::Array(global), _))) => global,
            Some(_) => return Ok(Committed::Stored { versions: None }),
            None => Vec::new(),
        };
        let global = global.iter().map(reply::version).collect();
        Ok(Committed::Stored { versions: Some(scopes.merge(own, global)) })
    }

    pub(crate) async fn release(&self, release: Release) -> Result<(), StoreError> {
        let [lease, _, back_off] = self.names.reading(&release.entry);
        let mut call = RELEASE
            .call(&[lease, back_off])
            .arg(release.token.to_be_bytes().as_slice())
            .arg(self.redis.bus_channel())
            .arg(released(&release.entry));
        if let Some(failure) = &release.failure {
            call = call
                .arg(millis(failure.first))
                .arg(millis(failure.longest))
                .arg(millis(REMEMBER_FAILURES))
                .arg(failure.error.as_str());
        }
        self.run(&call, Repeat::Safe).await.map(drop)
    }

    pub(crate) async fn lease_state(
        &self,
        entry: &EntryKey,
    ) -> Result<(Option<LeaseState>, Option<BackOff>), StoreError> {
        let (lease, back_off) = (entry.lease(), entry.backoff());
        let mut question = Pipeline::with_capacity(4);
        question.cmd("GET").arg(self.names.key(&lease));
        question.cmd("PTTL").arg(self.names.key(&lease));
        question.cmd("GET").arg(self.names.key(&back_off));
        question.cmd("TIME");
        let route = entry.as_str().as_bytes();
        let answer = self.redis.query(route, &question, Repeat::Safe).await;
        let (values, _) = answer.map_err(|error| reply::error(&error))?;
        let [Value::BulkString(_) | Value::Nil, Value::Int(left_ms), failed, Value::Array(time)] =
            &values[..]
        else {
            return Err(reply::unexpected("a question about a lease"));
        };
        let now_ms = reply::time_ms(time).ok_or_else(|| reply::unexpected("TIME"))?;
        let lease = match &values[0] {
            Value::BulkString(lease) => read_lease(lease, *left_ms),
            _ => None,
        };
        let back_off = match failed {
            Value::BulkString(record) => read_back_off(record, now_ms),
            _ => None,
        };
        Ok((lease, back_off.filter(|back_off| !back_off.left.is_zero())))
    }
}

/// From when on a version's life is lengthened, and to what: a quarter more, so that not each of
/// many begins and commits has to write it.
fn lives(call: Call<'_>, keep: Duration) -> Call<'_> {
    call.arg(millis(keep)).arg(millis(keep + keep / 4))
}

/// As Redis takes it: a life of nothing is an error there.
fn millis(duration: Duration) -> u64 {
    duration.as_millis().clamp(1, u128::from(u64::MAX)) as u64
}

fn released(entry: &EntryKey) -> Vec<u8> {
    Message::Released(entry.as_str().to_owned()).encode()
}

/// What `begin.lua` says.
enum Leased {
    Won { versions: Vec<Value>, now_ms: u64 },
    Not(Begun),
}

fn read_leased(mut said: Vec<Value>) -> Option<Leased> {
    let begun = match (reply::text(said.first()?)?, &said[1..]) {
        ("won", time @ [_, _, ..]) => {
            let now_ms = reply::time_ms(time)?;
            return Some(Leased::Won { versions: said.split_off(3), now_ms });
        }
        ("busy", [left_ms]) => {
            let left_ms = reply::integer(left_ms)?;
            Begun::Busy { left: Duration::from_millis(left_ms.try_into().unwrap_or(0)) }
        }
        ("backoff", [Value::BulkString(record), time @ ..]) => {
            Begun::BackOff(read_back_off(record, reply::time_ms(time)?)?)
        }
        ("changed", []) => Begun::Changed,
        _ => return None,
    };
    Some(Leased::Not(begun))
}

/// Both scopes' versions in the order of the question, if none is missing.
fn won(
    begin: &Begin,
    (own, now_ms): (Vec<Value>, u64),
    link: &Link,
    ensured: Option<super::Said>,
) -> Result<Won, StoreError> {
    let scopes = Scopes(&begin.at.versions);
    let (global, shared) = match ensured {
        None => (Vec::new(), reply::origin(link)),
        Some(ensured) => match ensured? {
            (Value::Array(global), shared) => (global, reply::origin(&shared)),
            _ => return Err(reply::unexpected("a question for versions")),
        },
    };
    let counts = (scopes.of(false).count(), scopes.of(true).count());
    if (own.len(), global.len()) != counts {
        return Err(reply::unexpected("a begin"));
    }
    let versions = scopes.merge(own, global);
    let versions: Option<Vec<Version>> = versions.iter().map(reply::version).collect();
    let versions = versions
        .ok_or_else(|| StoreError::Refused("a version is stored in an unknown form".to_owned()))?;
    Ok(Won { versions, origins: Origins { tenant: reply::origin(link), global: shared }, now_ms })
}

/// Token, node, and a mark when somebody waits.
pub(super) fn read_lease(lease: &[u8], left_ms: i64) -> Option<LeaseState> {
    let (token, rest) = lease.split_first_chunk()?;
    let (node, _) = rest.split_first_chunk()?;
    let left = Duration::from_millis(u64::try_from(left_ms).ok()?);
    let (token, node) = (u64::from_be_bytes(*token), u64::from_be_bytes(*node));
    Some(LeaseState { token, node, left })
}

/// `failures:until:error`, whether the time is over or not.
fn read_back_off(record: &[u8], now_ms: u64) -> Option<BackOff> {
    let mut parts = record.splitn(3, |byte| *byte == b':');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u64>().ok();
    let (failures, until_ms) = (number()?, number()?);
    Some(BackOff {
        left: Duration::from_millis(until_ms.saturating_sub(now_ms)),
        failures: failures.try_into().unwrap_or(u32::MAX),
        error: String::from_utf8_lossy(parts.next()?).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_and_a_back_off_are_read_as_the_scripts_write_them() {
        let mut lease = [7u64.to_be_bytes(), 9u64.to_be_bytes()].concat();
        let left = Duration::from_millis(5);
        let state = Some(LeaseState { token: 7, node: 9, left });
        assert_eq!(read_lease(&lease, 5), state);
        lease.push(b'w');
        assert_eq!(read_lease(&lease, 5), state);
        assert_eq!(read_lease(&lease, -2), None, "it ran out between two commands");
        assert_eq!(read_lease(b"short", 5), None);

        let back_off = read_back_off(b"3:2000:it: broke", 1500).expect("well formed");
        let expected = BackOff {
            left: Duration::from_millis(500),
            failures: 3,
            error: "it: broke".to_owned(),
        };
        assert_eq!(back_off, expected);
        assert_eq!(read_back_off(b"3:2000:x", 2001).expect("well formed").left, Duration::ZERO);
        assert_eq!(read_back_off(b"3:x", 0), None);
    }

    #[test]
    fn the_longest_life_stays_exact_in_lua() {
        let longest = crate::limits::LONGEST_TTL * 3;
        assert!(millis(longest + longest / 4) < 1 << 53);
        assert_eq!(millis(Duration::ZERO), 1);
    }
}
