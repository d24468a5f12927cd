//! The scripts; what they do is said at the top of each. All begin with what they share.

use std::sync::LazyLock;

use samovar_store::redis::Script;

macro_rules! scripts {
    ($($name:ident: $file:literal;)+) => {$(
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new($file, concat!(
                include_str!("scripts/access.lua"),
                "\n",
                include_str!(concat!("scripts/", $file, ".lua")),
            ))
        });
    )+};
}

scripts! {
    ENTRY_PAGE: "entry_page";
    ENTRY_PUT: "entry_put";
    SESSION_DROP: "session_drop";
    SESSION_FIND: "session_find";
    SESSION_PUT: "session_put";
    TOKEN_ALL: "token_all";
    TOKEN_DROP: "token_drop";
    TOKEN_FIND: "token_find";
    TOKEN_PUT: "token_put";
    TOKEN_USED: "token_used";
    USER_ALL: "user_all";
    USER_DROP: "user_drop";
    USER_PASSWORD: "user_password";
    USER_PUT: "user_put";
    USER_SET_PASSWORD: "user_set_password";
}
