//! The binary as people run it: started over a generated table, asked over HTTP, stopped by signals.

mod capture;
mod checks;
mod commands;
mod demo;
mod endings;
mod events;
mod http;
mod jobs;
mod readings;
mod readme;
mod shop;
mod stores;
mod warm;
mod wrong;
