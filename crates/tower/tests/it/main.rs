//! The layer around real services: an axum application over SQLite, and a real cache.

mod app;
mod away;
mod gone;
mod remote;
mod rules;
mod services;
mod target;
mod writes;
