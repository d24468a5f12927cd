//! The cache as its users see it.

mod corpus;
mod embedded;
mod freshness;
mod redis_races;
