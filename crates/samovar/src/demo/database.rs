//! The demo's database: generated once a day, and then left to whoever plays with it.

use std::{fs, path::Path};

use anyhow::Context;
use jiff::{Timestamp, tz::TimeZone};
use rusqlite::{Connection, params};
use samovar_clock::Random;
use samovar_packs::commerce;

use crate::commands::Progress;

/// Raised when the same number of orders gives other orders than before.
const GENERATION: u32 = 3;
/// What it was generated with, so that it is known when it has to be anew.
const NOTE: &str = "create table generated (orders integer not null, generation integer not null, \
                    days text not null)";
const SHOWN_EVERY: u64 = 500;

pub(super) struct Tenant {
    id: &'static str,
    zone: TimeZone,
    /// There, by the clock.
    day: String,
}

pub(super) struct Wanted {
    /// Of the first tenant.
    pub(super) orders: u32,
    pub(super) now: Timestamp,
    pub(super) tenants: [Tenant; 2],
}

impl Tenant {
    pub(super) fn new(id: &'static str, zone: &str, now: Timestamp) -> Self {
        let zone = TimeZone::get(zone).expect("the program knows all zones");
        let day = zone.to_datetime(now).date().to_string();
        Self { id, zone, day }
    }
}

impl Wanted {
    /// `20425 orders of north and 2042 of south`
    pub(super) fn described(&self) -> String {
        let mut described = String::new();
        for (tenant, count) in self.each() {
            let orders = if described.is_empty() { " orders" } else { "" };
            let and = if described.is_empty() { "" } else { " and " };
            described.push_str(&format!("{and}{count}{orders} of {}", tenant.id));
        }
        described
    }

    fn each(&self) -> impl Iterator<Item = (&Tenant, u64)> {
        let counts = [u64::from(self.orders), u64::from(self.orders / 10)];
        self.tenants.iter().zip(counts)
    }

    /// By whose calendars it is generated.
    fn days(&self) -> String {
        self.tenants.iter().map(|it| it.day.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// Whether the database is there, with these orders until today. One that is not the demo's is left
/// alone.
pub(super) fn is_there(database: &Path, wanted: &Wanted) -> anyhow::Result<bool> {
    if !database.exists() {
        return Ok(false);
    }
    let connection = Connection::open(database)?;
    // The days are called otherwise in databases of earlier generations.
    let read = |row: &rusqlite::Row<'_>| {
        Ok((
            row.get::<_, u32>(0)?,
            row.get::<_, u32>(1)?,
            row.get::<_, String>(2).unwrap_or_default(),
        ))
    };
    let foreign = || format!("{} is not the demo's: choose another folder", database.display());
    let found = connection.query_row("select * from generated", [], read).with_context(foreign)?;
    Ok(found == (wanted.orders, GENERATION, wanted.days()))
}

/// Written beside and renamed, so that what is interrupted is not taken for whole.
pub(super) fn generate(
    database: &Path,
    wanted: &Wanted,
    progress: &Progress,
) -> anyhow::Result<()> {
    let draft = database.with_extension("draft");
    remove(&draft)?;
    let mut connection = Connection::open(&draft)?;
    // Nobody needs half a draft.
    connection.pragma_update(None, "journal_mode", "off")?;
    connection.pragma_update(None, "synchronous", "off")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(commerce::SCHEMA)?;
    insert_orders(&transaction, wanted, progress)?;
    transaction.execute_batch(commerce::INDEXES)?;
    transaction.execute(NOTE, [])?;
    let note = params![wanted.orders, GENERATION, wanted.days()];
    transaction.execute("insert into generated values (?1, ?2, ?3)", note)?;
    transaction.commit()?;
    // Readers and whoever writes do not wait for each other then.
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.close().map_err(|(_, error)| error)?;
    fs::File::open(&draft)?.sync_all()?;
    // The log of the old database must not become that of the new one.
    remove(database)?;
    for log in ["db-wal", "db-shm"] {
        remove(&database.with_extension(log))?;
    }
    Ok(fs::rename(draft, database)?)
}

fn insert_orders(
    connection: &Connection,
    wanted: &Wanted,
    progress: &Progress,
) -> anyhow::Result<()> {
    let all: u64 = wanted.each().map(|(_, count)| count).sum();
    let mut insert = connection.prepare(commerce::INSERT)?;
    let mut done = 0;
    for (seed, (tenant, count)) in (1..).zip(wanted.each()) {
        let random = Random::seeded(seed);
        for order in commerce::orders(count, (wanted.now, &tenant.zone), &random) {
            let at = commerce::text(order.received_at);
            let commerce::Order { channel, total, refund, customer, items, .. } = order;
            insert.execute(params![tenant.id, at, channel, total, refund, customer, items])?;
            done += 1;
            if done % SHOWN_EVERY == 0 {
                progress.show(done, all);
            }
        }
    }
    Ok(())
}

fn remove(file: &Path) -> std::io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-22T02:00:00Z";

    fn wanted(now: &str, orders: u32) -> Wanted {
        let now = now.parse().expect("a time");
        let tenants = super::super::TENANTS.map(|(id, zone)| Tenant::new(id, zone, now));
        Wanted { orders, now, tenants }
    }

    fn generated(database: &Path, wanted: &Wanted) {
        let progress = Progress::counting("{pos}");
        generate(database, wanted, &progress).expect("generated");
    }

    fn sum(database: &Path) -> f64 {
        let connection = Connection::open(database).expect("it opens");
        let query = "select sum(total * id * length(received_at || items)) from orders";
        connection.query_row(query, [], |row| row.get(0)).expect("a sum")
    }

    #[test]
    fn the_same_number_gives_the_same_orders_and_is_not_generated_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let few = wanted(NOW, 100);
        assert_eq!(few.days(), "2026-11-22 2026-11-21", "it is not midnight everywhere at once");
        assert_eq!(few.described(), "100 orders of north and 10 of south");
        assert!(!is_there(&first, &few).expect("nothing"));
        generated(&first, &few);
        generated(&second, &few);
        assert_eq!(sum(&first), sum(&second));
        assert!(is_there(&first, &few).expect("the demo's"));
        assert!(!is_there(&first, &wanted(NOW, 200)).expect("others are asked for"));
        assert!(
            !is_there(&first, &wanted("2026-11-22T07:00:00Z", 100))
                .expect("it is another day in the south")
        );
        generated(&first, &wanted(NOW, 200));
        assert!(is_there(&first, &wanted(NOW, 200)).expect("replaced"));
    }

    /// A log that was left behind by a process that was killed would be read into the new database.
    #[test]
    fn what_was_left_of_the_old_database_is_no_part_of_the_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (database, copy) = (folder.path().join("a.db"), folder.path().join("copy"));
        generated(&database, &wanted(NOW, 100));
        let writer = Connection::open(&database).expect("it opens");
        writer.execute("delete from orders", []).expect("written into the log");
        let log = database.with_extension("db-wal");
        fs::copy(&log, &copy).expect("copied");
        drop(writer);
        fs::copy(&copy, &log).expect("as if nobody had closed it");
        generated(&database, &wanted(NOW, 200));
        assert!(is_there(&database, &wanted(NOW, 200)).expect("whole") && sum(&database) > 0.0);
    }

    #[test]
    fn a_database_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("shop.db");
        let connection = Connection::open(&database).expect("it opens");
        connection.execute("create table mine (x)", []).expect("a table");
        assert!(is_there(&database, &wanted(NOW, 100)).is_err());
    }
}
