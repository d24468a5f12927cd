//! `GET /v1/workers`: who runs jobs, and what they hold.

use axum::{Json, extract::State};
use samovar_engine::Engine;
use serde::Serialize;

use crate::{error::ApiError, shown::ms};

#[derive(Serialize)]
pub(super) struct Output {
    /// All that were seen within an hour, by name.
    workers: Vec<Worker>,
}

#[derive(Serialize)]
struct Worker {
    name: String,
    pid: u32,
    binary: String,
    /// The version of its definitions: what a newer one pushed it leaves alone.
    definitions: u32,
    queues: Vec<String>,
    slots: usize,
    most_slots: usize,
    /// Jobs it has claimed.
    held: usize,
    memory: Memory,
    draining: bool,
    /// It was told to: null, `drain` or `restart`.
    order: Option<&'static str>,
    /// It may be dead, stopped or cut off.
    lost: bool,
    silent_ms: u64,
    up_ms: u64,
}

#[derive(Serialize)]
struct Memory {
    budget_bytes: u64,
    /// What its jobs are expected to need, or hold where that is more.
    promised_bytes: u64,
    /// Its pages above those it had before its first job.
    used_bytes: u64,
    /// Jobs that wait for memory.
    waiting: usize,
}

pub(super) async fn get(State(engine): State<Engine>) -> Result<Json<Output>, ApiError> {
    let jobs = engine.jobs().ok_or_else(ApiError::no_jobs)?;
    let seen = jobs.workers().await.map_err(ApiError::jobs_unavailable)?;
    let workers = seen.into_iter().map(|view| {
        let (lost, silent_ms) = (view.is_lost(), ms(view.silent));
        let (budget, presence) = (view.presence.budget, view.presence);
        Worker {
            name: presence.worker.into(),
            pid: presence.pid,
            binary: presence.binary,
            definitions: presence.definitions,
            queues: presence.queues.into_iter().map(String::from).collect(),
            slots: presence.slots,
            most_slots: presence.most_slots,
            held: presence.held,
            memory: Memory {
                budget_bytes: budget.total_bytes,
                promised_bytes: budget.promised_bytes,
                used_bytes: budget.rss_bytes,
                waiting: budget.waiting,
            },
            draining: presence.draining,
            order: view.order.map(|order| order.name()),
            lost,
            silent_ms,
            up_ms: ms(presence.up),
        }
    });
    Ok(Json(Output { workers: workers.collect() }))
}
