//! Every limit of the HTTP surface, and what happens at it.

use std::time::Duration;

/// Connections at a time. More wait in the system's queue until one ends.
pub const CONNECTIONS: usize = 10_000;
/// Bytes of a request's body. More: 413.
pub const BODY_BYTES: usize = 256 << 10;
/// The same of a call that brings events: a thousand of a kilobyte each.
pub const EVENTS_BYTES: usize = 1 << 20;
/// Bytes of a request's line and headers. More, or more than 100 headers: 431, and the connection
/// ends.
pub const HEADER_BYTES: usize = 16 << 10;
/// How long a client may take to send its headers. Longer: the connection ends.
pub const HEADER_TIME: Duration = Duration::from_secs(30);
/// After this time it is tried again to accept connections for which the system had no room.
pub const ACCEPT_AGAIN: Duration = Duration::from_secs(1);
/// Bytes of the answer of a board. Tiles beyond them are answered with an error.
pub const BOARD_BYTES: usize = 32 << 20;
/// Tenants in a list of what there is. More are counted only.
pub const TENANTS_SHOWN: usize = 1000;
/// Commands that wait for their connection to be accepted. More are refused.
pub const SOCKET_QUEUE: u32 = 128;
