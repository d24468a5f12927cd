//! What triggers record of changes that plain clients make, and how they come and go.

mod database;

use std::time::Duration;

use samovar_widgets::{InstallError, Standing};

use self::database::{CAPTURE, Client, Database, take};

async fn comes_and_goes(database: Database) {
    let before = database.catalogue();
    let mut installer = database.installer(CAPTURE).await;
    let status = installer.status().await.expect("a status");
    assert!(
        !status.outbox.exists && status.parts.iter().all(|it| it.standing == Standing::Missing)
    );
    assert_eq!(installer.uninstall().await, Ok(Vec::new()), "nothing is there");
    let status = installer.install().await.expect("installed");
    assert!(status.outbox.exists, "{status:?}");
    assert!(status.parts.iter().all(|it| it.standing == Standing::Installed), "{status:?}");
    assert_eq!(status.outbox.rows, 1, "all that came before counts as changed");
    assert_eq!(installer.statements().await, Ok(Vec::new()), "there is nothing left to do");
    assert_eq!(installer.install().await.expect("installed").outbox.rows, 1);

    // Another definition.
    let changed = CAPTURE.replace("[\"tenant\", \"at\"]", "[\"tenant\", \"at\", \"total\"]");
    let mut installer = database.installer(&changed).await;
    let status = installer.status().await.expect("a status");
    let stale = status.parts.iter().filter(|it| it.standing == Standing::OutOfDate).count();
    assert!(stale > 0, "{status:?}");
    let status = installer.install().await.expect("installed");
    assert!(status.parts.iter().all(|it| it.standing == Standing::Installed), "{status:?}");

    // Another table: what was on the first is gone.
    database.execute("create table bills (tenant varchar(20), at varchar(20))");
    let moved = CAPTURE.replace("\"orders\"\ncol", "\"bills\"\ncol");
    let mut installer = database.installer(&moved).await;
    let status = installer.status().await.expect("a status");
    let gone = status.parts.iter().filter(|it| it.standing == Standing::NotDeclared);
    assert!(
        gone.clone().count() > 0 && gone.clone().all(|it| it.capture.as_deref() == Some("orders"))
    );
    let status = installer.install().await.expect("installed");
    assert!(status.parts.iter().all(|it| it.standing == Standing::Installed), "{status:?}");

    // A trigger that somebody took away.
    let part = status.parts.iter().find(|it| it.on.is_some()).expect("a trigger");
    let drop = match &database {
        Database::Postgres(_) => format!("drop trigger \"{}\" on bills", part.name),
        Database::MariaDb(_) => format!("drop trigger `{}`", part.name),
        Database::Sqlite(_) => format!("drop trigger \"{}\"", part.name),
    };
    database.execute(&drop);
    let missing = installer.status().await.expect("a status");
    let missing = missing.parts.iter().filter(|it| it.standing == Standing::Missing);
    assert_eq!(missing.map(|it| &it.name).collect::<Vec<_>>(), [&part.name]);

    installer.uninstall().await.expect("uninstalled");
    database.execute("drop table bills");
    assert_eq!(database.catalogue(), before);
}

#[tokio::test]
async fn triggers_come_and_go_in_sqlite() {
    comes_and_goes(Database::sqlite()).await;
}

#[tokio::test]
async fn triggers_come_and_go_in_postgres() {
    comes_and_goes(Database::postgres()).await;
}

#[tokio::test]
async fn triggers_come_and_go_in_maria_db() {
    comes_and_goes(Database::maria_db()).await;
}

async fn records(database: Database) {
    let mut outbox = database.installed().await;
    let mut client = database.client().await;
    let mut recorded = async |sql: &str| {
        client.run(sql).await;
        take(&mut outbox).await
    };
    let day = |day: u32| format!("orders north 2026-11-{day}");
    let insert = "insert into orders values (1, 'north', '2026-11-19 10:00:00', 5)";
    assert_eq!(recorded(insert).await, [day(19)]);
    assert_eq!(recorded("update orders set total = 6").await, [day(19)]);
    let moved = "update orders set at = '2026-11-20 10:00:00'";
    assert_eq!(recorded(moved).await, [day(19), day(20)], "both days");
    assert_eq!(
        recorded("update orders set tenant = 'south'").await,
        [day(20), "orders south 2026-11-20".to_owned()]
    );
    assert_eq!(recorded("update orders set total = 7 where id = 2").await, [""; 0]);
    assert_eq!(recorded("delete from orders").await, ["orders south 2026-11-20"]);
    let odd = "insert into orders values (2, null, null, 5), (3, 'a\"b''c\\d', '2026-11-19', 1)";
    let odd = odd.replace('\\', if database.is_postgres() { "\\" } else { "" });
    let found = recorded(&odd).await;
    assert!(found.contains(&"orders - -".to_owned()) && found.len() == 2, "{found:?}");
    let long = format!("insert into orders values (4, '{}', null, 5)", "x".repeat(300));
    let found = recorded(&long).await;
    assert_eq!(found, [format!("orders {} -", "x".repeat(257))], "longer than a tag may be");
    let back = "begin; insert into orders values (5, 'north', '2026-11-19', 5); rollback";
    for statement in back.split("; ") {
        assert_eq!(recorded(statement).await, [""; 0]);
    }
}

#[tokio::test]
async fn what_changes_is_recorded_as_it_was_and_as_it_is_in_sqlite() {
    records(Database::sqlite()).await;
}

#[tokio::test]
async fn what_changes_is_recorded_as_it_was_and_as_it_is_in_postgres() {
    records(Database::postgres()).await;
}

#[tokio::test]
async fn what_changes_is_recorded_as_it_was_and_as_it_is_in_maria_db() {
    records(Database::maria_db()).await;
}

/// The number is drawn when a row is written, not when it is committed.
async fn sees_the_late_one(database: Database) {
    let mut outbox = database.installed().await;
    let (mut slow, mut fast) = (database.client().await, database.client().await);
    slow.run("begin").await;
    slow.run("insert into orders values (1, 'north', '2026-11-19 10:00:00', 5)").await;
    fast.run("insert into orders values (2, 'north', '2026-11-20 10:00:00', 5)").await;
    assert_eq!(take(&mut outbox).await, ["orders north 2026-11-20"], "the higher number");
    slow.run("commit").await;
    assert_eq!(take(&mut outbox).await, ["orders north 2026-11-19"], "the lower one, after it");
    assert_eq!(take(&mut outbox).await, [""; 0]);
}

#[tokio::test]
async fn a_low_id_that_commits_after_a_high_one_is_seen_in_postgres() {
    sees_the_late_one(Database::postgres()).await;
}

#[tokio::test]
async fn a_low_id_that_commits_after_a_high_one_is_seen_in_maria_db() {
    sees_the_late_one(Database::maria_db()).await;
}

/// SQLite has one writer at a time: an id that is not committed yet is not followed by others. What takes
/// its place is a number that is given again, after a rollback, which must not be mistaken for the one
/// that was taken; and a row that says the same as one that is being applied.
#[tokio::test]
async fn a_low_id_that_commits_after_a_high_one_is_seen_in_sqlite() {
    let database = Database::sqlite();
    let mut outbox = database.installed().await;
    let mut client = database.client().await;
    let change = "insert into orders values (1, 'north', '2026-11-19 10:00:00', 5)";
    client.run(&format!("begin; {change}; rollback; {change}")).await;
    let taken = outbox.take(Duration::ZERO).await.expect("taken");
    client.run("update orders set total = 6").await;
    // The same values, after it was taken: deleting what was taken does not delete what came since.
    let ids: Vec<i64> = taken.recorded.iter().map(|row| row.id).collect();
    outbox.remove(&ids).await.expect("removed");
    assert_eq!(take(&mut outbox).await, ["orders north 2026-11-19"]);
}

#[tokio::test]
async fn a_statement_over_many_rows_is_one_row_for_each_set_of_values_in_postgres() {
    let database = Database::postgres();
    let mut outbox = database.installed().await;
    database.execute(
        "insert into orders select n, 'north', '2026-11-19'::date + n % 3, n from generate_series(1, 3000) n",
    );
    let taken = outbox.take(Duration::ZERO).await.expect("taken");
    assert_eq!(taken.recorded.len(), 3);
    take(&mut outbox).await;
    database.execute("truncate orders");
    assert_eq!(take(&mut outbox).await, ["orders *"]);
}

#[tokio::test]
async fn changes_that_say_the_same_wait_as_one_row_in_sqlite() {
    let database = Database::sqlite();
    let mut outbox = database.installed().await;
    let numbers = "with recursive n(n) as (select 1 union all select n + 1 from n where n < 3000)";
    let insert = "insert into orders select n, 'north', '2026-11-' || (10 + n % 3), n from n";
    database.execute(&format!("{numbers} {insert}"));
    assert_eq!(outbox.take(Duration::ZERO).await.expect("taken").recorded.len(), 3);
    take(&mut outbox).await;
    // No trigger fires for what is replaced, and it moved.
    let mut client = database.client().await;
    client.run("insert or replace into orders values (1, 'north', '2026-12-24', 1)").await;
    assert_eq!(take(&mut outbox).await, ["orders north 2026-11-11", "orders north 2026-12-24"]);
    // What a statement says of conflicts holds for its triggers as well.
    client.run("update or ignore orders set total = 1 where id = 1").await;
    client.run("update or ignore orders set total = 2 where id = 1").await;
    assert_eq!(take(&mut outbox).await, ["orders north 2026-12-24"]);
}

#[tokio::test]
async fn what_triggers_cannot_see_is_told() {
    let blind = async |database: &Database, told: &str| {
        let status = database.installer(CAPTURE).await.status().await.expect("a status");
        assert!(status.blind.iter().any(|it| it.contains(told)), "{told}: {:?}", status.blind);
    };
    let maria_db = Database::maria_db();
    maria_db.execute("create table customers (id int primary key)");
    maria_db.execute(
        "alter table orders add customer int, add constraint of_customer foreign key (customer) \
         references customers (id) on delete cascade",
    );
    blind(&maria_db, "of_customer").await;
    blind(&maria_db, "TRUNCATE").await;
    let postgres = Database::postgres();
    postgres.execute(
        "drop table orders; create table orders (tenant text, at date) partition by range (at); \
         create table orders_new partition of orders default",
    );
    blind(&postgres, "orders_new").await;
    // What goes through the whole is seen.
    let mut outbox = postgres.installed().await;
    postgres.execute("insert into orders values ('north', '2026-11-19')");
    assert_eq!(take(&mut outbox).await, ["orders north 2026-11-19"]);
    postgres.execute("alter table orders disable trigger all");
    let status = postgres.installer(CAPTURE).await.status().await.expect("a status");
    assert!(status.parts.iter().any(|it| it.standing == Standing::Disabled), "{status:?}");
    let sqlite = Database::sqlite();
    sqlite.execute("create unique index odd on orders (total) where total > 5");
    blind(&sqlite, "odd").await;
}

#[tokio::test]
async fn what_cannot_be_captured_is_named() {
    let database = Database::postgres();
    database.execute("create view seen as select * from orders");
    let refused = async |written: &str, instead: &str| {
        let captures = CAPTURE.replace(written, instead);
        database.installer(&captures).await.install().await.expect_err("refused")
    };
    let unknown = refused("\"orders\"\ncol", "\"order\"\ncol").await;
    assert!(matches!(unknown, InstallError::NoTable { .. }), "{unknown}");
    let view = refused("\"orders\"\ncol", "\"seen\"\ncol").await;
    assert!(matches!(view, InstallError::Other { .. }), "{view}");
    let column = refused("[\"tenant\", \"at\"]", "[\"tenant\", \"at\", \"totl\"]").await;
    assert_eq!(column.hint(), Some("did you mean `total`?".to_owned()));
    assert!(
        !database.catalogue().iter().any(|name| name.starts_with("samovar")),
        "nothing is left"
    );
}

/// Whoever writes needs no right on the outbox, and whoever reads it needs no other.
#[tokio::test]
async fn a_writer_without_rights_on_the_outbox_is_recorded_and_a_reader_needs_two() {
    let database = Database::postgres();
    drop(database.installed().await);
    database.execute(
        "create role writer login password 'writer'; grant insert on orders to writer; \
         create role reader login password 'reader'; grant select, delete on samovar_outbox to reader",
    );
    let as_role = |role: &str| database.url().replace("samovar:samovar", &format!("{role}:{role}"));
    let (client, driver) = tokio_postgres::connect(&as_role("writer"), tokio_postgres::NoTls)
        .await
        .expect("connected");
    tokio::spawn(async move { drop(driver.await) });
    let mut writer = Client::Postgres(client);
    writer.run("set search_path = pg_temp").await;
    writer.run("insert into public.orders values (1, 'north', '2026-11-19', 5)").await;
    let options = format!("capture_url = \"{}\"", as_role("reader"));
    let mut outbox = database.captured_with(&options, CAPTURE).open().await.expect("opened");
    assert_eq!(take(&mut outbox).await, ["orders north 2026-11-19"]);
}

/// Two servers that know nothing of each other: what is deleted at the one stays at the other, as it does
/// on a standby for a while.
#[tokio::test]
async fn what_was_applied_and_is_yet_to_vanish_is_not_taken_again() {
    let (standby, primary) = (Database::postgres(), Database::postgres());
    drop(standby.installed().await);
    drop(primary.installed().await);
    let options = format!("capture_url = \"{}\"", primary.url());
    let mut outbox = standby.captured_with(&options, CAPTURE).open().await.expect("opened");
    let write = |day: u32| {
        standby.execute(&format!("insert into orders values ({day}, 'north', '2026-11-{day}', 1)"));
    };
    write(19);
    assert_eq!(take(&mut outbox).await, ["orders north 2026-11-19"]);
    write(20);
    assert_eq!(take(&mut outbox).await, ["orders north 2026-11-20"]);
    assert_eq!(outbox.count().await.expect("a count").0, 0);
    standby.execute("delete from samovar_outbox");
    assert_eq!(take(&mut outbox).await, [""; 0]);
    write(21);
    assert_eq!(take(&mut outbox).await, ["orders north 2026-11-21"]);
}
