//! Rows are streamed: two million of them take no more memory than a few, whatever the database.

use std::fs;

use samovar_clock::Clock;
use samovar_testkit::{MariaDbServer, PostgresServer};
use samovar_widgets::{
    Definitions, Document, Limits, Query, Related, Row, Rows, Selection, Source, SourceError,
};

const MANY: u64 = 2_000_000;
/// More than 200 MB of rows go through less than this.
const MOST_GROWTH_KB: u64 = 32 << 10;

/// Counts rows and bytes, and keeps none.
#[derive(Default)]
struct Count {
    rows: u64,
    json: Vec<u8>,
    bytes: u64,
}

impl Rows for Count {
    fn columns(&mut self, _: &[String]) -> Result<(), SourceError> {
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), SourceError> {
        self.rows += 1;
        for index in 0..row.width() {
            self.json.clear();
            row.get(index)?.write_json(&mut self.json);
            self.bytes += self.json.len() as u64;
        }
        Ok(())
    }
}

/// A figure of this process in kB, by its name in the system.
fn memory_kb(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number")
}

/// How far the memory of this process went above what it was before, at most, while `read` ran.
async fn peak_growth_kb(read: impl Future<Output = ()>) -> u64 {
    let before = memory_kb("VmRSS");
    // The peak is counted from here on.
    fs::write("/proc/self/clear_refs", "5").expect("Linux");
    read.await;
    memory_kb("VmHWM").saturating_sub(before)
}

#[expect(clippy::print_stdout, reason = "the figure, for whoever asks with --no-capture")]
async fn streams(url: &str, query: &str) {
    let text = format!("[source.s]\nurl = \"{url}\"\n");
    let document = Document::parse(&text).expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    let folder = tempfile::tempdir().expect("a folder");
    rusqlite::Connection::open(folder.path().join("s.db")).expect("a database");
    let definition = &definitions.sources[0];
    let source = Source::open(definition, folder.path(), Clock::System).expect("it opens");
    let read = async |many: u64| {
        let text = query.replace("MANY", &many.to_string());
        let query = Query::parse(source.kind(), &text).expect("a select");
        let mut snapshot = source.snapshot().await.expect("a connection");
        let count = snapshot.read(&query, &[], Count::default()).await.expect("rows");
        assert_eq!(count.rows, many);
        assert!(count.bytes > many * 100, "{}", count.bytes);
    };
    read(10_000).await;
    let grown = peak_growth_kb(read(MANY)).await;
    println!("{MANY} rows from {}: {grown} kB above idle at most", definition.url.value);
    assert!(grown <= MOST_GROWTH_KB, "{grown} kB");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_sqlite() {
    let query = "with recursive n(i) as (select 1 union all select i + 1 from n where i < MANY) \
                 select i, i / 3.0 as third, printf('%0100d', i) as text from n";
    streams("sqlite://s.db", query).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_postgres() {
    let server = PostgresServer::start().expect("it starts");
    let query =
        "select i, i / 3.0 as third, repeat('x', 100) as text from generate_series(1, MANY) as i";
    streams(&server.url(), query).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_mariadb() {
    let server = MariaDbServer::start().expect("it starts");
    let query = "select seq, seq / 3 as third, repeat('x', 100) as text from seq_1_to_MANY";
    streams(&server.url(), query).await;
}

/// All orders of one customer repeated its row: what was read was within the limit, and what was
/// written of it was not looked at before all of it was in memory.
#[tokio::test(flavor = "multi_thread")]
async fn of_rows_that_are_written_many_times() {
    let folder = tempfile::tempdir().expect("a folder");
    rusqlite::Connection::open(folder.path().join("s.db")).expect("a database");
    let document = Document::parse("[source.s]\nurl = \"sqlite://s.db\"\n").expect("it is TOML");
    let definitions = Definitions::read(&mut document.root());
    let definition = &definitions.sources[0];
    let source = Source::open(definition, folder.path(), Clock::System).expect("it opens");
    let select = |text: &str| {
        let query = Query::parse(source.kind(), text).expect("a select");
        Selection { query, json: Vec::new(), one: false, related: Vec::new() }
    };
    let mut orders = select(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000) \
         select i as id, 7 as customer from n",
    );
    let customer =
        select("select 7 as id, printf('%.*c', 1000000, 'x') as note where id in (:ids)");
    orders.related.push(Related {
        name: "named".to_owned(),
        selection: Selection { one: true, ..customer },
        key: "customer".to_owned(),
        on: "id".to_owned(),
        limit: None,
    });
    let limits = Limits { rows: 1000, bytes: 8 << 20 };
    let grown = peak_growth_kb(async {
        let mut snapshot = source.snapshot().await.expect("a connection");
        let error = orders.append(&mut snapshot, &[], limits, Vec::new()).await;
        assert_eq!(error, Err(SourceError::TooManyBytes { limit: limits.bytes }));
    });
    let grown = grown.await;
    assert!(grown <= 8 * MOST_GROWTH_KB, "{grown} kB");
}
