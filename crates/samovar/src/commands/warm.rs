//! `samovar warm`: readings are computed before anybody asks for them.

use samovar_clock::Clock;
use serde_json::{Value, json};

use super::{duration, list, progress::Progress, show, text};
use crate::{
    arguments::{Global, WarmArguments},
    config::Config,
    failure::Failure,
    reach::Reach,
};

pub(crate) async fn warm(global: &Global, arguments: &WarmArguments) -> Result<(), Failure> {
    let config = Config::load(&global.config)?;
    let mut reach = match arguments.detach {
        true => Reach::open(&config).await?,
        false => Reach::open_working(&config).await?,
    };
    let ended = begin(&mut reach, arguments).await;
    reach.close().await;
    let answer = ended?;
    show(global, &answer, for_people)?;
    match text(&answer["state"]) {
        "failed" | "cancelled" => Err(Failure::Said),
        _ => Ok(()),
    }
}

async fn begin(reach: &mut Reach, arguments: &WarmArguments) -> Result<Value, Failure> {
    let WarmArguments { widget, range, tenant, parallel, force, queue, detach, .. } = arguments;
    let body = json!({
        "widgets": widget, "ranges": range, "tenants": tenant, "parallel": parallel,
        "force": force, "queue": queue,
    });
    let warming = reach.post("/v1/warm", &body).await?;
    if *detach {
        return Ok(warming);
    }
    follow(reach, text(&warming["batch"])).await
}

/// Until it has ended. Whoever interrupts it cancels it.
async fn follow(reach: &mut Reach, batch: &str) -> Result<Value, Failure> {
    let path = format!("/v1/batches/{batch}");
    let progress = Progress::counting("{bar:40} {pos} of {len} jobs, {elapsed}, {eta} left {msg}");
    let mut is_cancelled = false;
    loop {
        let now = reach.get(&path, &[]).await?;
        let count = |name: &str| now[name].as_u64().unwrap_or(0);
        progress.show(count("total") - count("pending"), count("total"));
        if now["finished_ms"].is_u64() {
            return Ok(now);
        }
        tokio::select! {
            () = Clock::System.sleep(Progress::LOOK) => {}
            _ = tokio::signal::ctrl_c(), if !is_cancelled => {
                is_cancelled = true;
                progress.say("cancelling");
                reach.post(&format!("{path}/cancel"), &json!({})).await?;
            }
        }
    }
}

fn for_people(answer: &Value) -> String {
    let count = |name: &str| answer[name].as_u64().unwrap_or(0);
    let Some(finished) = answer["finished_ms"].as_u64() else {
        let (tenants, queue, batch) = (count("tenants"), &answer["queue"], &answer["batch"]);
        return format!("{tenants} tenants are warmed on {}: batch {}", text(queue), text(batch));
    };
    let took = duration(&json!(finished.saturating_sub(count("created_ms"))));
    let (total, failed, cancelled) = (count("total"), count("failed"), count("cancelled"));
    let well = total - failed - cancelled;
    let mut said = match text(&answer["state"]) {
        "cancelled" => format!("cancelled after {took}: {well} of {total} jobs were done"),
        _ => format!("{well} of {total} jobs were done in {took}"),
    };
    if failed > 0 {
        said.push_str(&format!(", {failed} failed"));
    }
    for failure in list(&answer["failures"]) {
        said.push_str(&format!("\n  {}: {}", text(&failure["tenant"]), text(&failure["reason"])));
    }
    said
}
