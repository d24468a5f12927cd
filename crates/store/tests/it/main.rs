//! The store against real files and real servers.

mod embedded;
