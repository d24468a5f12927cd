//! Where things are: all that belongs to a queue is in one slot, the names of the queues in another.

use crate::name::QueueName;

/// What stands before every key. Without braces: the first ones of a key are its hash tag.
#[derive(Debug)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        debug_assert!(!prefix.contains(['{', '}']));
        Self { prefix: prefix.to_owned() }
    }

    /// The hash of a queue, from which its scripts make all other keys. A name holds no braces.
    pub(super) fn queue(&self, queue: &QueueName) -> String {
        format!("{}:{{q:{queue}}}:queue", self.prefix)
    }

    /// The set of the names of all queues.
    pub(super) fn queues(&self) -> String {
        format!("{}:{{queues}}", self.prefix)
    }

    /// The hash of what workers say.
    pub(super) fn workers(&self) -> String {
        format!("{}:{{workers}}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use samovar_store::redis::slot_of;

    use super::*;

    #[test]
    fn a_queue_is_one_slot_and_the_names_another() {
        let names = Names::new("samovar");
        let key = names.queue(&QueueName::new("mail/high").expect("a name"));
        assert_eq!(key, "samovar:{q:mail/high}:queue");
        assert_eq!(slot_of(key.as_bytes()), slot_of(b"q:mail/high"));
        assert_ne!(slot_of(key.as_bytes()), slot_of(names.queues().as_bytes()));
    }
}
