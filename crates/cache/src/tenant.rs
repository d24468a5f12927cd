//! Whose data it is: a part of every key by construction.

use std::{fmt, sync::Arc};

use crate::limits;

/// The id of a tenant, checked once. It becomes the hash tag of every key that is stored for it,
/// so that a tenant's entries and versions live on one master.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// Any text of 1 to 128 bytes without control characters.
    pub fn new(id: &str) -> Result<Self, TenantError> {
        if id.is_empty() {
            return Err(TenantError::Empty);
        }
        if id.len() > limits::TENANT_BYTES {
            return Err(TenantError::TooLong { bytes: id.len() });
        }
        if id.chars().any(char::is_control) {
            return Err(TenantError::Control);
        }
        Ok(Self(Arc::from(id)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({})", self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantError {
    #[error("a tenant id must not be empty")]
    Empty,
    #[error("a tenant id has {bytes} bytes, at most {} are allowed", limits::TENANT_BYTES)]
    TooLong { bytes: usize },
    #[error("a tenant id must not contain control characters")]
    Control,
}
