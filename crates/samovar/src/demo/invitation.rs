//! What the demo says when it listens: where, how to come in, and what to try.

use std::{net::SocketAddr, path::PathBuf};

use samovar_access::Secret;

pub(super) struct Invitation {
    pub(super) token: Secret,
    pub(super) link: Secret,
    pub(super) database: PathBuf,
}

impl Invitation {
    /// Each line that begins with `$` is one that a shell takes as it stands.
    pub(super) fn text(&self, address: SocketAddr, warmed: &str) -> String {
        let (token, link) = (self.token.exposed(), self.link.exposed());
        let database = quoted(&self.database.display().to_string());
        let url = format!("http://{address}");
        let curl = "$ curl -H \"Authorization: Bearer $TOKEN\"";
        format!(
            r#"{warmed}
listening on {url}

In a browser; the link holds once, for ten minutes:
{url}/sign-in?code={link}

From another terminal; the token holds for a day:
$ TOKEN={token}

A reading, from memory; its headers say how old it is and what it cost:
{curl} -i '{url}/v1/widgets/sales_summary?tenant=north&range=7d'

Of one channel; and a whole board:
{curl} '{url}/v1/widgets/top_products?tenant=north&channel=web'
{curl} '{url}/v1/boards/sales?tenant=north&range=30d'

Change an order, whoever does it, and what depends on it is computed anew:
$ sqlite3 {database} "update orders set total = total + 1000 where id = (select max(id) from orders where tenant_id = 'north')"
{curl} -i '{url}/v1/widgets/sales_summary?tenant=north&range=1d'

Say that orders came in, and everything is warmed again:
{curl} --json '{{"name":"orders.synced","tenant":"north"}}' {url}/v1/events

How the cache fares:
{curl} {url}/v1/cache/stats
"#
        )
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_it_is_made_of() {
        assert_eq!(quoted("/tmp/a-b/shop.db"), "/tmp/a-b/shop.db");
        assert_eq!(quoted("/tmp/a b/it's"), r"'/tmp/a b/it'\''s'");
    }
}
