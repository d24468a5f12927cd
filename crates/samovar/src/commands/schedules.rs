//! `samovar schedules`: what is run by the calendar.

use serde_json::{Value, json};

use super::{list, reach, show, table, text, time};
use crate::{
    arguments::{Global, SchedulesCommand},
    failure::Failure,
    reach::escape,
};

pub(crate) async fn schedules(
    global: &Global,
    command: Option<SchedulesCommand>,
) -> Result<(), Failure> {
    let command = command.unwrap_or(SchedulesCommand::List);
    let mut reach = reach(global).await?;
    let answer = match &command {
        SchedulesCommand::List => reach.get("/v1/schedules", &[]).await,
        SchedulesCommand::Run { name } => {
            reach.post(&format!("/v1/schedules/{}/run", escape(name)), &json!({})).await
        }
    };
    reach.close().await;
    let is_list = matches!(command, SchedulesCommand::List);
    show(global, &answer?, if is_list { listed } else { ran })
}

fn listed(answer: &Value) -> String {
    let schedules = list(&answer["schedules"]);
    if schedules.is_empty() {
        return "nothing is scheduled: [schedule.NAME] in the configuration does that".to_owned();
    }
    let rows = schedules.iter().map(|it| {
        vec![
            text(&it["name"]).to_owned(),
            text(&it["cron"]).to_owned(),
            text(&it["time_zone"]).to_owned(),
            time(&it["last_ms"]),
            list(&it["next_ms"]).first().map_or("-".to_owned(), time),
            text(&it["words"]).to_owned(),
        ]
    });
    table(&["schedule", "cron", "time zone", "last (UTC)", "next (UTC)", ""], rows)
}

fn ran(answer: &Value) -> String {
    let id = text(&answer["id"]);
    match answer["pushed"] == true {
        true => format!("its job is pushed to {}: {id}", text(&answer["queue"])),
        false => format!("its last job has not ended: {id}"),
    }
}
