//! How a job is packed for the scripts, and how what they keep is read.

use std::sync::LazyLock;

use serde_json::Value;

use crate::{
    job::{NewJob, Progress, Record},
    name::{BatchId, Hold, Kind, QueueName, Tenant},
    policy::Policy,
    state::State,
};

const IS_KEYED: u8 = 2;
const HAS_BATCH: u8 = 4;
const GOES_WHEN_MISSING: u8 = 16;
/// Of what the scripts read and write of a job, in front of its body.
pub(super) const HEAD_BYTES: usize = 55;

/// What is wrong with it.
pub(super) type Unreadable = String;

/// What the scripts have to know of a new job.
pub(super) fn job(job: &NewJob) -> Vec<u8> {
    let mut packed = Vec::with_capacity(32 + job.kind.as_str().len());
    let delay_ms = u64::try_from(job.delay.as_millis()).unwrap_or(u64::MAX);
    let flag = |flag, is: bool| if is { flag } else { 0 };
    packed.extend(job.id.as_u64().to_be_bytes());
    packed.extend(six_bytes(delay_ms));
    packed.extend(job.version.to_be_bytes());
    packed.push(
        flag(IS_KEYED, job.unique_key.is_some())
            | flag(HAS_BATCH, job.batch.is_some())
            | flag(GOES_WHEN_MISSING, job.policy.delete_when_missing),
    );
    packed.push(u8::try_from(job.policy.max_kills).unwrap_or(u8::MAX));
    packed.extend(job.batch.map_or(0, BatchId::as_u64).to_be_bytes());
    short(&mut packed, job.kind.as_str());
    packed
}

/// What they only keep.
pub(super) fn body(job: &NewJob) -> Vec<u8> {
    let mut packed = Vec::with_capacity(32 + job.payload.len());
    long(&mut packed, job.unique_key.as_deref().unwrap_or_default().as_bytes());
    short(&mut packed, job.tenant.as_str());
    long(&mut packed, policy(&job.policy).as_bytes());
    packed.extend(&job.payload);
    packed
}

/// Both in one, for who keeps them until they are pushed.
pub(super) fn whole(new: &NewJob) -> Vec<u8> {
    let mut packed = Vec::new();
    long(&mut packed, &job(new));
    packed.extend(body(new));
    packed
}

/// A job for another queue.
pub(super) fn addressed(new: &NewJob) -> Vec<u8> {
    let mut packed = Vec::new();
    short(&mut packed, new.queue.as_str());
    packed.extend(whole(new));
    packed
}

/// The queue, and the two arguments of a push.
pub(super) fn read_addressed(bytes: &[u8]) -> Result<(QueueName, &[u8], &[u8]), Unreadable> {
    let mut from = Reader(bytes);
    let queue = from.short_text()?;
    let job = from.long()?;
    Ok((QueueName::new(queue).map_err(|error| error.to_string())?, job, from.0))
}

pub(super) fn hold(hold: Hold) -> Vec<u8> {
    let mut packed = hold.id.as_u64().to_be_bytes().to_vec();
    packed.extend(six_bytes(hold.token.0));
    packed
}

pub(super) fn progress(progress: &Progress, note: &str) -> Vec<u8> {
    let mut packed = progress.done.to_be_bytes().to_vec();
    packed.extend(progress.of.to_be_bytes());
    packed.extend(note.as_bytes());
    packed
}

pub(super) fn read_progress(bytes: &[u8]) -> Result<Progress, Unreadable> {
    let mut from = Reader(bytes);
    let (done, of) = (from.number(8)?, from.number(8)?);
    Ok(Progress { done, of, note: text(from.0)? })
}

/// As the scripts count: larger ones do not occur.
pub(super) fn six_bytes(number: u64) -> [u8; 6] {
    let [_, _, six @ ..] = number.min((1 << 48) - 1).to_be_bytes();
    six
}

/// What differs from the default policy, which thereby belongs to the stored format: a million
/// waiting jobs would keep it a million times.
fn policy(policy: &Policy) -> String {
    static DEFAULT: LazyLock<Value> = LazyLock::new(|| value(&Policy::DEFAULT));
    if *policy == Policy::DEFAULT {
        return String::new();
    }
    let mut fields = value(policy);
    if let (Some(fields), Some(default)) = (fields.as_object_mut(), DEFAULT.as_object()) {
        fields.retain(|name, value| default.get(name) != Some(value));
    }
    fields.to_string()
}

fn value(policy: &Policy) -> Value {
    serde_json::to_value(policy).unwrap_or_default()
}

fn short(packed: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(255)];
    packed.push(text.len() as u8);
    packed.extend(text);
}

fn long(packed: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(usize::from(u16::MAX))];
    packed.extend((bytes.len() as u16).to_be_bytes());
    packed.extend(bytes);
}

/// What the scripts know of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) state: State,
    pub(super) lapses: u32,
    pub(super) kills: u32,
    pub(super) attempt: u32,
    pub(super) exceptions: u32,
    pub(super) token: u64,
    pub(super) seq: u64,
    pub(super) at_ms: u64,
    pub(super) pushed_ms: u64,
    pub(super) batch: Option<BatchId>,
}

impl Head {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut from = Reader(bytes);
        let (state, flags, lapses) = (from.number(1)?, from.number(1)?, from.number(1)?);
        let (kills, _max_kills) = (from.number(1)?, from.number(1)?);
        let (attempt, exceptions, token) = (from.number(4)?, from.number(4)?, from.number(6)?);
        let (seq, _since_ms, at_ms) = (from.number(6)?, from.number(6)?, from.number(6)?);
        let (pushed_ms, _lane, batch) = (from.number(6)?, from.number(4)?, from.number(8)?);
        let state = State::from_number(state as i64).ok_or("its state is none")?;
        let has_batch = flags as u8 & HAS_BATCH != 0;
        Ok(Self {
            state,
            lapses: lapses as u32,
            kills: kills as u32,
            attempt: attempt as u32,
            exceptions: exceptions as u32,
            token,
            seq,
            at_ms,
            pushed_ms,
            batch: has_batch.then_some(BatchId::from_u64(batch)),
        })
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.lapses > 0
    }
}

pub(super) struct Body {
    pub(super) tenant: Tenant,
    pub(super) policy: Policy,
    pub(super) payload: Vec<u8>,
}

pub(super) fn read_body(bytes: &[u8]) -> Result<Body, Unreadable> {
    let mut from = Reader(bytes);
    let tenant = tenant(&mut from)?;
    let policy = match from.long()? {
        [] => Policy::DEFAULT,
        fields => serde_json::from_slice(fields)
            .map_err(|error| format!("its policy cannot be read: {error}"))?,
    };
    Ok(Body { tenant, policy, payload: from.0.to_vec() })
}

/// What became of it in a process of its own, if it has to run in one.
pub(super) fn isolate(policy: &mut Policy, class: &[u8]) -> Result<(), Unreadable> {
    if !class.is_empty() {
        let parsed = text(class)?.parse();
        policy.class = parsed.map_err(|_| "its class cannot be read".to_owned())?;
        policy.isolated = true;
    }
    Ok(())
}

/// Of a body that may end behind it.
pub(super) fn read_tenant(bytes: &[u8]) -> Result<Tenant, Unreadable> {
    tenant(&mut Reader(bytes))
}

fn tenant(from: &mut Reader<'_>) -> Result<Tenant, Unreadable> {
    from.long()?;
    let name = from.short_text()?;
    Tenant::new(name).map_err(|error| format!("its tenant cannot be read: {error}"))
}

/// Version and kind, as lanes are called.
pub(super) fn read_lane(bytes: &[u8]) -> Result<(u32, Kind), Unreadable> {
    let mut from = Reader(bytes);
    let version = from.number(4)? as u32;
    let kind = Kind::new(text(from.0)?);
    Ok((version, kind.map_err(|error| format!("its kind cannot be read: {error}"))?))
}

pub(super) struct Attempt {
    pub(super) token: u64,
    pub(super) ended_ms: u64,
    pub(super) step: String,
    pub(super) worker: String,
    pub(super) reason: String,
    pub(super) record: Record,
}

pub(super) fn read_attempt(bytes: &[u8]) -> Result<Attempt, Unreadable> {
    let mut from = Reader(bytes);
    let (token, ended_ms) = (from.number(6)?, from.number(6)?);
    let (step, worker) = (from.short_text()?, from.short_text()?);
    let said = from.number(4)? as usize;
    // What cannot be read is not worth to hide the rest.
    let record = serde_json::from_slice(from.take(said)?).unwrap_or_default();
    Ok(Attempt { token, ended_ms, step, worker, reason: text(from.0)?, record })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it ends too early")?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<u64, Unreadable> {
        Ok(self.take(bytes)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn long(&mut self) -> Result<&'a [u8], Unreadable> {
        let count = self.number(2)? as usize;
        self.take(count)
    }

    fn short_text(&mut self) -> Result<String, Unreadable> {
        let count = self.number(1)? as usize;
        text(self.take(count)?)
    }
}

fn text(bytes: &[u8]) -> Result<String, Unreadable> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a text in it is none".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::JobId;

    /// It belongs to the stored format: whoever changes it raises `FORMAT`, or stored jobs change.
    #[test]
    fn the_default_policy_is_what_it_was() {
        let default = "{\"backoff\":[60000,180000,300000,600000,1200000],\"class\":\"256MB\",\
            \"delete_when_missing\":false,\"max_exceptions\":null,\"max_kills\":2,\
            \"timeout\":300000,\"tries\":3,\"split\":true,\"isolated\":false}";
        assert_eq!(value(&Policy::DEFAULT), serde_json::from_str::<Value>(default).expect("JSON"));
        let other = Policy { tries: 7, ..Policy::DEFAULT };
        assert_eq!(policy(&other), r#"{"tries":7}"#);
        assert_eq!(policy(&Policy::DEFAULT), "");
    }

    #[test]
    fn a_body_comes_back_and_what_is_cut_does_not() {
        let queue = QueueName::new("mail").expect("a name");
        let new = NewJob {
            unique_key: Some("report".to_owned()),
            tenant: Tenant::new("acme").expect("a name"),
            policy: Policy { tries: 7, ..Policy::DEFAULT },
            ..NewJob::new(JobId::from_u64(7), queue, Kind::new("k").expect("a name"), *b"\0\xff")
        };
        let packed = body(&new);
        let read = read_body(&packed).expect("readable");
        assert_eq!((read.tenant, read.policy, read.payload), (new.tenant, new.policy, new.payload));
        for end in 0..packed.len() - 2 {
            assert!(read_body(&packed[..end]).is_err(), "{end}");
        }
        assert!(Head::read(&[0; HEAD_BYTES - 1]).is_err());
        assert!(Head::read(&[9; HEAD_BYTES]).is_err(), "no such state");
    }
}
