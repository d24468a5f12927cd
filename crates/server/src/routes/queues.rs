//! `GET /v1/queues`: what waits, runs and failed, and what is promised of it.

use axum::{Json, extract::State};
use samovar_engine::Engine;
use serde::Serialize;

use crate::{error::ApiError, shown::ms};

#[derive(Serialize)]
pub(super) struct Output {
    store: Store,
    /// All that the store knows, by name.
    queues: Vec<Queue>,
}

#[derive(Serialize)]
struct Store {
    kind: &'static str,
    /// Of a Redis, as it was asked for.
    durability: Option<&'static str>,
    /// What a job that was acknowledged survives.
    survives: &'static str,
}

#[derive(Serialize)]
struct Queue {
    name: String,
    paused: bool,
    waiting: u64,
    /// Of those that wait: they ran when their worker was lost.
    suspects: u64,
    scheduled: u64,
    claimed: u64,
    running: u64,
    done: u64,
    failed: u64,
    cancelled: u64,
    /// How many may wait or be scheduled.
    limit: u64,
    oldest_waiting_ms: Option<u64>,
}

pub(super) async fn get(State(engine): State<Engine>) -> Result<Json<Output>, ApiError> {
    let jobs = engine.jobs().ok_or_else(ApiError::no_jobs)?;
    let figures = jobs.figures().await.map_err(ApiError::jobs_unavailable)?;
    let queues = figures.into_iter().map(|it| Queue {
        name: it.queue.into(),
        paused: it.paused,
        waiting: it.waiting,
        suspects: it.suspects,
        scheduled: it.scheduled,
        claimed: it.claimed,
        running: it.running,
        done: it.done,
        failed: it.failed,
        cancelled: it.cancelled,
        limit: it.limit,
        oldest_waiting_ms: it.oldest_waiting.map(ms),
    });
    let promise = jobs.promise();
    let store =
        Store { kind: promise.kind, durability: promise.durability, survives: promise.survives };
    Ok(Json(Output { store, queues: queues.collect() }))
}
