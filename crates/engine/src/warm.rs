//! Readings are computed before anybody asks for them.

use samovar_jobs::{
    run::{Registry, UnfitKind},
    schedule::{InvalidSchedule, Schedules},
};

use crate::Engine;

impl Engine {
    /// The kinds of jobs it pushes, for the workers of this process.
    pub fn registry(&self) -> Result<Registry, UnfitKind> {
        Ok(Registry::default())
    }

    /// What it pushes by the calendar.
    pub fn schedules(&self) -> Result<Schedules, InvalidSchedule> {
        Schedules::new([])
    }
}
