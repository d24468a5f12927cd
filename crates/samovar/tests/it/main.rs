//! The binary as people run it: started over a generated table, asked over HTTP, stopped by signals.

mod access;
mod alerts;
mod application;
mod capture;
mod checks;
mod commands;
mod demo;
mod draining;
mod endings;
mod events;
mod hooks;
mod hostile;
mod http;
mod init;
mod job_commands;
mod jobs;
mod logs;
mod memory;
mod metrics;
mod processes;
mod prove;
mod readings;
mod readme;
mod reload;
mod replaced;
mod shop;
mod stores;
mod strangers;
mod streams;
#[cfg(feature = "otlp")]
mod telemetry;
#[cfg(not(feature = "otlp"))]
mod telemetry_missing;
mod top;
mod warm;
mod wrong;
