//! Widget definitions: TOML, checked.
