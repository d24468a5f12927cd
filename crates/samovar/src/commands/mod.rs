//! The commands that look at the cache or change it, one file each: a request, and its answer in a
//! form for people.

mod alerts;
mod audit;
mod batches;
mod capture;
mod cleanup;
mod clear;
mod completions;
mod invalidate;
mod jobs;
mod memory;
mod progress;
mod prove;
mod queues;
mod schedules;
mod status;
mod token;
mod top;
mod user;
mod verify;
mod warm;
mod why;
mod workers;

use std::io::{self, BufRead, IsTerminal, Write};

use comfy_table::{Table, presets::NOTHING};
use serde_json::Value;

pub(crate) use self::{
    audit::audit,
    batches::batches,
    capture::{capture, refused},
    cleanup::cleanup,
    clear::clear,
    completions::completions,
    invalidate::invalidate,
    jobs::jobs,
    memory::memory,
    progress::Progress,
    prove::prove,
    queues::queues,
    schedules::schedules,
    status::status,
    token::token,
    top::top,
    user::user,
    verify::verify,
    warm::warm,
    why::why,
    workers::workers,
};
use crate::{
    arguments::Global,
    config::Config,
    failure::{Failure, printable},
    reach::Reach,
    serve::print,
};

/// What `samovar COMMAND --json` prints is the answer itself.
fn show(
    global: &Global,
    answer: &Value,
    for_people: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    if global.json {
        return print(&format!("{answer:#}"));
    }
    print(printable(&for_people(answer)).trim_end())
}

async fn reach(global: &Global) -> Result<Reach, Failure> {
    Reach::open(&Config::load(&global.config)?).await
}

/// The tenant that was named, or the only one there is.
async fn only_tenant(reach: &mut Reach, named: Option<&str>) -> Result<String, Failure> {
    if let Some(tenant) = named {
        return Ok(tenant.to_owned());
    }
    let answer = reach.get("/v1/widgets", &[]).await?;
    let ids: Vec<&str> =
        list(&answer["tenants"]).iter().filter_map(|it| it["id"].as_str()).collect();
    match ids.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] => Err(Failure::Use("there is no tenant".to_owned())),
        many => {
            let some = many[..many.len().min(5)].join(", ");
            Err(Failure::Use(format!("say whose reading it is: --tenant with one of {some}")))
        }
    }
}

/// Asks on a terminal; elsewhere nobody could answer.
fn confirm(question: &str, force: bool) -> Result<bool, Failure> {
    if force {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Use(format!("{question} Say --force: nobody can be asked here")));
    }
    let mut line = String::new();
    let asked = write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stderr().flush());
    let answered = asked.and_then(|()| io::stdin().lock().read_line(&mut line));
    answered.map_err(|error| Failure::failed("asking", error))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// Columns without lines, below a heading where there is one.
fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    if !heading.is_empty() {
        table.set_header(heading.iter().copied());
    }
    for row in rows {
        // A cell is one line, whatever others have put into it.
        table.add_row(row.into_iter().map(|cell| cell.replace(char::is_control, " ")));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

/// `12.3 %`
fn share(value: &Value) -> String {
    value.as_f64().map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// `2026-11-22 03:15`, in UTC.
fn time(ms: &Value) -> String {
    let second = ms.as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    second.map_or("-".to_owned(), |it| it.strftime("%Y-%m-%d %H:%M").to_string())
}

/// Tenants to which somebody is bound.
fn tenants(value: &Value) -> String {
    let names: Vec<&str> = list(value).iter().filter_map(Value::as_str).collect();
    if names.is_empty() { "all".to_owned() } else { names.join(", ") }
}

fn number(value: &Value) -> String {
    value.as_f64().map_or("-".to_owned(), |number| number.to_string())
}

/// `1 failed job`, `2 failed jobs`
fn counted(count: &Value, what: &str) -> String {
    let plural = if count.as_u64() == Some(1) { "" } else { "s" };
    format!("{} {what}{plural}", number(count))
}

/// Milliseconds as people say them.
pub(crate) fn duration(ms: &Value) -> String {
    let Some(ms) = ms.as_f64() else { return "-".to_owned() };
    match ms {
        ms if ms < 1000.0 => format!("{} ms", (ms * 10.0).round() / 10.0),
        ms if ms < 120_000.0 => format!("{:.1} s", ms / 1000.0),
        ms if ms < 7_200_000.0 => format!("{:.1} min", ms / 60_000.0),
        ms => format!("{:.1} h", ms / 3_600_000.0),
    }
}

fn bytes(value: &Value) -> String {
    let Some(bytes) = value.as_f64() else { return "-".to_owned() };
    match bytes {
        bytes if bytes < 1024.0 => format!("{bytes} B"),
        bytes if bytes < 1_048_576.0 => format!("{:.1} KB", bytes / 1024.0),
        bytes => format!("{:.1} MB", bytes / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_one_line_whatever_stands_in_its_cells() {
        let rows = [vec!["a\nb\u{1b}[31m\tc".to_owned(), "d".to_owned()]];
        assert_eq!(table(&[], rows).trim_start(), "a b [31m c  d");
    }

    #[test]
    fn figures_are_written_as_people_say_them() {
        assert_eq!(share(&json!(0.9876)), "98.8 %");
        assert_eq!(share(&json!(null)), "-");
        for (ms, said) in [
            (0.25, "0.3 ms"),
            (999.0, "999 ms"),
            (61_000.0, "61.0 s"),
            (600_000.0, "10.0 min"),
            (86_400_000.0, "24.0 h"),
        ] {
            assert_eq!(duration(&json!(ms)), said);
        }
        assert_eq!(time(&json!(1_763_779_500_000_i64)), "2025-11-22 02:45");
        assert_eq!((time(&json!(null)), tenants(&json!(null))), ("-".to_owned(), "all".to_owned()));
        assert_eq!(tenants(&json!(["north", "south"])), "north, south");
        assert_eq!(bytes(&json!(512)), "512 B");
        assert_eq!(
            (counted(&json!(1), "job"), counted(&json!(0), "job")),
            ("1 job".into(), "0 jobs".into())
        );
        assert_eq!(bytes(&json!(3 << 20)), "3.0 MB");
    }
}
