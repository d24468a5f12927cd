//! A folder with a small shop: its database, its configuration, and servers over them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rusqlite::Connection;
use samovar_testkit::Process;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const CONFIG: &str = r#"
[cache]
compress_above = "200B"

[tenants]
list = [{ id = "north" }, { id = "south" }]

[source.shop]
url = "sqlite://shop.db"
timeout = "20s"

[widget.sales]
source = "shop"
query = """
select channel, sum(total) as revenue from orders
where tenant = :tenant and (:channel = 'all' or channel = :channel) group by channel"""
params.channel = { default = "all" }
tags = ["orders"]

[widget.log]
source = "shop"
query = "select total, note from orders where tenant = :tenant order by rowid"

[widget.ranged]
source = "shop"
query = "select count(*) as orders from orders where tenant = :tenant and :from < :to and :size <> ''"
params.size = { default = "any", values = ["any", "large"] }
ranges = ["7d"]

[widget.broken]
source = "shop"
query = "select json_extract(note, '$.x') as x from orders where :tenant <> ''"
"#;

pub(crate) struct Shop {
    folder: TempDir,
}

/// A running `samovar`, and where it listens.
pub(crate) struct Served {
    pub(crate) process: Process,
    pub(crate) address: String,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let shop = Self { folder: tempfile::tempdir().expect("a folder") };
        shop.write_config(CONFIG);
        let database = shop.database();
        let schema = "create table orders (tenant text, channel text, total integer, note text)";
        database.execute(schema, []).expect("a table");
        let insert = "insert into orders values (?1, ?2, ?3, ?4)";
        for order in 0..100u32 {
            let tenant = if order % 2 == 0 { "north" } else { "south" };
            let channel = if order / 2 % 2 == 0 { "web" } else { "till" };
            let note = "a note that repeats itself";
            database.execute(insert, (tenant, channel, order, note)).expect("an order");
        }
        shop
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn database(&self) -> Connection {
        Connection::open(self.path("shop.db")).expect("a database")
    }

    /// An order that everybody should see once they are told.
    pub(crate) fn order(&self, total: u32) {
        let insert = "insert into orders values ('north', 'web', ?1, '')";
        self.database().execute(insert, [total]).expect("an order");
    }

    pub(crate) fn write_config(&self, text: &str) {
        fs::write(self.path("samovar.toml"), text).expect("written");
    }

    pub(crate) fn change_config(&self, written: &str, instead: &str) {
        let changed = CONFIG.replacen(written, instead, 1);
        assert_ne!(changed, CONFIG, "{written}");
        self.write_config(&changed);
    }

    /// Upon what it was changed to before.
    pub(crate) fn change_again(&self, written: &str, instead: &str) {
        let before = fs::read_to_string(self.path("samovar.toml")).expect("it is there");
        let changed = before.replacen(written, instead, 1);
        assert_ne!(changed, before, "{written}");
        self.write_config(&changed);
    }

    /// The command in this folder, from where it finds its configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        command_in(self.folder.path(), arguments)
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        Process::spawn(self.command(arguments)).expect("it starts")
    }

    pub(crate) fn serve(&self) -> Served {
        Served::of(self.start(&["serve", "--listen", "127.0.0.1:0"]))
    }

    /// How a command that ends by itself ended, and what it said.
    pub(crate) fn ending(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let process = self.start(arguments);
        let status = process.wait(LIMIT).expect("it ends");
        (status.code(), process.stdout() + &process.stderr())
    }
}

impl Shop {
    /// What a command that succeeds says to people.
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let (code, said) = self.ending(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
        said
    }

    /// What it says to programs.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let process = self.start(&[arguments, &["--json"]].concat());
        let status = process.wait(LIMIT).expect("it ends");
        assert!(status.success(), "{arguments:?}: {}", process.stderr());
        serde_json::from_str(&process.stdout()).expect("it is JSON")
    }
}

/// The command, started in a folder.
pub(crate) fn command_in(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samovar"));
    command.args(arguments).current_dir(folder).env("APP_TOKEN", "s3cr3t");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Served {
    pub(crate) fn of(process: Process) -> Self {
        let address = process.hear("listening on http://", LIMIT).expect("it listens");
        Self { process, address }
    }
}
