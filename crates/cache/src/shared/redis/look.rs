//! The shared read: entries and versions in one wait, however many there are.
//!
//! Entries and versions of one slot are one `MGET`: nothing happens between them. What two masters
//! say is not of one moment, but versions never return, so a mixture can only look stale.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::future::try_join_all;
use samovar_store::redis::{Cmd, Link, Pipeline, Repeat, Value, slot_of};

use super::{
    RedisTier,
    keys::{GLOBAL, Key, Namespace},
    reply,
};
use crate::{
    key::EntryKey,
    shared::{Look, LookUp, Origin, Origins, StoreError},
    version::{Version, VersionKey},
};

impl RedisTier {
    pub(crate) async fn look(&self, at: &[LookUp]) -> Result<Vec<Look>, StoreError> {
        let plan = Plan::new(at, self.redis.options().is_cluster());
        let mut answers = match &plan.questions[..] {
            [question] => vec![self.ask(question).await?],
            questions => try_join_all(questions.iter().map(|question| self.ask(question))).await?,
        };
        Ok(plan.places.iter().map(|place| place.pick(&mut answers)).collect())
    }

    async fn ask(&self, question: &Question<'_>) -> Result<Answers, StoreError> {
        let pipeline = question.pipeline(&self.names);
        let answer = self.redis.query(question.route.as_bytes(), &pipeline, Repeat::Safe).await;
        let (values, link) = answer.map_err(|error| reply::error(&error))?;
        question.read(values, &link).ok_or_else(|| reply::unexpected("a look"))
    }
}

/// Which question to which master holds the answer to what.
struct Plan<'a> {
    questions: Vec<Question<'a>>,
    places: Vec<Place>,
}

/// One pipeline.
struct Question<'a> {
    /// A key text by which the master is found.
    route: &'a str,
    entries: Vec<&'a EntryKey>,
    versions: Vec<&'a VersionKey>,
}

/// Where the answers for one look-up are.
struct Place {
    entry: Spot,
    global: usize,
    versions: Vec<Spot>,
}

#[derive(Clone, Copy)]
struct Spot {
    question: usize,
    index: usize,
}

impl<'a> Plan<'a> {
    fn new(at: &'a [LookUp], cluster: bool) -> Self {
        let mut questions = Questions { cluster, ..Questions::default() };
        let mut asked: HashMap<&str, Spot> = HashMap::new();
        let mut place = |look_up: &'a LookUp| {
            let room = look_up.versions.len();
            let own = questions.to(look_up.entry.as_str(), room);
            // What depends on nothing global does not need that master either.
            let global = match look_up.versions.iter().any(VersionKey::is_global) {
                true => questions.to(GLOBAL, room),
                false => own,
            };
            let mut version = |key: &'a VersionKey| {
                let question = if key.is_global() { global } else { own };
                let mut ask = || questions.version(question, key);
                // One look-up names each version once; many have most of them in common.
                if at.len() == 1 { ask() } else { *asked.entry(key.as_str()).or_insert_with(ask) }
            };
            let versions = look_up.versions.iter().map(&mut version).collect();
            Place { entry: questions.entry(own, &look_up.entry), global, versions }
        };
        let places = at.iter().map(&mut place).collect();
        Plan { questions: questions.list, places }
    }
}

#[derive(Default)]
struct Questions<'a> {
    cluster: bool,
    list: Vec<Question<'a>>,
    by_slot: HashMap<u16, usize>,
}

impl<'a> Questions<'a> {
    /// The question to the master of a key.
    fn to(&mut self, route: &'a str, room: usize) -> usize {
        let next = self.list.len();
        let number = match self.cluster {
            true => *self.by_slot.entry(slot_of(route.as_bytes())).or_insert(next),
            false => 0,
        };
        if number == next {
            let versions = Vec::with_capacity(room);
            self.list.push(Question { route, entries: Vec::new(), versions });
        }
        number
    }

    fn entry(&mut self, question: usize, key: &'a EntryKey) -> Spot {
        let entries = &mut self.list[question].entries;
        entries.push(key);
        Spot { question, index: entries.len() - 1 }
    }

    fn version(&mut self, question: usize, key: &'a VersionKey) -> Spot {
        let versions = &mut self.list[question].versions;
        versions.push(key);
        Spot { question, index: versions.len() - 1 }
    }
}

impl Question<'_> {
    fn pipeline(&self, names: &Namespace) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.add_command(self.mget(names));
        if !self.entries.is_empty() {
            pipeline.cmd("TIME");
        }
        pipeline
    }

    /// Written into room that fits: the hot path of a shared hit.
    fn mget(&self, names: &Namespace) -> Cmd {
        const NAME: &str = "MGET";
        let entries = self.entries.iter().map(|entry| names.key(entry.as_str()));
        let versions = self.versions.iter().map(|version| names.key(version.as_str()));
        let keys = entries.chain(versions);
        let bytes = NAME.len() + keys.clone().map(Key::len).sum::<usize>();
        let mut command = Cmd::with_capacity(1 + self.entries.len() + self.versions.len(), bytes);
        command.arg(NAME);
        for key in keys {
            command.arg(key);
        }
        command
    }

    /// `None` when the answers are not those to this question.
    fn read(&self, values: Vec<Value>, link: &Link) -> Option<Answers> {
        let mut values = values.into_iter();
        let found = match values.next()? {
            Value::Array(found) if found.len() == self.entries.len() + self.versions.len() => found,
            _ => return None,
        };
        let mut found = found.into_iter();
        let entries = found.by_ref().take(self.entries.len()).map(reply::bytes).collect();
        let now_ms = match values.next() {
            Some(Value::Array(time)) => reply::time_ms(&time)?,
            None if self.entries.is_empty() => 0,
            _ => return None,
        };
        Some(Answers { entries, versions: found.collect(), now_ms, origin: reply::origin(link) })
    }
}

/// What one master said.
struct Answers {
    entries: Vec<Option<Bytes>>,
    versions: Vec<Value>,
    now_ms: u64,
    origin: Origin,
}

impl Place {
    /// Takes the entry; versions stay for the other look-ups that depend on them.
    fn pick(&self, answers: &mut [Answers]) -> Look {
        let version = |spot: &Spot| -> Option<Version> {
            reply::version(&answers[spot.question].versions[spot.index])
        };
        let versions = self.versions.iter().map(version).collect();
        let origins = Origins {
            tenant: answers[self.entry.question].origin.clone(),
            global: answers[self.global].origin.clone(),
        };
        let own = &mut answers[self.entry.question];
        Look { entry: own.entries[self.entry.index].take(), versions, origins, now_ms: own.now_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(tenant: &str, entry: &str, tag: &str) -> LookUp {
        let versions = ["{*}:v:a:".to_owned(), format!("{{{tenant}}}:v:b:{tag}")];
        LookUp {
            entry: EntryKey::from_stored(&format!("{{{tenant}}}:e:{entry}")),
            versions: versions.iter().map(|key| VersionKey::from_stored(key)).collect(),
        }
    }

    fn sent(at: &[LookUp], cluster: bool) -> Vec<String> {
        let names = Namespace::new("n");
        let plan = Plan::new(at, cluster);
        let packed = |question: &Question<'_>| {
            let packed = question.pipeline(&names).get_packed_pipeline();
            let text = String::from_utf8(packed).expect("text");
            let words = text.split("\r\n").filter(|word| !word.starts_with(['$', '*']));
            words.collect::<Vec<_>>().join(" ").trim_end().to_owned()
        };
        plan.questions.iter().map(packed).collect()
    }

    #[test]
    fn one_master_is_asked_once_for_everything() {
        let at = [look_up("t", "x", "o")];
        assert_eq!(sent(&at, false), ["MGET n:{t}:e:x n:{*}:v:a: n:{t}:v:b:o TIME"]);
    }

    #[test]
    fn in_a_cluster_each_slot_is_asked_for_its_own() {
        let at = [look_up("t", "x", "o")];
        assert_eq!(sent(&at, true), ["MGET n:{t}:e:x n:{t}:v:b:o TIME", "MGET n:{*}:v:a:"]);
    }

    #[test]
    fn what_many_look_ups_have_in_common_is_asked_for_once() {
        let at = [look_up("t", "x", "o"), look_up("t", "y", "o"), look_up("u", "x", "o")];
        assert_eq!(
            sent(&at, true),
            [
                "MGET n:{t}:e:x n:{t}:e:y n:{t}:v:b:o TIME",
                "MGET n:{*}:v:a:",
                "MGET n:{u}:e:x n:{u}:v:b:o TIME",
            ]
        );
    }
}
