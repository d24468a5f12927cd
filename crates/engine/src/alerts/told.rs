//! Which of several processes tells of what all of them see.
//!
//! A mark in the store of jobs, of the kind that schedules have, moves with each turn of an alert:
//! whoever moves it tells. It counts turns, so that it is odd while the alert fires.

use samovar_jobs::{
    QueueName, ScheduleName, Store, StoreError,
    store::{Fire, Fired},
};

use super::{kind::AlertKind, phase::Turn};

/// Where the marks are kept.
const QUEUE: &str = "high";

/// The alerts of which was told that they fire, and not that they are over.
pub(super) async fn firing(store: &Store) -> Result<Vec<AlertKind>, StoreError> {
    let marks = store.marks(queue()).await?;
    let shared = AlertKind::ALL.into_iter().filter(|kind| kind.about().is_shared);
    let fires = |kind: &AlertKind| {
        let name = name(*kind);
        marks.iter().any(|mark| mark.schedule == name && mark.mark_ms % 2 == 1)
    };
    Ok(shared.filter(fires).collect())
}

/// Whether it is for this process to tell.
pub(super) async fn is_mine(
    store: &Store,
    kind: AlertKind,
    turn: Turn,
) -> Result<bool, StoreError> {
    let (queue, schedule) = (queue(), name(kind));
    let marks = store.marks(queue.clone()).await?;
    let mark = marks.iter().find(|mark| mark.schedule == schedule).map(|mark| mark.mark_ms);
    let turns = mark.unwrap_or(0);
    let fires = turns % 2 == 1;
    if fires == (turn == Turn::Fires) {
        return Ok(false);
    }
    let fire = Fire { queue, schedule, expected_ms: mark, mark_ms: turns + 1, jobs: Vec::new() };
    Ok(matches!(store.fire(fire).await?, Fired::Now(_)))
}

fn queue() -> QueueName {
    QueueName::new(QUEUE).expect("a name")
}

fn name(kind: AlertKind) -> ScheduleName {
    ScheduleName::new(format!("samovar.alert/{}", kind.name())).expect("short and plain")
}

#[cfg(test)]
mod tests {
    use samovar_cache::Folder;
    use samovar_clock::{Clock, Random};
    use samovar_jobs::store::EmbeddedStore;

    use super::*;

    #[tokio::test]
    async fn of_several_who_see_the_same_one_tells() {
        let folder = tempfile::tempdir().expect("a folder");
        let owned = Folder::own(folder.path()).expect("owned");
        let store = EmbeddedStore::open(owned, Clock::System, Random::System).await;
        let store = Store::Embedded(store.expect("opens"));
        let kind = AlertKind::QueueWait;
        let mine = async |turn| is_mine(&store, kind, turn).await.expect("answers");
        assert!(!mine(Turn::Over).await, "it was never told that it fires");
        for _ in 0..2 {
            assert_eq!(firing(&store).await.expect("answers"), []);
            assert_eq!([mine(Turn::Fires).await, mine(Turn::Fires).await], [true, false]);
            assert_eq!(firing(&store).await.expect("answers"), [kind]);
            assert_eq!([mine(Turn::Over).await, mine(Turn::Over).await], [true, false]);
        }
        let other = is_mine(&store, AlertKind::StoreMemory, Turn::Fires).await;
        assert!(other.expect("answers"), "each alert has a mark of its own");
        store.close().await;
    }
}
