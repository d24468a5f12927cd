//! PostgreSQL behind TLS: who is trusted, and that cancelling works there, too.

use std::{fs, path::Path, process::Command};

use samovar_testkit::PostgresServer;
use tempfile::TempDir;

use crate::{
    postgres::{open, open_in, rows, select},
    postgres_faults::{Tell, nothing_runs},
};

/// For one address, vouched for by itself.
const CERTIFICATE: &str = "
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = a test
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1
";

/// With its certificate as `root.pem` in the folder.
fn server() -> (PostgresServer, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("request.cnf"), CERTIFICATE).expect("written");
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-nodes", "-days", "2", "-config"]).arg(path("request.cnf"));
    openssl.arg("-keyout").arg(path("key.pem")).arg("-out").arg(path("root.pem"));
    let made = openssl.output().expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |name: &str| fs::read_to_string(path(name)).expect("a file");
    let server = PostgresServer::builder().tls(read("root.pem"), read("key.pem")).start();
    (server.expect("a server"), folder)
}

const ENCRYPTED: &str = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";

#[tokio::test]
async fn a_server_is_required_to_be_trusted() {
    let (server, folder) = server();
    let read = async |folder: &Path, options: &str| {
        let source = open_in(folder, &format!("{}?{options}", server.url()), "");
        rows(&source.expect("it opens"), ENCRYPTED).await.map_err(|error| error.to_string())
    };
    let encrypted = Ok(r#"{"rows":[{"ssl":true}]}"#.to_owned());
    // The path is relative to the definitions.
    assert_eq!(read(folder.path(), "sslmode=require&sslrootcert=root.pem").await, encrypted);
    assert_eq!(read(folder.path(), "sslrootcert=root.pem").await, encrypted);
    assert_eq!(read(Path::new(""), "sslmode=prefer").await, encrypted);
    let plain = read(Path::new(""), "sslmode=disable").await;
    assert_eq!(plain.as_deref(), Ok(r#"{"rows":[{"ssl":false}]}"#));

    let unknown = read(Path::new(""), "sslmode=require").await.expect_err("nobody vouches for it");
    assert!(unknown.contains("sslrootcert"), "{unknown}");
    let missing = read(Path::new(""), "sslrootcert=missing.pem").await.expect_err("no file");
    assert!(missing.ends_with("sslrootcert missing.pem: No such file or directory (os error 2)"));
    let key = read(folder.path(), "sslrootcert=key.pem").await.expect_err("no certificate");
    assert!(key.ends_with("it holds no certificate"), "{key}");
    let url = server.url().replace("127.0.0.1", "localhost");
    let other = open_in(folder.path(), &format!("{url}?sslrootcert=root.pem"), "");
    let other = rows(&other.expect("it opens"), ENCRYPTED).await.expect_err("another name");
    assert!(other.to_string().contains("not valid for name"), "{other}");
    for error in [unknown, missing, key, other.to_string()] {
        assert!(error.starts_with("cannot read postgres://") && !error.contains("samovar:"));
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_required() {
    let server = PostgresServer::start().expect("a server");
    let source = open(&format!("{}?sslmode=require", server.url()), "");
    let error = rows(&source, ENCRYPTED).await.expect_err("not encrypted").to_string();
    let reason = ["server does not support TLS", "trusts no certificates"];
    assert!(reason.iter().any(|reason| error.contains(reason)), "{error}");
    let prefers = open(&format!("{}?sslmode=prefer", server.url()), "");
    assert!(rows(&prefers, ENCRYPTED).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_cancelled_through_tls() {
    let (server, folder) = server();
    let url = format!("{}?sslmode=require&sslrootcert=root.pem", server.url());
    let source = open_in(folder.path(), &url, "connections = 1").expect("it opens");
    let (first, began) = tokio::sync::oneshot::channel();
    let reader = source.clone();
    let reading = tokio::spawn(async move {
        let query = select("select generate_series(1, 100000000000) as i").query;
        let mut snapshot = reader.snapshot().await.expect("a connection");
        snapshot.read(&query, &[], Tell(Some(first))).await.map(drop)
    });
    began.await.expect("a row");
    reading.abort();
    nothing_runs(&server, "generate_series", 1).await;
    assert!(rows(&source, ENCRYPTED).await.is_ok());
}
