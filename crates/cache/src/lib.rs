//! A two-tier cache whose invalidation has no open race.
