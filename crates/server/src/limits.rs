//! Every limit of the HTTP surface, and what happens at it.

use std::time::Duration;

/// Connections at a time, unless it is configured. More wait in the system's queue until one ends.
pub const CONNECTIONS: usize = 20_000;
/// What it can be configured to.
pub const MOST_CONNECTIONS: usize = 1_000_000;
/// Connections that wait to be accepted, as far as the system allows. More are refused.
pub const LISTEN_QUEUE: u32 = 4096;
/// Descriptors beside those of connections: files, sources, Redis.
pub const OTHER_DESCRIPTORS: u64 = 512;
/// Bytes of a request's body. More: 413.
pub const BODY_BYTES: usize = 256 << 10;
/// The same of a call that brings events: a thousand of a kilobyte each.
pub const EVENTS_BYTES: usize = 1 << 20;
/// The same of a call that pushes a job: the largest payload, and what stands around it.
pub const JOB_BYTES: usize = (1 << 20) + (16 << 10);
/// Jobs or batches of a page, unless it is said how many.
pub const JOBS_SHOWN: usize = 100;
/// What can be asked for. More: as many.
pub const MOST_JOBS_SHOWN: usize = 500;
/// Bytes of a request's line and headers. More, or more than 100 headers: 431, and the connection
/// ends.
pub const HEADER_BYTES: usize = 16 << 10;
/// How long a client may take to send its headers, from their first byte on. Longer: the connection
/// ends. All times of connections are looked at every [`CONNECTION_TICK`].
pub const HEADER_TIME: Duration = Duration::from_secs(15);
/// How long a connection may rest between two requests. Longer: it is closed.
pub const REST_TIME: Duration = Duration::from_secs(75);
/// How long a client may take nothing of its answer. Longer: the connection ends.
pub const WRITE_TIME: Duration = Duration::from_secs(30);
/// How long a client may take to send a body. Longer: 408.
pub const BODY_TIME: Duration = Duration::from_secs(30);
/// A connection that has rested for one to two of these gives its buffers back.
pub const CONNECTION_TICK: Duration = Duration::from_secs(1);
/// How long a question that was answered is known by its words: then it is parsed and checked again.
pub const REPEATED_FOR: Duration = Duration::from_secs(1);
/// Bytes of such questions, and again of requests that are known by their bytes. More: those that are
/// asked the least are forgotten.
pub const REPEATED_BYTES: u64 = 16 << 20;
/// Requests of which is known whether they have come before. More: some are taken for new.
pub const REQUESTS_SEEN: usize = 4096;
/// Bytes of a request that can be known by them. More: it is parsed each time.
pub const KNOWN_HEAD_BYTES: usize = 4 << 10;
/// After this time it is tried again to accept connections for which the system had no room.
pub const ACCEPT_AGAIN: Duration = Duration::from_secs(1);
/// Bytes of the answer of a board. Tiles beyond them are answered with an error.
pub const BOARD_BYTES: usize = 32 << 20;
/// Tenants in a list of what there is. More are counted only.
pub const TENANTS_SHOWN: usize = 1000;
/// Tenants to which the first page links. More are counted only.
pub const TENANTS_LINKED: usize = 100;
/// Readings of one stream. More: 400.
pub const STREAM_READINGS: usize = 100;
/// Streams at a time. More: 503. All of them together watch so many readings as the engine allows.
pub const STREAMS: usize = 10_000;
/// A stream in which nothing happened says after this time that it is alive.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// A stream looks so often whether whoever opened it may still have it.
pub const STREAM_CHECK: Duration = Duration::from_secs(1);
/// Commands that wait for their connection to be accepted. More are refused.
pub const SOCKET_QUEUE: u32 = 128;
