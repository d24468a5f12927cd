//! What this store alone promises.
