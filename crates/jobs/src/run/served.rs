//! Which queues a worker serves: by weight, so that none starves, with slots kept free for some.

use std::collections::HashMap;

use samovar_clock::Random;

use crate::QueueName;

/// A queue that a worker serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    pub queue: QueueName,
    /// Its share of the slots, among the queues that have something to do.
    pub weight: u32,
    /// Slots that no other queue may take.
    pub reserved: usize,
    /// Bytes of the budget that no other queue may take.
    pub reserved_bytes: u64,
}

/// How many jobs of each queue to ask for, the queues in a random order that follows their weights.
///
/// Each free slot is drawn for a queue; where a queue may not take it, because it is kept for
/// another, the draw is lost until the next claim.
pub(super) fn shares(
    served: &[Served],
    running: &HashMap<QueueName, usize>,
    slots: usize,
    random: &Random,
) -> Vec<(QueueName, usize)> {
    let runs = |queue: &QueueName| running.get(queue).copied().unwrap_or(0);
    let taken: usize = running.values().sum();
    let mut free = slots.saturating_sub(taken);
    let mut shares: Vec<(QueueName, usize)> = Vec::new();
    let total: u64 = served.iter().map(|it| u64::from(it.weight.max(1))).sum();
    let mut kept: Vec<usize> =
        served.iter().map(|it| it.reserved.saturating_sub(runs(&it.queue))).collect();
    let draws = free;
    for _ in 0..draws {
        let mut drawn = random.below(total.max(1));
        let Some(index) = served.iter().position(|it| {
            let weight = u64::from(it.weight.max(1));
            let found = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            found
        }) else {
            return shares;
        };
        let others: usize = kept.iter().sum::<usize>() - kept[index];
        if free <= others {
            continue;
        }
        free -= 1;
        kept[index] = kept[index].saturating_sub(1);
        let queue = &served[index].queue;
        match shares.iter_mut().find(|(it, _)| it == queue) {
            Some((_, share)) => *share += 1,
            None => shares.push((queue.clone(), 1)),
        }
    }
    shares
}

/// What is left when the queues that were asked had less than their share: for those that had all
/// of it, and for those that were not asked.
pub(super) fn leftovers(
    served: &[Served],
    asked: &[(QueueName, usize)],
    got: &HashMap<QueueName, usize>,
    running: &HashMap<QueueName, usize>,
    slots: usize,
) -> Vec<(QueueName, usize)> {
    fn of(map: &HashMap<QueueName, usize>, queue: &QueueName) -> usize {
        map.get(queue).copied().unwrap_or(0)
    }
    let now = |queue: &QueueName| of(running, queue) + of(got, queue);
    let taken: usize = served.iter().map(|it| now(&it.queue)).sum();
    let free = slots.saturating_sub(taken);
    let kept = |it: &Served| it.reserved.saturating_sub(now(&it.queue));
    let has_more = |it: &&Served| {
        let share = asked.iter().find(|(queue, _)| *queue == it.queue).map_or(0, |(_, n)| *n);
        of(got, &it.queue) >= share
    };
    let mut order: Vec<&Served> = served.iter().filter(has_more).collect();
    order.sort_by_key(|it| std::cmp::Reverse(it.weight));
    let room = |it: &&Served| {
        let others: usize = served.iter().filter(|other| other.queue != it.queue).map(kept).sum();
        (it.queue.clone(), free.saturating_sub(others))
    };
    order.iter().map(room).filter(|(_, room)| *room > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).expect("a name")
    }

    fn served(list: &[(&str, u32, usize)]) -> Vec<Served> {
        let one = |(name, weight, reserved): &(&str, u32, usize)| Served {
            queue: queue(name),
            weight: *weight,
            reserved: *reserved,
            reserved_bytes: 0,
        };
        list.iter().map(one).collect()
    }

    #[test]
    fn shares_follow_the_weights_and_nobody_starves() {
        let served = served(&[("high", 6, 0), ("default", 3, 0), ("low", 1, 0)]);
        let random = Random::seeded(7);
        let mut counts: HashMap<QueueName, usize> = HashMap::new();
        for _ in 0..1000 {
            let shares = shares(&served, &HashMap::new(), 10, &random);
            assert_eq!(shares.iter().map(|(_, share)| share).sum::<usize>(), 10);
            for (queue, share) in shares {
                *counts.entry(queue).or_default() += share;
            }
        }
        let share = |name| counts[&queue(name)];
        assert!((5700..6300).contains(&share("high")), "{counts:?}");
        assert!((2700..3300).contains(&share("default")), "{counts:?}");
        assert!((800..1200).contains(&share("low")), "{counts:?}");
    }

    #[test]
    fn a_reserved_slot_is_nobody_elses() {
        let served = served(&[("high", 1, 1), ("low", 100, 0)]);
        let random = Random::seeded(7);
        for taken in 0..4 {
            let running = HashMap::from([(queue("low"), taken)]);
            let shares = shares(&served, &running, 4, &random);
            let low: usize =
                shares.iter().filter(|(it, _)| *it == queue("low")).map(|(_, n)| *n).sum();
            assert!(taken + low <= 3, "{taken} run, {low} more");
        }
        // Once it runs there, the others may have the rest.
        let running = HashMap::from([(queue("high"), 1), (queue("low"), 2)]);
        let asked = [(queue("low"), 1)];
        let got = HashMap::from([(queue("low"), 1)]);
        assert_eq!(leftovers(&served, &asked, &got, &running, 4), []);
        assert_eq!(
            leftovers(&served, &asked, &got, &HashMap::new(), 4),
            [(queue("low"), 2), (queue("high"), 3)]
        );
    }

    #[test]
    fn what_an_empty_queue_leaves_goes_to_those_that_have_more() {
        let served = served(&[("high", 6, 0), ("low", 1, 0)]);
        let asked = [(queue("high"), 3), (queue("low"), 1)];
        let got = HashMap::from([(queue("low"), 1)]);
        assert_eq!(leftovers(&served, &asked, &got, &HashMap::new(), 4), [(queue("low"), 3)]);
    }
}
