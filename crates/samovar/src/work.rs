//! `samovar work`: a process that runs jobs, one of many on the Redis that they share.

use samovar_clock::Clock;
use samovar_engine::Ask;
use tokio::sync::watch;

use crate::{
    arguments::{Global, WorkArguments},
    config::{Config, Store, Workers},
    failure::Failure,
    reload::{self, Hangup},
    serve::{DRAIN, Stop, print},
    state::State,
    telemetry::Telemetry,
    working::Working,
};

pub(crate) async fn work(
    global: &Global,
    arguments: &WorkArguments,
    telemetry: Telemetry,
) -> Result<(), Failure> {
    let (config, catalogue) = Config::load_with_catalogue(&global.config, Ask::Reachable).await?;
    if let Store::Embedded { .. } = config.store {
        return Err(Failure::Use(
            "the store is a folder, which one process owns: `samovar serve` runs its jobs. For more \
             processes keep the state on Redis: kind = \"redis\" in [store]"
                .to_owned(),
        ));
    }
    let workers = config.workers.clone().told(arguments)?;
    let state = State::open(&config).await?;
    let worked = async {
        let engine = state.engine(&config, catalogue)?;
        // Before anybody is told that it works: from then on a signal must be heard.
        let mut stop =
            Stop::listen().map_err(|error| Failure::failed("waiting for signals", error))?;
        let mut hangup = Hangup::listen()?;
        // Schedules are left to servers.
        let mut working = Working::start(Some(&workers), &engine, &state, None)?;
        // Nobody else keeps it: it ends when another one takes its place.
        let observed = watch::Sender::new(engine);
        let engine_now = observed.subscribe();
        let telemetry = telemetry.start(move || {
            let engine = engine_now.borrow().clone();
            async move { samovar_server::metrics(&engine).await }
        });
        let announced = print(&announcement(&workers));
        if announced.is_ok() {
            let mut config = config;
            loop {
                tokio::select! {
                    () = stop.wait() => {
                        tracing::info!("stopping: jobs that run come to their end");
                        break;
                    }
                    () = working.ended() => break,
                    next = hangup.next(&config, &state) => {
                        let Some((next, engine)) = next else { continue };
                        match next.workers.clone().told(arguments) {
                            Ok(workers) => {
                                working.go_on_with(Some(&workers), &engine, None).await;
                                observed.send_replace(engine);
                                config = next;
                                reload::taken(&config);
                            }
                            Err(failure) => reload::refused(&failure),
                        }
                    }
                }
            }
        }
        working.stop(Clock::System.now() + DRAIN).await;
        telemetry.stop().await;
        announced
    };
    let worked = worked.await;
    state.close().await;
    worked
}

fn announcement(workers: &Workers) -> String {
    let queues: Vec<String> = workers.queues().into_iter().map(String::from).collect();
    format!("working on {}, {} jobs at a time at most", queues.join(", "), workers.most_slots())
}
