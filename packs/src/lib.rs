//! Ready-made dashboards, a module for each field: the tables it reads, data of a demo, and what a
//! configuration declares over it.
//!
//! Packs are texts and plain functions. Who writes them into a database, or into a file, is the binary.

pub mod commerce;
