//! The statements, each in a file of its own.

pub(super) const ENTRY_PAGE: &str = include_str!("sql/entry_page.sql");
pub(super) const ENTRY_PUT: &str = include_str!("sql/entry_put.sql");
pub(super) const ENTRY_SAME: &str = include_str!("sql/entry_same.sql");
pub(super) const ENTRY_TRIM: &str = include_str!("sql/entry_trim.sql");
pub(super) const SCHEMA: &str = include_str!("sql/schema.sql");
pub(super) const SESSION_DELETE: &str = include_str!("sql/session_delete.sql");
pub(super) const SESSION_DELETE_OF: &str = include_str!("sql/session_delete_of.sql");
pub(super) const SESSION_FIND: &str = include_str!("sql/session_find.sql");
pub(super) const SESSION_PUT: &str = include_str!("sql/session_put.sql");
pub(super) const SESSION_SWEEP: &str = include_str!("sql/session_sweep.sql");
pub(super) const SESSION_TRIM: &str = include_str!("sql/session_trim.sql");
pub(super) const TOKEN_ALL: &str = include_str!("sql/token_all.sql");
pub(super) const TOKEN_COUNT: &str = include_str!("sql/token_count.sql");
pub(super) const TOKEN_DELETE: &str = include_str!("sql/token_delete.sql");
pub(super) const TOKEN_FIND: &str = include_str!("sql/token_find.sql");
pub(super) const TOKEN_PUT: &str = include_str!("sql/token_put.sql");
pub(super) const TOKEN_SWEEP: &str = include_str!("sql/token_sweep.sql");
pub(super) const TOKEN_USED: &str = include_str!("sql/token_used.sql");
pub(super) const USER_ALL: &str = include_str!("sql/user_all.sql");
pub(super) const USER_COUNT: &str = include_str!("sql/user_count.sql");
pub(super) const USER_DELETE: &str = include_str!("sql/user_delete.sql");
pub(super) const USER_PASSWORD: &str = include_str!("sql/user_password.sql");
pub(super) const USER_PUT: &str = include_str!("sql/user_put.sql");
pub(super) const USER_SET_PASSWORD: &str = include_str!("sql/user_set_password.sql");
