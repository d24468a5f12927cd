//! The scripts; what they do is said at the top of each.

use std::sync::LazyLock;

use samovar_store::redis::Script;

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new($file, include_str!(concat!("scripts/", $file, ".lua"))));
    };
}

script!(BEGIN, "begin");
script!(COMMIT, "commit");
script!(DROP, "drop");
script!(EVICT, "evict");
script!(INVALIDATE, "invalidate");
script!(RELEASE, "release");
script!(RENEW, "renew");
script!(VERSIONS, "versions");
