//! The product: readings are bound, read and invalidated.
