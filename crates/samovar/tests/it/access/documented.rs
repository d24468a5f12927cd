//! What docs/access.md says of the routes is what the table of routes says.

use std::path::Path;

use samovar_server::{Least, RouteShown, Server, TenantIn};

fn line(route: &RouteShown) -> String {
    let RouteShown { method, path, least, tenant } = route;
    let least = match least {
        Least::Anyone => "anyone",
        Least::Role(role) => role.name(),
    };
    let tenant = match tenant {
        TenantIn::Nobodys => "",
        TenantIn::Query => "in the query ",
        TenantIn::Body => "in the body ",
        TenantIn::Found => "it belongs to one, or is not there ",
        TenantIn::Answer => "shows what may be seen ",
        TenantIn::All => "all ",
    };
    format!("| `{method} {path}` | {least} | {tenant}|")
}

#[test]
fn the_document_lists_every_route_as_it_is() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/access.md");
    let document = std::fs::read_to_string(document).expect("it is there");
    let expected: Vec<String> = Server::routes().iter().map(line).collect();
    let is_route = |line: &&str| {
        ["| `GET /", "| `POST /", "| `DELETE /"].iter().any(|it| line.starts_with(it))
    };
    let found: Vec<&str> = document.lines().filter(is_route).collect();
    assert_eq!(found, expected, "docs/access.md lists other routes than there are");
}
