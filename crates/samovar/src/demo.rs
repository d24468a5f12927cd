//! `samovar demo`: a shop with orders of three tenants, generated, and widgets over them.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use rusqlite::{Connection, params};
use samovar_access::{Access, Label, NewToken, Role, Scope, Secret, StoreError};
use samovar_cache::{How, Subject};
use samovar_clock::{Clock, Random};
use samovar_engine::Ask;

use crate::{
    arguments::DemoArguments,
    config::Config,
    failure::Failure,
    serve::{may_listen, print, run},
    state::State,
};

const CONFIG: &str = include_str!("demo.toml");
const SCHEMA: &str = include_str!("demo.sql");
/// Raised when the same number of orders gives other orders than before.
const GENERATION: u32 = 2;

const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);

const TENANTS: [&str; 3] = ["north", "south", "harbour"];
const CHANNELS: [&str; 4] = ["web", "till", "app", "phone"];
const PRODUCTS: [(&str, u32); 6] = [
    ("samovar", 18_900),
    ("teapot", 4_200),
    ("tray", 2_450),
    ("glass", 650),
    ("black tea", 890),
    ("sugar tongs", 1_150),
];

pub(crate) async fn demo(arguments: DemoArguments) -> Result<(), Failure> {
    let folder = arguments.data_dir.clone().unwrap_or_else(default_folder);
    let prepared = |error| Failure::failed(format!("preparing {}", folder.display()), error);
    let config = Config::load(&write_config(&folder).map_err(prepared)?)?;
    may_listen(arguments.listen, &config)?;
    // Owned before the database is replaced: nobody else serves from it.
    let state = State::open(&config).await?;
    let database = folder.join("shop.db");
    let today = today().map_err(prepared)?;
    if !is_generated(&database, arguments.orders, &today).map_err(prepared)? {
        generate(&database, arguments.orders, &today).map_err(prepared)?;
        let how = How { cause: "the demo's orders were generated".to_owned(), ..How::default() };
        let cleared = state.cache.clear(&Subject::Everything, None, &how).await;
        cleared.map_err(|error| Failure::failed("clearing the cache", error))?;
    }
    let catalogue = config.catalogue(Ask::All).await?;
    let token = token(&state.access).await;
    let token = token.map_err(|error| Failure::failed("making a token", error))?;
    let (orders, tenants) = (arguments.orders, TENANTS.len());
    print(&format!("{orders} orders of {tenants} tenants in {}", database.display()))?;
    run(&config, catalogue, state, arguments.listen, |address| invitation(address, &token)).await
}

/// That may do everything for a day, instead of the one of the last start.
async fn token(access: &Access) -> Result<Secret, StoreError> {
    let label = Label::new("demo").expect("it is a name");
    for token in access.tokens().await?.iter().filter(|token| token.label == label) {
        access.revoke_token(token.id).await?;
    }
    let (role, scope, lifetime) = (Role::Admin, Scope::All, Some(TOKEN_LIFETIME));
    let by = "the demo".to_owned();
    Ok(access.create_token(NewToken { label, role, scope, lifetime, by }).await?.1)
}

fn invitation(address: SocketAddr, token: &Secret) -> String {
    let token = token.exposed();
    let tags = r#"{"tenant":"north","tags":["orders"]}"#;
    format!(
        "listening on http://{address}\n\n\
         Computed once, from memory the second time:\n\
         \x20 curl -i 'http://{address}/v1/widgets/sales_by_channel?tenant=north'\n\
         With a parameter, and for a range of days:\n\
         \x20 curl -i 'http://{address}/v1/widgets/top_products?tenant=north&channel=web'\n\
         \x20 curl -i 'http://{address}/v1/widgets/sales_by_day?tenant=north&range=7d'\n\
         All of them, of one state of the database:\n\
         \x20 curl 'http://{address}/v1/boards/sales?tenant=north'\n\
         Orders have changed: what depends on them is computed anew when it is read.\n\
         \x20 curl --json '{tags}' http://{address}/v1/invalidate\n\
         Here nobody is asked who he is. Elsewhere programs send a token; this one lives for a day.\n\
         \x20 curl -H 'Authorization: Bearer {token}' http://{address}/v1/sessions/current\n"
    )
}

/// In the user's cache, and where there is none, among what is temporary.
fn default_folder() -> PathBuf {
    let given = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    given("XDG_CACHE_HOME")
        .or_else(|| given("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("samovar-demo")
}

/// A configuration that somebody else wrote stays as it is.
fn write_config(folder: &Path) -> anyhow::Result<PathBuf> {
    let file = folder.join("samovar.toml");
    let ours = CONFIG.lines().next();
    if file.exists() && fs::read_to_string(&file)?.lines().next() != ours {
        bail!("{} is not the demo's: choose another folder", file.display());
    }
    fs::create_dir_all(folder)?;
    fs::write(&file, CONFIG)?;
    Ok(file)
}

fn today() -> anyhow::Result<String> {
    let seconds = Clock::System.wall().as_millis() / 1000;
    let connection = Connection::open_in_memory()?;
    Ok(connection.query_row("select date(?1, 'unixepoch')", [seconds], |row| row.get(0))?)
}

/// Whether the database is there, with as many orders until this day. One that is not the demo's is
/// left alone.
fn is_generated(database: &Path, orders: u32, until: &str) -> anyhow::Result<bool> {
    if !database.exists() {
        return Ok(false);
    }
    let connection = Connection::open(database)?;
    let query = "select * from generated";
    // The first generation had no day.
    let day = |row: &rusqlite::Row<'_>| row.get::<_, String>(2).unwrap_or_default();
    let read =
        |row: &rusqlite::Row<'_>| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, day(row)));
    let foreign = || format!("{} is not the demo's: choose another folder", database.display());
    let found = connection.query_row(query, [], read).with_context(foreign)?;
    Ok(found == (orders, GENERATION, until.to_owned()))
}

/// Written beside and renamed, so that what is interrupted is not taken for whole.
fn generate(database: &Path, orders: u32, until: &str) -> anyhow::Result<()> {
    let draft = database.with_extension("draft");
    if draft.exists() {
        fs::remove_file(&draft)?;
    }
    let mut connection = Connection::open(&draft)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    insert_orders(&transaction, orders, until)?;
    let insert = "insert into generated values (?1, ?2, ?3)";
    transaction.execute(insert, params![orders, GENERATION, until])?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(fs::rename(draft, database)?)
}

fn insert_orders(connection: &Connection, orders: u32, until: &str) -> rusqlite::Result<()> {
    let random = Random::seeded(u64::from(GENERATION));
    let pick = |count: usize| random.below(count as u64) as usize;
    let mut insert =
        connection.prepare("insert into orders values (?1, ?2, date(?3, ?4), ?5, ?6, ?7, ?8)")?;
    for id in 1..=orders {
        // The first of each is the busiest.
        let tenant = TENANTS[pick(TENANTS.len()).min(pick(TENANTS.len()))];
        let channel = CHANNELS[pick(CHANNELS.len()).min(pick(CHANNELS.len()))];
        let (product, price_cents) = PRODUCTS[pick(PRODUCTS.len())];
        let quantity = 1 + pick(4) as u32;
        // Of the last half year, none on the last two days of each thirty.
        let before = format!("-{} days", 30 * pick(6) + pick(28));
        let total_cents = quantity * price_cents;
        let order = params![id, tenant, until, before, channel, product, quantity, total_cents];
        insert.execute(order)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revenue(database: &Path) -> i64 {
        let connection = Connection::open(database).expect("it opens");
        let query = "select sum(total_cents * id) from orders";
        connection.query_row(query, [], |row| row.get(0)).expect("a sum")
    }

    #[test]
    fn the_same_number_gives_the_same_orders_and_is_not_generated_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let today = today().expect("a day");
        let is_generated = |path, orders, day| is_generated(path, orders, day).expect("the demo's");
        assert!(!is_generated(&first, 100, &today));
        generate(&first, 100, &today).expect("generated");
        generate(&second, 100, &today).expect("generated");
        assert_eq!(revenue(&first), revenue(&second));
        assert!(is_generated(&first, 100, &today));
        assert!(!is_generated(&first, 200, &today), "others are asked for");
        assert!(!is_generated(&first, 100, "2999-01-01"), "they are of days gone by");
        generate(&first, 200, &today).expect("replaced");
        assert!(is_generated(&first, 200, &today) && revenue(&first) > revenue(&second));
    }

    #[test]
    fn what_belongs_to_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("shop.db");
        let connection = Connection::open(&database).expect("it opens");
        connection.execute("create table mine (x)", []).expect("a table");
        assert!(is_generated(&database, 100, "2026-01-01").is_err());
        fs::write(folder.path().join("samovar.toml"), "[server]\n").expect("written");
        assert!(write_config(folder.path()).is_err());
    }
}
