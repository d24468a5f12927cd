//! Access over its public interface: one suite for every store, and what is believed from memory.

mod access;
mod conformance;
mod harness;
