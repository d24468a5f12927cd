//! C libraries whose memory is routed in: what the account shows against what they say themselves.

use std::io::Write;

use rusqlite::{Connection, ffi};
use samovar_memory::{
    Account, MB,
    sqlite::{self, Payer, TooLate},
};

fn held(account: &Account) -> u64 {
    account.usage().expect("metering is on").current_bytes
}

#[test]
fn sqlites_pages_and_statements_are_the_accounts() {
    sqlite::route(Payer::Running).expect("nobody used SQLite before");
    let account = Account::unlimited("sqlite");
    let connection = account.scope(|| {
        let connection = Connection::open_in_memory().expect("it opens");
        connection.execute_batch("CREATE TABLE t (text TEXT)").expect("it is made");
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
            INSERT INTO t SELECT printf('%0500d', i) FROM n";
        connection.execute(fill, []).expect("it is filled");
        connection
    });
    #[expect(unsafe_code, reason = "SQLite's own count")]
    // SAFETY: reads a counter.
    let says = unsafe { ffi::sqlite3_memory_used() }.unsigned_abs();
    let shown = held(&account);
    assert!(says > 10 * MB, "{says}");
    // Headers and size classes on top: 4 KiB pages land in the class of 5 KiB.
    assert!((says..says + says / 3).contains(&shown), "SQLite says {says}, shown {shown}");
    drop(connection);
    assert!(held(&account) < 100_000, "{}", held(&account));
    assert_eq!(sqlite::route(Payer::Running), Err(TooLate));
}

#[test]
fn zstds_contexts_are_the_accounts() {
    let account = Account::unlimited("zstd");
    let encoder = account.scope(|| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 19).expect("it starts");
        encoder.write_all(&[7; 1_000_000]).expect("it takes it");
        encoder
    });
    let shown = held(&account);
    assert!(shown > 8 * MB, "level 19 has a window of 8 MB: {shown}");
    drop(encoder);
    assert!(held(&account) < 1000, "{}", held(&account));
}
