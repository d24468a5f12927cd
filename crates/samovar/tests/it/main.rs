//! The binary as people run it: started over a generated table, asked over HTTP, stopped by signals.

mod access;
mod capture;
mod checks;
mod commands;
mod demo;
mod draining;
mod endings;
mod events;
mod hostile;
mod http;
mod init;
mod jobs;
mod logs;
mod metrics;
mod prove;
mod readings;
mod readme;
mod shop;
mod stores;
mod streams;
mod top;
mod warm;
mod wrong;
