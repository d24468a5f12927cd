//! The servers that are measured, each on the first core.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::run::workspace_root;

/// Answers of about 2 KB that do not compress; one in a hundred readings of `page` is new.
const CONFIG: &str = r#"
[server]
max_connections = 30000

[tenants]
list = [{ id = "north" }]

[source.shop]
url = "sqlite://shop.db"

[widget.orders]
source = "shop"
query = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20) select i, lower(hex(randomblob(36))) as note from n where :tenant <> ''"
freshness = "daily"

[widget.page]
source = "shop"
query = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20) select i, lower(hex(randomblob(36))) as note from n where :tenant <> '' and :page <> ''"
params.page = {}
freshness = "daily"
"#;

const NGINX: &str = r#"
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid FOLDER/nginx.pid;
error_log FOLDER/nginx.log;
events { worker_connections 32768; multi_accept on; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    open_file_cache max=1000;
    client_body_temp_path FOLDER/a;
    fastcgi_temp_path FOLDER/b;
    uwsgi_temp_path FOLDER/c;
    scgi_temp_path FOLDER/d;
    proxy_temp_path FOLDER/e;
    proxy_cache_path FOLDER/cache keys_zone=hits:10m;
    server {
        listen ADDRESS;
        location /file { alias FOLDER/body; default_type application/json; }
        location / {
            proxy_pass http://SAMOVAR;
            proxy_cache hits;
            proxy_cache_valid 200 1h;
            proxy_ignore_headers Cache-Control Vary;
        }
    }
}
"#;

/// Killed when this is dropped.
struct Server {
    child: Child,
    address: String,
    pids: Vec<u32>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx's workers follow their master, which is asked.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

pub(super) struct Samovar(Server);
pub(super) struct Nginx(Server);

impl Samovar {
    pub(super) fn start(folder: &Path) -> Result<Self> {
        fs::write(folder.join("samovar.toml"), CONFIG)?;
        fs::write(folder.join("shop.db"), "")?;
        let address = free_address()?;
        let binary = workspace_root().join("target/release/samovar");
        let mut command = pinned();
        command.arg(binary).args(["serve", "--listen", &address]).current_dir(folder);
        let child = command.stdout(Stdio::null()).spawn().context("starting samovar")?;
        let pids = vec![child.id()];
        let server = Server { child, address, pids };
        // Read once, so that it is there, and kept for nginx to serve.
        let body = curl(&format!("http://{}{}", server.address, super::PATH))?;
        fs::write(folder.join("body"), body)?;
        Ok(Self(server))
    }

    pub(super) fn address(&self) -> &str {
        &self.0.address
    }

    pub(super) fn pids(&self) -> &[u32] {
        &self.0.pids
    }
}

impl Nginx {
    pub(super) fn start(folder: &Path, samovar: &str) -> Result<Self> {
        let address = free_address()?;
        let here = folder.display().to_string();
        let config = NGINX.replace("FOLDER", &here);
        let config = config.replace("ADDRESS", &address).replace("SAMOVAR", samovar);
        let file = folder.join("nginx.conf");
        fs::write(&file, config)?;
        let mut command = pinned();
        command.arg("nginx").arg("-c").arg(&file).stderr(Stdio::null());
        let child = command.spawn().context("starting nginx")?;
        let mut server = Server { child, address, pids: Vec::new() };
        curl(&format!("http://{}{}", server.address, super::PATH))?;
        let master = server.child.id();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
        // Others look after the cache, and one of them ends after a while.
        let answers = |pid: &u32| {
            let named = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            named.contains("worker process")
        };
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        server.pids = children.filter(answers).collect();
        Ok(Self(server))
    }

    pub(super) fn address(&self) -> &str {
        &self.0.address
    }

    pub(super) fn pids(&self) -> &[u32] {
        &self.0.pids
    }
}

fn pinned() -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]).stdin(Stdio::null());
    command
}

fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Waits for a server that has yet to listen.
fn curl(url: &str) -> Result<Vec<u8>> {
    let mut command = Command::new("curl");
    command.args(["-sf", "--retry", "30", "--retry-connrefused", "--retry-delay", "1", url]);
    let answer = command.output().context("starting curl")?;
    if !answer.status.success() {
        bail!("{url} is not answered");
    }
    Ok(answer.stdout)
}

/// What they have used so far, in steps of ten milliseconds.
pub(super) fn cpu_ns(pids: &[u32]) -> Result<u64> {
    const TICK_NS: u64 = 10_000_000;
    let mut ticks = 0;
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program may hold anything, and stands in parentheses.
        let (_, figures) = stat.rsplit_once(')').context("no name")?;
        let used = figures.split_whitespace().skip(11).take(2);
        ticks += used.filter_map(|it| it.parse::<u64>().ok()).sum::<u64>();
    }
    Ok(ticks * TICK_NS)
}

pub(super) fn resident_bytes(pids: &[u32]) -> Result<u64> {
    let mut all = 0;
    for pid in pids {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|it| it.split_whitespace().next()).context("no VmRSS")?;
        all += kilobytes.parse::<u64>()? * 1024;
    }
    Ok(all)
}
