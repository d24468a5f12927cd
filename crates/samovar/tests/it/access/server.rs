//! A server over a small shop of two tenants, and what is needed to ask it as anybody.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use samovar_access::{
    Access, EmbeddedStore, Label, NewToken, NewUser, Password, Role, Scope, Settings, Store,
    UserName,
};
use samovar_cache::{Cache, Folder};
use samovar_clock::{Clock, Random};
use samovar_engine::{Ask, Catalogue, Engine, Observe};
use samovar_jobs::{
    Finish, JobId, Kind, NewJob, Outcome, QueueName, Tenant, WorkerName,
    store::{Claim, Suspects},
};
use samovar_server::Server;
use samovar_widgets::{Definitions, Document};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::asking::Asking;

const DEFINITIONS: &str = r#"
[tenants]
list = [{ id = "north" }, { id = "south" }]

[source.shop]
url = "sqlite://shop.db"

[widget.total]
source = "shop"
query = "select sum(total) as total from orders where tenant = :tenant and :channel <> ''"
params.channel = { default = "all", values = ["all", "web"] }
tags = ["orders"]

[board.sales]
title = "Sales"
widgets = ["total"]

[event."order.created"]
invalidates = ["orders"]
"#;

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Shop {
    pub(crate) address: SocketAddr,
    pub(crate) access: Access,
    pub(crate) engine: Engine,
    /// Where its owner may ask without saying who he is.
    pub(crate) socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    _folder: TempDir,
}

impl Shop {
    /// Everybody has to say who he is.
    pub(crate) async fn closed() -> Self {
        Self::start(Settings { required: true, ..Settings::default() }).await
    }

    pub(crate) async fn start(settings: Settings) -> Self {
        Self::start_by(settings, Clock::System).await
    }

    /// By another clock, whose time is the test's.
    pub(crate) async fn start_by(settings: Settings, clock: Clock) -> Self {
        Self::start_of(DEFINITIONS, settings, clock).await
    }

    pub(crate) async fn start_of(definitions: &str, settings: Settings, clock: Clock) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = rusqlite::Connection::open(folder.path().join("shop.db")).expect("a file");
        let rows = "create table orders (tenant text, total integer);
                    insert into orders values ('north', 5), ('south', 7);";
        database.execute_batch(rows).expect("rows");
        let document = Document::parse(definitions).expect("it is TOML");
        let definitions = Definitions::read(&mut document.root());
        let catalogue = Catalogue::check(&definitions, folder.path(), &clock, Ask::All);
        let catalogue = catalogue.await.expect("nothing is wrong");
        let owned = Folder::own(folder.path().join("store")).expect("owned");
        let cached = samovar_cache::Settings::default();
        let cache = Cache::builder().settings(cached.clone()).clock(clock.clone());
        let cache = cache.open_in(owned.clone()).await;
        let random = Random::System;
        let jobs =
            samovar_jobs::store::EmbeddedStore::open(owned.clone(), clock.clone(), random.clone());
        let jobs = Arc::new(samovar_jobs::Store::Embedded(jobs.await.expect("opens")));
        let store = EmbeddedStore::open(owned, clock.clone(), random.clone()).await;
        let access = Access::new(Store::Embedded(store.expect("opens")), settings, clock, random);
        let (cache, observe) = (cache.expect("opens"), Observe::default());
        let engine = Engine::start(cache, &cached, catalogue, observe, Some(jobs));
        let engine = engine.expect("it starts");
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(here, engine.clone(), access.clone()).await;
        let (mut server, socket) = (server.expect("listens"), folder.path().join("socket"));
        server.also_at(&socket).expect("listens there as well");
        let address = server.address().expect("an address");
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(server.run(async { drop(stopped.await) }));
        Self { address, access, engine, socket, stop: Some(stop), _folder: folder }
    }

    /// One that nobody runs, unless it is claimed here.
    pub(crate) async fn push_job(&self, tenant: Option<&str>) -> String {
        let queue = QueueName::new("low").expect("a name");
        let id = JobId::draw(&Random::System);
        let kind = Kind::new("charge").expect("a name");
        let mut job = NewJob::new(id, queue, kind, br#"{"card": "4111"}"#.as_slice());
        if let Some(tenant) = tenant {
            job.tenant = Tenant::new(tenant).expect("a name");
        }
        self.engine.jobs().expect("there are").push(vec![job]).await.expect("pushed");
        id.to_string()
    }

    /// Whatever waits on a queue is run, and fails.
    pub(crate) async fn fail_all(&self, queue: &str, reason: &str) {
        let jobs = self.engine.jobs().expect("there are");
        let claim = Claim {
            worker: WorkerName::new("test").expect("a name"),
            queues: vec![(QueueName::new(queue).expect("a name"), 10)],
            lease: Duration::from_secs(30),
            version: u32::MAX,
            except: Vec::new(),
            rules: [].into(),
            suspects: Suspects::Also,
        };
        let claimed = jobs.claim(claim).await.expect("answers").jobs;
        let holds: Vec<_> = claimed.iter().map(|it| it.hold).collect();
        jobs.start(holds.clone()).await.expect("answers");
        let failed = |hold| Finish::new(hold, Outcome::Failed { reason: reason.to_owned() });
        jobs.finish(holds.into_iter().map(failed).collect()).await.expect("answers");
    }

    pub(crate) async fn asking(&self) -> Asking {
        Asking::connect(self.address).await
    }

    pub(crate) async fn token(&self, role: Role, tenants: &[&str]) -> String {
        let (label, scope) = (Label::new("test").expect("a name"), scope(tenants));
        let token = NewToken { label, role, scope, lifetime: None, by: "test".to_owned() };
        let (_, secret) = self.access.create_token(token).await.expect("made");
        secret.exposed().to_owned()
    }

    /// Whose password is [`PASSWORD`].
    pub(crate) async fn user(&self, name: &str, role: Role, tenants: &[&str]) {
        let name = UserName::new(name).expect("a name");
        let password = Password::new(PASSWORD).expect("long enough");
        let user = NewUser { name, role, scope: scope(tenants) };
        self.access.create_user(user, &password).await.expect("made");
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

fn scope(tenants: &[&str]) -> Scope {
    Scope::of(tenants.iter().map(|it| (*it).to_owned()).collect())
}
