//! The document is held against the routes as they are written, and against the committed one.

use std::collections::BTreeSet;

use super::*;

/// Methods and paths of the table of routes.
fn routed() -> BTreeSet<(String, String)> {
    let routes = routes::shown().into_iter();
    routes.map(|it| (it.method.to_lowercase(), it.path.to_owned())).collect()
}

#[test]
fn what_is_routed_is_documented_and_what_is_documented_is_routed() {
    let documented: BTreeSet<_> =
        OPERATIONS.iter().map(|it| (it.method.to_owned(), it.path.to_owned())).collect();
    assert_eq!(documented, routed());
    let ids: BTreeSet<_> = OPERATIONS.iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), OPERATIONS.len(), "an id twice");
}

#[test]
fn parameters_of_paths_and_schemas_are_those_that_there_are() {
    let schemas = schemas::all();
    for operation in OPERATIONS {
        let named = operation.path.split('{').skip(1).filter_map(|it| it.split('}').next());
        let named: Vec<_> = named.collect();
        let of_path = |it: &&table::Parameter| matches!(it.place, Place::Path);
        let given: Vec<_> = operation.parameters.iter().filter(of_path).map(|it| it.name).collect();
        assert_eq!(named, given, "{}", operation.path);
        let answers = operation.answers.iter().filter_map(|(_, content)| match content {
            Content::Json(schema) => Some(*schema),
            Content::Nothing | Content::Text(_) => None,
        });
        for schema in answers.chain(operation.body) {
            assert!(schemas.get(schema).is_some(), "{schema}");
        }
    }
}

/// `UPDATE=1` writes it.
#[test]
fn the_committed_document_is_the_served_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, text()).expect("written");
    }
    let committed = std::fs::read_to_string(file).expect("docs/openapi.json");
    assert!(committed == text(), "docs/openapi.json is another one: UPDATE=1 writes it");
}
