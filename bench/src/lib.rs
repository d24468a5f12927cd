//! Side by side with other systems.
