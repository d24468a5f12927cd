//! `samovar demo`: the shop of the commerce pack, generated, and everything over it, warm.

mod database;
mod invitation;

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::bail;
use jiff::Timestamp;
use samovar_access::{
    Access, Denied, Label, NewToken, NewUser, Password, Role, Scope, Secret, SecretKind, UserName,
};
use samovar_cache::{How, Subject};
use samovar_clock::Clock;
use samovar_engine::{Ask, Engine, WarmUp};
use samovar_packs::commerce;
use samovar_widgets::{Captured, InstallError};
use serde_json::json;

use self::{
    database::{Tenant, Wanted},
    invitation::Invitation,
};
use crate::{
    arguments::DemoArguments,
    commands::{Progress, refused},
    config::Config,
    failure::Failure,
    serve::{may_listen, print, run},
    state::State,
    telemetry::Telemetry,
};

/// What the demo declares beside its pack.
const BEGINNING: &str = include_str!("demo/beginning.toml");
pub(crate) const DATABASE: &str = "shop.db";
/// How far it is.
const ORDERS: &str = "{bar:40} {pos} of {len} orders";
/// The first has all orders that were asked for, the second a tenth of them.
const TENANTS: [(&str, &str); 2] = [("north", "Europe/Oslo"), ("south", "America/New_York")];

const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Of the token, and of the user who follows the link.
const NAME: &str = "demo";

pub(crate) async fn demo(arguments: DemoArguments, telemetry: Telemetry) -> Result<(), Failure> {
    let folder = arguments.data_dir.clone().unwrap_or_else(default_folder);
    let prepared = |error| Failure::failed(format!("preparing {}", folder.display()), error);
    let config = Config::load(&write_config(&folder).map_err(prepared)?)?;
    may_listen(arguments.listen, &config)?;
    // Owned before the database is replaced: nobody else serves from it.
    let state = State::open(&config).await?;
    match prepare(&config, &state, &folder, arguments.orders).await {
        Ok((catalogue, invitation)) => {
            let announce = async |engine: &Engine, address| {
                let warmed = warm(engine).await;
                invitation.text(address, &warmed)
            };
            let listen = arguments.listen;
            Box::pin(run(config, catalogue, state, listen, telemetry, announce)).await
        }
        Err(failure) => {
            state.close().await;
            Err(failure)
        }
    }
}

/// Everything that is served from: orders, triggers, and who may come in.
async fn prepare(
    config: &Config,
    state: &State,
    folder: &Path,
    orders: u32,
) -> Result<(samovar_engine::Catalogue, Invitation), Failure> {
    let prepared = |error| Failure::failed(format!("preparing {}", folder.display()), error);
    let database = folder.join(DATABASE);
    let wanted = wanted(orders).map_err(prepared)?;
    if !database::is_there(&database, &wanted).map_err(prepared)? {
        let progress = Progress::counting(ORDERS);
        database::generate(&database, &wanted, &progress).map_err(prepared)?;
        let how = How { cause: "the demo's orders were generated".to_owned(), ..How::default() };
        let cleared = state.cache.clear(&Subject::Everything, None, &how).await;
        cleared.map_err(|error| Failure::failed("clearing the cache", error))?;
    }
    print(&format!("{} in {}", wanted.described(), database.display()))?;
    install_capture(config).await?;
    let catalogue = config.catalogue(Ask::All).await?;
    let failed = |error| Failure::failed("making a token", error);
    let token = token(&state.access).await.map_err(failed)?;
    let link = link(&state.access).await.map_err(failed)?;
    Ok((catalogue, Invitation { token, link, database }))
}

/// A shop of its own, without the rest of the demo. Gives what is in it.
pub(crate) fn generate(database: &Path, orders: u32) -> anyhow::Result<String> {
    let wanted = wanted(orders)?;
    database::generate(database, &wanted, &Progress::counting(ORDERS))?;
    Ok(wanted.described())
}

fn wanted(orders: u32) -> anyhow::Result<Wanted> {
    let now = Timestamp::from_millisecond(Clock::System.wall().as_millis())?;
    let tenants = TENANTS.map(|(id, zone)| Tenant::new(id, zone, now));
    Ok(Wanted { orders, now, tenants })
}

/// So that a change reaches the dashboard by itself, whoever makes it.
async fn install_capture(config: &Config) -> Result<(), Failure> {
    let definitions = &config.definitions;
    for source in &definitions.sources {
        let captured = Captured::of(source, &definitions.captures, config.folder(), &Clock::System);
        let mut installer = captured
            .installer(None)
            .await
            .map_err(|error| refused(&InstallError::Source(error)))?;
        installer.install().await.map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// That may do everything for a day, instead of the one of the last start.
async fn token(access: &Access) -> Result<Secret, Denied> {
    let label = Label::new(NAME).expect("it is a name");
    for token in access.tokens().await?.iter().filter(|token| token.label == label) {
        access.revoke_token(token.id).await?;
    }
    let (role, scope, lifetime) = (Role::Admin, Scope::All, Some(TOKEN_LIFETIME));
    let by = "the demo".to_owned();
    Ok(access.create_token(NewToken { label, role, scope, lifetime, by }).await?.1)
}

/// For a user who has a password that nobody knows.
async fn link(access: &Access) -> Result<Secret, Denied> {
    let name = UserName::new(NAME).expect("it is a name");
    if !access.users().await?.iter().any(|user| user.name == name) {
        let password = Secret::draw(SecretKind::Token);
        let password = Password::new(password.exposed()).expect("it is long enough");
        let user = NewUser { name: name.clone(), role: Role::Admin, scope: Scope::All };
        access.create_user(user, &password).await?;
    }
    Ok(access.create_link(name))
}

/// What became of it, for people. Who reads meanwhile makes what he reads himself.
async fn warm(engine: &Engine) -> String {
    let begun = Clock::System.now();
    let progress = Progress::counting("{bar:40} {pos} of {len} tenants are warm, {elapsed}");
    let warmed = async {
        let warm_up = WarmUp { name: Some("demo".to_owned()), ..WarmUp::default() };
        let warming = engine.warm(&warm_up).await?;
        loop {
            let Some(batch) = engine.batch(&warming.batch).await? else { return Ok(None) };
            progress.show(batch.total - batch.pending, batch.total);
            if batch.finished_ms.is_some() {
                return Ok(Some(batch));
            }
            Clock::System.sleep(Progress::LOOK).await;
        }
    };
    let warmed: Result<_, samovar_engine::WarmFailure> = warmed.await;
    drop(progress);
    let took = json!(Clock::System.now().since(begun).as_millis() as u64);
    let took = crate::commands::duration(&took);
    match warmed {
        Ok(Some(batch)) if batch.failed == 0 => format!("everything is warm, in {took}"),
        Ok(Some(batch)) => {
            let reason = batch.failures.first().and_then(|it| it.reason.as_deref());
            format!(
                "{} of {} tenants are not warm: {}",
                batch.failed,
                batch.total,
                reason.unwrap_or("-")
            )
        }
        Ok(None) => "it is not known what is warm".to_owned(),
        Err(error) => format!("nothing is warm: {error}"),
    }
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
    let ours = BEGINNING.lines().next();
    if file.exists() && fs::read_to_string(&file)?.lines().next() != ours {
        bail!("{} is not the demo's: choose another folder", file.display());
    }
    fs::create_dir_all(folder)?;
    fs::write(&file, format!("{BEGINNING}\n{}", commerce::DEFINITIONS))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        write_config(folder.path()).expect("written");
        write_config(folder.path()).expect("written again");
        fs::write(folder.path().join("samovar.toml"), "[server]\n").expect("written");
        assert!(write_config(folder.path()).is_err());
    }
}
