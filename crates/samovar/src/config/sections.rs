//! Where the process listens, where it keeps state, and what its cache may hold.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use samovar_cache::Settings;
use samovar_engine::Observe;
use samovar_jobs::store::Durability;
use samovar_server::{Server, limits::MOST_CONNECTIONS};
use samovar_store::redis::{Options, OptionsError};
use samovar_widgets::{Located, Problem, Section};

/// Where jobs are kept, and the shared tier unless it is told to be elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Embedded { folder: PathBuf },
    Redis { url: RedisUrl, durability: Durability },
}

impl Store {
    pub(super) fn in_folder(folder: &Path) -> Self {
        Store::Embedded { folder: folder.join("samovar-data") }
    }
}

/// The cache, as the file has it.
#[derive(Default)]
pub(super) struct CacheRead {
    pub(super) settings: Settings,
    /// Another Redis than that of the jobs.
    pub(super) url: Option<RedisUrl>,
    /// Of widgets that name none.
    pub(super) default_freshness: Option<Located<String>>,
}

/// It may hold a password, so nothing of it shows when it is printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RedisUrl(String);

impl RedisUrl {
    pub(crate) fn exposed(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for RedisUrl {
    type Err = String;

    /// What is said about one that is wrong repeats nothing of it.
    fn from_str(text: &str) -> Result<Self, String> {
        match Options::parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(OptionsError::Host(_) | OptionsError::ManyHosts(_)) => {
                Err("what follows the scheme is no host and port".to_owned())
            }
            Err(OptionsError::Database(_) | OptionsError::Path(_)) => {
                Err("what follows the host is no database number".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisUrl")
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Embedded,
    Redis,
}

const GIGABYTE: u64 = 1 << 30;
const LEAST_MEMORY: u64 = 1 << 20;
pub(super) const MOST_BYTES: u64 = 1024 * GIGABYTE;
/// A value is decompressed in one piece.
const MOST_VALUE: u64 = GIGABYTE;

/// Where it listens, and to how many connections at a time, if that is said.
pub(super) fn read_server(
    root: &mut Section<'_>,
    access: &samovar_access::Settings,
) -> (SocketAddr, Option<usize>) {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 7070));
    let Some(mut section) = root.section("server") else { return (default, None) };
    let connections = section.count("max_connections", 1..MOST_CONNECTIONS + 1);
    let listen = section.text("listen").and_then(|listen| {
        let address = listen.value.parse::<SocketAddr>().map_err(|_| {
            let reason = format!("`{}` is no address with a port", listen.value);
            Problem::new(listen.line, reason).hint("write it like \"127.0.0.1:7070\"")
        });
        let allowed = address.and_then(|address| match Server::may_listen(address, access) {
            Ok(()) => Ok(address),
            Err(_) => {
                let reason = "can be reached from other machines, and nobody is asked who he is";
                let problem = Problem::new(listen.line, format!("{address} {reason}"));
                let port = address.port();
                let hint =
                    format!("say mode = \"tokens\" in [access], or listen on 127.0.0.1:{port}");
                Err(problem.hint(hint))
            }
        });
        allowed.map_err(|problem| section.note(problem)).ok()
    });
    section.finish();
    (listen.unwrap_or(default), connections.map(|it| it.value))
}

const URL: &str = "url = \"redis://host:6379\", redis+sentinel://host/service or \
                   redis+cluster://host";

/// Nothing where it is not known which is meant.
pub(super) fn read_store(root: &mut Section<'_>, folder: &Path) -> Option<Store> {
    const KINDS: [(&str, Kind); 2] = [("embedded", Kind::Embedded), ("redis", Kind::Redis)];
    const LEVELS: [(&str, Durability); 3] = [
        ("replicated", Durability::Replicated),
        ("local", Durability::Local),
        ("none", Durability::None),
    ];
    let Some(mut section) = root.section("store") else {
        return (!root.has("store")).then(|| Store::in_folder(folder));
    };
    let given = section.has("kind");
    let kind = section.choice("kind", &KINDS).map(|kind| kind.value);
    let store = match kind {
        Some(Kind::Redis) => {
            refuse_other(&mut section, "path", "embedded");
            let durability = section.choice("durability", &LEVELS);
            let durability = durability.map_or(Durability::Local, |it| it.value);
            let url = section.required_url("url", URL, str::parse::<RedisUrl>);
            url.map(|url| Store::Redis { url: url.value, durability })
        }
        // Which keys belong here is not known.
        None if given => {
            section.text("path");
            section.text("url");
            section.text("durability");
            None
        }
        Some(Kind::Embedded) | None => {
            refuse_other(&mut section, "url", "redis");
            refuse_other(&mut section, "durability", "redis");
            let path = section.text("path");
            Some(match path {
                Some(path) => Store::Embedded { folder: folder.join(path.value) },
                None => Store::in_folder(folder),
            })
        }
    };
    section.finish();
    store
}

/// A key of the other kind of store.
fn refuse_other(section: &mut Section<'_>, key: &'static str, kind: &str) {
    if section.has(key) {
        let reason = format!("`{key}` in [store] is for kind = \"{kind}\"");
        let problem = Problem::new(section.line_of(key), reason);
        section.note(problem.hint(format!("remove it, or say kind = \"{kind}\"")));
        section.text(key);
    }
}

pub(super) fn read_cache(root: &mut Section<'_>, store: Option<&Store>) -> CacheRead {
    let mut settings = Settings::default();
    let Some(mut section) = root.section("cache") else { return CacheRead::default() };
    let url = read_cache_url(&mut section, store);
    if let Some(memory) = section.bytes("memory", LEAST_MEMORY..=MOST_BYTES) {
        settings.memory = memory.value;
    }
    if let Some(disk) = section.bytes("disk", LEAST_MEMORY..=MOST_BYTES) {
        settings.disk = disk.value;
    }
    if let Some(above) = section.bytes("compress_above", 1..=MOST_VALUE) {
        settings.compress_above = above.value.try_into().unwrap_or(usize::MAX);
    }
    if let Some(limit) = section.bytes("value_limit", 1 << 10..=MOST_VALUE) {
        settings.value_limit = limit.value;
    }
    if settings.value_limit > settings.memory {
        let key = if section.has("memory") { "memory" } else { "value_limit" };
        let problem =
            Problem::new(section.line_of(key), "`memory` in [cache] holds no whole value");
        section.note(problem.hint("raise `memory`, or lower `value_limit`: 8MB unless it is set"));
    }
    let default_freshness = section.text("default_freshness");
    if let Some(mut lease) = section.section("lease") {
        let timeout = lease.duration("timeout", Duration::from_secs(1)..=Duration::from_secs(600));
        settings.lease = timeout.map_or(settings.lease, |it| it.value);
        lease.finish();
    }
    section.finish();
    CacheRead { settings, url, default_freshness }
}

fn read_cache_url(section: &mut Section<'_>, store: Option<&Store>) -> Option<RedisUrl> {
    if !section.has("url") {
        return section.text("url").and(None);
    }
    if matches!(store, Some(Store::Embedded { .. })) {
        let reason = "`url` in [cache] is for a [store] of kind = \"redis\"";
        let problem = Problem::new(section.line_of("url"), reason);
        section.note(problem.hint("remove it, or say kind = \"redis\" in [store]"));
        return section.text("url").and(None);
    }
    section.required_url("url", URL, str::parse::<RedisUrl>).map(|url| url.value)
}

/// What the health score is measured against, and from when on a compute is slow.
pub(super) fn read_health(root: &mut Section<'_>) -> Observe {
    const MOMENT: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_secs(3600);
    let mut observe = Observe::default();
    let Some(mut section) = root.section("health") else { return observe };
    if let Some(response) = section.duration("response", MOMENT..=LONGEST) {
        observe.health.response = response.value;
    }
    if let Some(slow) = section.duration("slow", MOMENT..=LONGEST) {
        observe.slow = slow.value;
    }
    if let Some(rate) = section.number("hit_rate") {
        if (1.0..=100.0).contains(&rate.value) {
            observe.health.hit_rate = rate.value / 100.0;
        } else {
            let hint = "it is a percentage: between 1 and 100";
            section.refuse("hit_rate", rate.line, "is no target", hint);
        }
    }
    section.finish();
    observe
}
