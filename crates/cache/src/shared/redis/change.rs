//! Invalidation and clearing: new ids for versions, and news for everybody. Eviction, which is no news.

use futures_util::future::join_all;
use samovar_store::redis::Repeat;

use super::{
    RedisTier,
    scripts::{DROP, EVICT, INVALIDATE},
};
use crate::{
    entry::COMMIT_AT,
    key::EntryKey,
    shared::{Invalidate, Message, NewIds, StoreError},
};

/// Bytes of news in one message. More are sent in several: a receiver refuses what is too long.
const MESSAGE_BYTES: usize = 64 << 10;

impl RedisTier {
    /// Never sent twice with the same ids: between the two, somebody else may have replaced them,
    /// and values that carry them would be valid again. The caller repeats with new ones.
    pub(crate) async fn invalidate(&self, invalidate: Invalidate) -> Result<(), StoreError> {
        if invalidate.changes.is_empty() {
            return Ok(());
        }
        let changes = &invalidate.changes;
        let keys: Vec<_> = changes.iter().map(|new| self.names.full(new.key.as_str())).collect();
        let messages = messages(changes, MESSAGE_BYTES);
        let mut call = INVALIDATE
            .call(&keys)
            .arg(u64::try_from(invalidate.spread.as_millis()).unwrap_or(u64::MAX))
            .arg(invalidate.cause.as_str())
            .arg(self.redis.bus_channel())
            .arg(messages.len());
        for message in messages {
            call = call.arg(message.encode());
        }
        for new in changes {
            let clear = new.clear.map(u64::to_be_bytes);
            call = call
                .arg(new.change.to_be_bytes().as_slice())
                .arg(clear.as_ref().map_or(&[][..], |clear| clear));
        }
        self.run(&call, Repeat::OnlyIfUnsent).await.map(drop)
    }

    pub(crate) async fn drop_entry(&self, entry: &EntryKey) -> Result<(), StoreError> {
        let [lease, key, back_off] = self.names.reading(entry);
        let text = || entry.as_str().to_owned();
        let call = DROP
            .call(&[key, lease, back_off])
            .arg(self.redis.bus_channel())
            .arg(Message::Dropped(text()).encode())
            .arg(Message::Released(text()).encode());
        self.run(&call, Repeat::Safe).await.map(drop)
    }

    /// Each at the master of its tenant.
    pub(crate) async fn evict(&self, entries: &[(EntryKey, u64)]) -> Result<(), StoreError> {
        let evict = async |(entry, commit): &(EntryKey, u64)| {
            let key = [self.names.full(entry.as_str())];
            let call = EVICT.call(&key).arg(commit.to_be_bytes().as_slice()).arg(COMMIT_AT);
            self.run(&call, Repeat::Safe).await.map(drop)
        };
        join_all(entries.iter().map(evict)).await.into_iter().collect()
    }
}

/// The news in as many messages as it takes.
fn messages(changes: &[NewIds], limit: usize) -> Vec<Message> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for new in changes {
        let key = new.key.as_str().to_owned();
        let cost = key.len() + 24; // two ids, a length and an option in their longest form
        if bytes + cost > limit && bytes > 0 {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += cost;
        let part = parts.last_mut().expect("there is always one");
        part.push((key, new.change, new.clear));
    }
    parts.into_iter().map(Message::Changed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::VersionKey;

    #[test]
    fn much_news_is_sent_in_several_messages_and_all_of_it() {
        let key = |number: usize| VersionKey::from_stored(&format!("{{t}}:v:b:{number:04}"));
        let changes: Vec<_> = (0..100)
            .map(|number| NewIds { key: key(number), change: u64::MAX, clear: Some(u64::MAX) })
            .collect();
        let limit = 1000;
        let parts = messages(&changes, limit);
        assert!(parts.len() > 1);
        let mut heard = Vec::new();
        for part in parts {
            assert!(part.encode().len() <= limit);
            let Message::Changed(changes) = part else { panic!("only changes") };
            heard.extend(changes.into_iter().map(|(key, ..)| key));
        }
        assert_eq!(heard, changes.iter().map(|new| new.key.as_str()).collect::<Vec<_>>());
        assert_eq!(messages(&changes[..1], 1).len(), 1);
    }
}
