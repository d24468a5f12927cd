//! `[workers]` and `[queue.NAME]`: how many jobs this process runs at a time, within how much memory,
//! and whose turn it is.

use std::time::Duration;

use samovar_clock::Clock;
use samovar_jobs::{
    InvalidName, Policy, QueueName, WorkerName, limits,
    run::{Served, Settings, Slots},
};
use samovar_memory::{Budget, Class, MB};
use samovar_widgets::{Located, Problem, Section};

use super::sections::{MOST_BYTES, Store};
use crate::{arguments::WorkArguments, failure::Failure};

/// The jobs of a process. What is reserved is less than what there is: checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workers {
    slots: Slots,
    budget_bytes: u64,
    timeout: Duration,
    tries: u16,
    queues: Vec<Served>,
    /// A server works as well. Otherwise `samovar work` does.
    pub(crate) in_server: bool,
}

impl Workers {
    pub(crate) fn settings(&self, name: WorkerName) -> Settings {
        let Self { slots, timeout, tries, .. } = *self;
        Settings { slots, timeout, tries, ..Settings::new(name, self.queues.clone()) }
    }

    /// Those that are declared.
    pub(crate) fn queues(&self) -> Vec<QueueName> {
        self.queues.iter().map(|served| served.queue.clone()).collect()
    }

    pub(crate) fn most_slots(&self) -> usize {
        self.slots.max
    }

    /// As the command line of one worker has it, which counts more than the file.
    ///
    /// # Errors
    /// When a queue is named that is not declared.
    pub(crate) fn told(mut self, told: &WorkArguments) -> Result<Self, Failure> {
        for name in &told.queues {
            if !self.queues.iter().any(|served| served.queue.as_str() == name) {
                let known: Vec<String> = self.queues().into_iter().map(String::from).collect();
                let known = known.join(", ");
                return Err(Failure::Use(format!(
                    "there is no queue `{name}`: serve some of {known}"
                )));
            }
        }
        let is_named = |served: &Served| told.queues.iter().any(|it| it == served.queue.as_str());
        self.queues.retain(|served| told.queues.is_empty() || is_named(served));
        self.slots = told.slots.map_or(self.slots, Slots::fixed);
        self.tries = told.tries.unwrap_or(self.tries);
        self.timeout = told.timeout.unwrap_or(self.timeout);
        // With fewer slots, what is reserved leaves one to the others all the same.
        let mut left = self.slots.max - 1;
        for served in &mut self.queues {
            served.reserved = served.reserved.min(left);
            left -= served.reserved;
        }
        Ok(self)
    }

    /// Nothing where the server leaves jobs to others.
    pub(crate) fn here(&self) -> Option<&Self> {
        self.in_server.then_some(self)
    }

    /// What the process holds by now is not counted.
    pub(crate) fn budget(&self) -> Budget {
        Budget::new(self.budget_bytes, Clock::System)
    }
}

/// They are there whether the file names them or not.
const BUILT_IN: [(&str, u32); 4] = [(HIGH, 6), ("default", 3), ("low", 1), ("cache", 2)];
/// Unless the file says otherwise, a backlog of the others does not hold it up.
const HIGH: &str = "high";

const DEFAULT_SLOTS: Slots = Slots { min: 1, max: 4 };
const MOST_SLOTS: usize = limits::JOBS_PER_CALL;
const DEFAULT_BUDGET: u64 = 512 * MB;
const DEFAULT_RESERVE: u64 = 128 * MB;
/// In less, no job could ever run.
const LEAST_BUDGET: u64 = Class::Mb128.bytes();
const MOST_WEIGHT: usize = 1000;
/// A budget has no more shares.
const MOST_QUEUES: usize = 64;

/// A queue as the file has it.
struct Written {
    served: Served,
    /// What is reserved, and where that is said.
    reserve: Option<Reserve>,
}

struct Reserve {
    line: usize,
    slots: usize,
    bytes: u64,
}

pub(super) fn read_workers(root: &mut Section<'_>, store: Option<&Store>) -> Workers {
    const MOMENT: Duration = Duration::from_secs(1);
    let (mut slots, mut budget, mut timeout, mut in_server) = (None, None, None, None);
    if let Some(mut section) = root.section("workers") {
        slots = read_slots(&mut section);
        budget = section.bytes("memory_budget", LEAST_BUDGET..=MOST_BYTES);
        timeout = section.duration("timeout", MOMENT..=limits::LONGEST_TIMEOUT);
        in_server = section.flag("in_server");
        if in_server.as_ref().is_some_and(|it| !it.value)
            && matches!(store, Some(Store::Embedded { .. }))
        {
            let line = section.line_of("in_server");
            let hint = "leave it out, or keep the state on Redis: kind = \"redis\" in [store]";
            section.refuse("in_server", line, "leaves nobody to run jobs", hint);
        }
        section.finish();
    }
    let slots = slots.unwrap_or(DEFAULT_SLOTS);
    let budget_bytes = budget.map_or(DEFAULT_BUDGET, |it| it.value);
    let timeout = timeout.map_or(Duration::from_secs(300), |it| it.value);
    let written = read_queues(root);
    let queues = with_reserves(root, written, slots.max, budget_bytes);
    let in_server = in_server.is_none_or(|it| it.value);
    Workers { slots, budget_bytes, timeout, tries: Policy::DEFAULT.tries, queues, in_server }
}

/// A number, or the least and the most.
fn read_slots(section: &mut Section<'_>) -> Option<Slots> {
    let bounds = || 1..MOST_SLOTS + 1;
    if !section.is_table("slots") {
        return section.count("slots", bounds()).map(|it| Slots::fixed(it.value));
    }
    let mut table = section.section("slots")?;
    let (min, max) = (table.count("min", bounds()), table.count("max", bounds()));
    let line = min.as_ref().or(max.as_ref()).map_or(table.line(), |it| it.line);
    let least = min.map_or(DEFAULT_SLOTS.min, |it| it.value);
    let most = max.map_or(DEFAULT_SLOTS.max.max(least), |it| it.value);
    if least > most {
        table.refuse("min", line, "is more than `max`", "lower `min`, or raise `max`");
    }
    table.finish();
    (least <= most).then_some(Slots { min: least, max: most })
}

/// The built-in ones first.
fn read_queues(root: &mut Section<'_>) -> Vec<Written> {
    let built_in = BUILT_IN.into_iter().map(|(name, weight)| {
        let queue = QueueName::new(name).expect("a name");
        let served = Served { queue, weight, reserved: 0, reserved_bytes: 0 };
        Written { served, reserve: None }
    });
    let mut queues: Vec<Written> = built_in.collect();
    for (name, mut section) in root.sections("queue") {
        let weight = section.count("weight", 1..MOST_WEIGHT + 1);
        let reserve = section.section("reserve").map(read_reserve);
        section.finish();
        let Some(queue) = named(root, &name) else { continue };
        let known = queues.iter().position(|it| it.served.queue == queue);
        let at = known.unwrap_or(queues.len());
        if known.is_none() {
            let served = Served { queue, weight: 1, reserved: 0, reserved_bytes: 0 };
            queues.push(Written { served, reserve: None });
        }
        let written = &mut queues[at];
        if let Some(weight) = weight {
            written.served.weight = u32::try_from(weight.value).unwrap_or(u32::MAX);
        }
        written.reserve = reserve;
    }
    if let Some(one_more) = queues.get(MOST_QUEUES) {
        let reason = format!("[queue.{}] is one more than {MOST_QUEUES}", one_more.served.queue);
        root.note(Problem::new(1, reason).hint("let some of them be one queue"));
    }
    queues
}

fn named(root: &Section<'_>, name: &Located<String>) -> Option<QueueName> {
    let tell = |error: InvalidName| {
        let said = error.to_string();
        let (reason, hint) = said.rsplit_once(": ").unwrap_or((&said, "choose another name"));
        root.note(Problem::new(name.line, reason).hint(hint));
    };
    QueueName::new(&name.value).map_err(tell).ok()
}

fn read_reserve(mut section: Section<'_>) -> Reserve {
    let slots = section.count("slots", 0..MOST_SLOTS + 1).map_or(0, |it| it.value);
    let bytes = section.bytes("memory", 0..=MOST_BYTES).map_or(0, |it| it.value);
    let line = section.line();
    section.finish();
    Reserve { line, slots, bytes }
}

/// The queues with what is reserved for them, which leaves a slot and the memory of the smallest job to
/// the others. What `high` has by itself is a part of what the file leaves.
fn with_reserves(
    root: &Section<'_>,
    written: Vec<Written>,
    most_slots: usize,
    budget_bytes: u64,
) -> Vec<Served> {
    let (mut slots_left, mut bytes_left) = (most_slots - 1, budget_bytes - LEAST_BUDGET);
    let (mut queues, mut default_of_high) = (Vec::new(), None);
    for Written { mut served, reserve } in written {
        match reserve {
            None if served.queue.as_str() == HIGH => default_of_high = Some(queues.len()),
            None => {}
            Some(reserve) => {
                let told = reserve.problem(&served.queue, slots_left, bytes_left);
                told.into_iter().for_each(|problem| root.note(problem));
                served.reserved = reserve.slots.min(slots_left);
                served.reserved_bytes = reserve.bytes.min(bytes_left);
                slots_left -= served.reserved;
                bytes_left -= served.reserved_bytes;
            }
        }
        queues.push(served);
    }
    if let Some(high) = default_of_high.filter(|_| slots_left > 0) {
        queues[high].reserved = 1;
        queues[high].reserved_bytes = DEFAULT_RESERVE.min(budget_bytes / 4).min(bytes_left);
    }
    queues
}

impl Reserve {
    fn problem(&self, queue: &QueueName, slots_left: usize, bytes_left: u64) -> Option<Problem> {
        let least = Class::Mb128;
        let (what, hint) = if self.slots > slots_left {
            ("slot", "reserve fewer, or raise `slots` in [workers]".to_owned())
        } else if self.bytes > bytes_left {
            let raise = "or raise `memory_budget` in [workers]";
            ("memory", format!("reserve less, {raise}: {least} is what the smallest job needs"))
        } else {
            return None;
        };
        let reason = format!("[queue.{queue}.reserve] leaves no {what} to other queues");
        Some(Problem::new(self.line, reason).hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use samovar_widgets::Document;

    use super::*;

    fn read(text: &str) -> Workers {
        let document = Document::parse_in(|_| None, text).expect("it is TOML");
        let workers = read_workers(&mut document.root(), None);
        assert_eq!(document.problems(), [], "{text}");
        workers
    }

    /// Of each queue its weight, slots and megabytes.
    fn queues(text: &str) -> Vec<(String, u32, usize, u64)> {
        let queues = read(text).queues.into_iter();
        let shown =
            |it: Served| (it.queue.to_string(), it.weight, it.reserved, it.reserved_bytes / MB);
        queues.map(shown).collect()
    }

    #[test]
    fn without_a_word_there_are_four_queues_and_room_is_kept_for_high() {
        let workers = read("");
        assert_eq!(workers.slots, Slots { min: 1, max: 4 });
        assert_eq!((workers.budget_bytes / MB, workers.timeout.as_secs()), (512, 300));
        let [high, default, low, cache] = &queues("")[..] else { panic!("four") };
        assert_eq!(*high, ("high".to_owned(), 6, 1, 128));
        assert_eq!(
            [default, low, cache].map(|it| (it.1, it.2, it.3)),
            [(3, 0, 0), (1, 0, 0), (2, 0, 0)]
        );
    }

    #[test]
    fn what_is_kept_for_high_gives_way_to_what_there_is_and_to_what_the_file_says() {
        let high = |text: &str| (queues(text)[0].2, queues(text)[0].3);
        assert_eq!(high("[workers]\nmemory_budget = \"256MB\""), (1, 64));
        assert_eq!(high("[workers]\nmemory_budget = \"130MB\""), (1, 2), "others run as well");
        assert_eq!(high("[workers]\nslots = 1"), (0, 0), "the only slot is everybody's");
        let urgent = "[queue.urgent]\nreserve = { slots = 1, memory = \"300MB\" }\n[workers]\n";
        assert_eq!(high(&format!("{urgent}slots = 2")), (0, 0));
        assert_eq!(high(&format!("{urgent}slots = 3")), (1, 84));
        assert_eq!(high("[queue.high]\nreserve = { slots = 0 }"), (0, 0));
        assert_eq!(high("[queue.high]\nweight = 9\nreserve = { memory = \"1MB\" }"), (0, 1));
    }

    #[test]
    fn a_worker_does_as_it_is_told_and_leaves_a_slot_to_everybody() {
        let told = |queues: &[&str], slots| WorkArguments {
            queues: queues.iter().map(|it| (*it).to_owned()).collect(),
            slots,
            tries: Some(7),
            timeout: Some(Duration::from_secs(9)),
        };
        let workers = read("").told(&told(&["high", "low"], Some(1))).expect("they are there");
        let names: Vec<String> = workers.queues().into_iter().map(String::from).collect();
        assert_eq!(names, ["high", "low"]);
        assert_eq!((workers.most_slots(), workers.queues[0].reserved), (1, 0));
        assert_eq!((workers.tries, workers.timeout.as_secs()), (7, 9));
        let all = read("").told(&told(&[], None)).expect("all of them");
        assert_eq!((all.queues().len(), all.queues[0].reserved), (4, 1));
        let said = read("").told(&told(&["lwo"], None)).expect_err("there is none").to_string();
        assert!(said.contains("`lwo`") && said.contains("low"), "{said}");
    }

    #[test]
    fn slots_are_a_number_or_a_range_one_end_of_which_will_do() {
        let slots = |text: &str| read(&format!("[workers]\nslots = {text}")).slots;
        assert_eq!(slots("7"), Slots::fixed(7));
        assert_eq!(slots("{ min = 2 }"), Slots { min: 2, max: 4 });
        assert_eq!(slots("{ min = 6 }"), Slots { min: 6, max: 6 });
        assert_eq!(slots("{ max = 9 }"), Slots { min: 1, max: 9 });
    }
}
