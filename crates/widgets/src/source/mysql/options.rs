//! What may stand in a url, and what it means.

use std::path::PathBuf;

use mysql_async::{Opts, OptsBuilder, SslOpts, UrlError};

/// Rows come whole: more than this in one row is an error.
const ROW_BYTES: usize = 64 << 20;

/// Options of the driver's own pool, which is not used here, and of what is decided here.
const MEANINGLESS: [&str; 11] = [
    "abs_conn_ttl",
    "abs_conn_ttl_jitter",
    "conn_ttl",
    "inactive_connection_ttl",
    "pool_max",
    "pool_min",
    "prefer_socket",
    "reset_connection",
    "stmt_cache_size",
    "ttl_check_interval",
    "wait_timeout",
];

/// Without it, the driver connects without TLS, whatever else is said of TLS.
const TLS: &str = "require_ssl";
/// The driver takes it from no url.
const AUTHORITY: &str = "ssl_ca";
const OF_TLS: [&str; 4] = [AUTHORITY, "verify_ca", "verify_identity", "built_in_roots"];

/// # Errors
/// What is wrong, without anything of the url but the names of options.
pub(super) fn options(url: &str) -> Result<Opts, String> {
    let url = match url.strip_prefix("mariadb://") {
        Some(rest) => format!("mysql://{rest}"),
        None => url.to_owned(),
    };
    let (place, given) = url.split_once('?').unwrap_or((&url, ""));
    let given = given.split('&').filter(|option| !option.is_empty());
    let given: Vec<_> =
        given.map(|option| option.split_once('=').unwrap_or((option, ""))).collect();
    let among = |names: &[&'static str]| {
        names.iter().copied().find(|name| given.iter().any(|(given, _)| given == name))
    };
    if let Some(name) = among(&MEANINGLESS) {
        return Err(format!("the option `{name}` means nothing here: leave it out"));
    }
    let others = given.iter().filter(|(name, _)| *name != AUTHORITY);
    let others: Vec<_> = others.map(|(name, value)| format!("{name}={value}")).collect();
    let opts = Opts::from_url(&format!("{place}?{}", others.join("&"))).map_err(mistake)?;
    let tls = match (opts.ssl_opts(), among(&OF_TLS)) {
        (None, Some(name)) => return Err(format!("its option `{name}` needs {TLS}=true")),
        (tls, _) => tls.cloned(),
    };
    let authority = given.iter().find(|(name, _)| *name == AUTHORITY);
    let authority = authority.map(|(_, path)| PathBuf::from(path));
    let tls = match (tls, authority) {
        (_, Some(path)) if !path.is_absolute() => {
            return Err(format!("its option `{AUTHORITY}` is no absolute path"));
        }
        (tls, Some(path)) => tls.map(|tls| trusting(tls, path)),
        (tls, None) => tls,
    };
    // Named by host and port, it is looked up without blocking. Only in a url does an address of
    // the sixth version stand in brackets.
    let host = opts.ip_or_hostname().trim_matches(['[', ']']).to_owned();
    let row_bytes = opts.max_allowed_packet().unwrap_or(ROW_BYTES);
    let builder = OptsBuilder::from_opts(opts)
        .ip_or_hostname(host)
        .ssl_opts(tls)
        .prefer_socket(false)
        .stmt_cache_size(0)
        // With both of them known, the driver asks for nothing.
        .max_allowed_packet(Some(row_bytes))
        .wait_timeout(Some(0));
    Ok(builder.into())
}

/// Only this authority.
fn trusting(tls: SslOpts, authority: PathBuf) -> SslOpts {
    tls.with_root_certs(vec![authority.into()]).with_disable_built_in_roots(true)
}

fn mistake(error: UrlError) -> String {
    match error {
        UrlError::InvalidParamValue { param, .. } => {
            format!("its option `{param}` has a value that is none")
        }
        // What looks like an option may be a piece of a password.
        UrlError::UnknownParameter { .. } => "it has an option that is not known".to_owned(),
        _ => "it is written like mysql://user:password@host:3306/database".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_its_secrets() {
        for (url, said) in [
            ("mysql://me:secret@db/shop?pool_max=3", "`pool_max` means nothing"),
            ("mysql://me:secret@db/shop?require_ssl=secret", "`require_ssl` has a value"),
            ("mysql://me:secret@db/shop?verify_ca=true", "`verify_ca` needs require_ssl=true"),
            ("mysql://me:secret@db/shop?ssl_ca=/secret.pem", "`ssl_ca` needs require_ssl=true"),
            (
                "mysql://me:secret@db/shop?require_ssl=true&ssl_ca=secret.pem",
                "`ssl_ca` is no absolute path",
            ),
            ("mysql://me:12?secret@db/shop", "an option that is not known"),
            ("mysql://me:se/secret@db/shop", "it is written like"),
            ("mysql://me:secret@db:port/shop", "it is written like"),
            ("mysql://", "it is written like"),
        ] {
            let reason = options(url).map(drop).expect_err(url);
            assert!(reason.contains(said) && !reason.contains("secret"), "{reason}");
        }
    }

    #[test]
    fn both_names_and_all_kinds_of_hosts_are_taken() {
        for (url, host, port) in [
            ("mysql://me@db/shop", "db", 3306),
            ("mariadb://me:p%40w@db:33/shop?require_ssl=true&verify_ca=false", "db", 33),
            ("mysql://[::1]:3307/shop", "::1", 3307),
            ("mysql://127.0.0.1/shop?socket=/run/mysqld.sock", "127.0.0.1", 3306),
        ] {
            let opts = options(url).expect(url);
            assert_eq!((opts.ip_or_hostname(), opts.tcp_port()), (host, port));
            assert_eq!(opts.db_name(), Some("shop"));
        }
        let url = "mariadb://me:p%40w@db:33/shop?require_ssl=true&ssl_ca=/ca.pem&compression=fast";
        let opts = options(url).expect("sound");
        assert_eq!((opts.pass(), opts.compression().is_some()), (Some("p@w"), true));
        let tls = opts.ssl_opts().expect("TLS");
        assert!(tls.disable_built_in_roots() && tls.root_certs().len() == 1);
    }
}
