//! Who is let in to what, and what is written down of it: a server in this process over real
//! connections, and the commands.

mod asking;
mod audit;
mod commands;
mod documented;
mod held;
mod jobs;
mod known;
mod matrix;
mod open;
mod redacted;
mod server;
mod sessions;
mod slow;
