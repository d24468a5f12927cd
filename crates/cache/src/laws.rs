//! Switches that break one law each, so that the simulation can show that it would notice.
//!
//! Without the feature `simulation` there is nothing to switch and the checks fold away.

/// A law of ARCHITECTURE.md that the code of a node keeps (the store keeps the others).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Law {
    /// The stamps of a value are captured before its data is read.
    StampFirst,
    /// A result serves as fresh only those who began to wait before one of its stamps moved.
    LateWaitersWait,
    /// A local entry is trusted only while its masters are being heard.
    SilenceEndsTrust,
    /// What a master said over an earlier link is not believed under a new one.
    NewLinksKnowNothing,
    /// Every master has a heartbeat of its own.
    HeartbeatPerMaster,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Laws {
    #[cfg(feature = "simulation")]
    broken: Option<Law>,
}

impl Laws {
    #[cfg(feature = "simulation")]
    pub fn all_but(law: Law) -> Self {
        Self { broken: Some(law) }
    }

    #[inline]
    pub(crate) fn hold(&self, law: Law) -> bool {
        #[cfg(feature = "simulation")]
        return self.broken != Some(law);
        #[cfg(not(feature = "simulation"))]
        {
            let _ = law;
            true
        }
    }
}
