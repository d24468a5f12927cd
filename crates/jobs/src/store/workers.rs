//! Which workers there are, and what they are told to do.

use std::time::Duration;

use samovar_memory::BudgetUsage;
use serde::{Deserialize, Serialize};

use crate::{
    limits,
    name::{QueueName, WorkerName},
};

/// What a worker says of itself with every beat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    pub worker: WorkerName,
    /// Another one for each start: an order is for one of them.
    pub start: u64,
    pub pid: u32,
    /// Of its binary.
    pub binary: String,
    /// The version of its definitions: what a newer one wrote it leaves alone.
    pub definitions: u32,
    pub queues: Vec<QueueName>,
    /// Jobs at a time: now, and at most.
    pub slots: usize,
    pub most_slots: usize,
    pub held: usize,
    pub draining: bool,
    pub budget: BudgetUsage,
    pub up: Duration,
}

/// What people tell a worker to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Finish what runs, and end.
    Drain,
    /// The same; then another one takes its place.
    Restart,
}

impl Order {
    pub fn name(self) -> &'static str {
        match self {
            Order::Drain => "drain",
            Order::Restart => "restart",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Order::Drain, Order::Restart].into_iter().find(|it| it.name() == name)
    }
}

/// A worker as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerView {
    #[serde(flatten)]
    pub presence: Presence,
    /// How long ago it said so.
    pub silent: Duration,
    /// What it was told to do.
    pub order: Option<Order>,
}

impl WorkerView {
    /// It may be dead, stopped or cut off.
    pub fn is_lost(&self) -> bool {
        self.silent > limits::WORKER_LOST
    }
}
