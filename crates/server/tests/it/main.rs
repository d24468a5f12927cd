//! The server over real connections: who is let in to what, and what is written down of it.

mod asking;
mod audit;
mod documented;
mod matrix;
mod open;
mod redacted;
mod sessions;
mod shop;
