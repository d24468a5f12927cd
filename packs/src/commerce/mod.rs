//! Orders with items as JSON, in eight channels: sales, products, channels, hours and refunds.

mod orders;
mod products;

pub use self::orders::{CHANNELS, ORDERS, Order, order, orders, text};

/// The tables, as SQLite has them.
pub const SCHEMA: &str = include_str!("schema.sql");
/// By which a tenant's orders of a range are found, and the channels there are.
pub const INDEXES: &str = include_str!("indexes.sql");
/// Takes a tenant, and of an order its time as [`text`], channel, total, refund, customer and items.
pub const INSERT: &str = include_str!("insert.sql");
/// What a `samovar.toml` declares over a source that is called `shop`.
pub const DEFINITIONS: &str = include_str!("definitions.toml");
