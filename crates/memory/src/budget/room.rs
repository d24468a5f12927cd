//! Whether there is room for one more: what is held, what may still come, and what the system sees.

use std::collections::BTreeMap;

use super::line::Wish;

/// How far RSS may go over what accounts promise before it stops admission, in percent: it holds
/// free pages and small change that no account knows.
const RSS_TOLERANCE_PERCENT: u64 = 10;

/// One admitted piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) need_bytes: u64,
    /// By its account and its child process; nothing where that is unknown.
    pub(super) held_bytes: Option<u64>,
}

impl Piece {
    pub(super) fn promised_bytes(self) -> u64 {
        self.need_bytes.max(self.held_bytes.unwrap_or_default())
    }
}

/// What is still free of each reserved share.
#[derive(Debug, Clone, Default)]
pub(super) struct Shares {
    pub(super) free: BTreeMap<String, u64>,
}

impl Shares {
    /// Whether there is room for this wish, and whether it takes it from its own share alone.
    pub(super) fn room(&self, load: &Load, wish: &Wish, budget_bytes: u64) -> (Room, bool) {
        let own = wish.share.as_ref().and_then(|share| self.free.get(share)).copied();
        let others = self.free.values().sum::<u64>() - own.unwrap_or_default();
        let room = load.room_for(wish.need_bytes, budget_bytes.saturating_sub(others));
        (room, own.is_some_and(|free| wish.need_bytes <= free))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    /// What the pieces need, or hold where that is more.
    pub(super) promised_bytes: u64,
    /// What they may still come to hold.
    pub(super) growth_bytes: u64,
    /// RSS of the process over its idle, and of its children over theirs.
    pub(super) rss_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Enough,
    /// The accounts have room, the pages do not: free ones may have to go back first.
    TooManyPages,
    TooLittle,
}

impl Load {
    pub(super) fn of(pieces: impl Iterator<Item = Piece>, rss_bytes: u64) -> Self {
        let mut load = Load { rss_bytes, ..Load::default() };
        for piece in pieces {
            let Piece { need_bytes, held_bytes } = piece;
            load.promised_bytes += piece.promised_bytes();
            // What is unknown is in RSS already, for all we know.
            load.growth_bytes += held_bytes.map_or(0, |held| need_bytes.saturating_sub(held));
        }
        load
    }

    pub(super) fn room_for(&self, need_bytes: u64, budget_bytes: u64) -> Room {
        if self.promised_bytes + need_bytes > budget_bytes {
            return Room::TooLittle;
        }
        let pages = self.rss_bytes + self.growth_bytes + need_bytes;
        let tolerated = budget_bytes / 100 * (100 + RSS_TOLERANCE_PERCENT);
        if pages > tolerated { Room::TooManyPages } else { Room::Enough }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(pieces: &[(u64, Option<u64>)], rss_bytes: u64) -> Load {
        let pieces = pieces.iter().map(|(need_bytes, held_bytes)| Piece {
            need_bytes: *need_bytes,
            held_bytes: *held_bytes,
        });
        Load::of(pieces, rss_bytes)
    }

    #[test]
    fn what_is_promised_counts_before_it_is_held_and_what_is_held_beyond_it() {
        let running = load(&[(100, Some(10)), (100, Some(150))], 160);
        assert_eq!((running.promised_bytes, running.growth_bytes), (250, 90));
        assert_eq!(running.room_for(150, 400), Room::Enough);
        assert_eq!(running.room_for(151, 400), Room::TooLittle);
    }

    #[test]
    fn pages_that_no_account_knows_are_in_the_way() {
        assert_eq!(load(&[], 350).room_for(100, 400), Room::TooManyPages);
        assert_eq!(load(&[], 340).room_for(100, 400), Room::Enough);
    }

    #[test]
    fn what_is_reserved_is_left_to_its_owner() {
        let wish =
            |share: Option<&str>, need_bytes| Wish { need_bytes, share: share.map(str::to_owned) };
        let shares = Shares { free: BTreeMap::from([("high".to_owned(), 100)]) };
        let running = load(&[(200, Some(200))], 200);
        assert_eq!(shares.room(&running, &wish(None, 100), 400), (Room::Enough, false));
        assert_eq!(shares.room(&running, &wish(None, 101), 400).0, Room::TooLittle);
        assert_eq!(shares.room(&running, &wish(Some("high"), 100), 400), (Room::Enough, true));
        assert_eq!(shares.room(&running, &wish(Some("high"), 150), 400), (Room::Enough, false));
    }

    #[test]
    fn without_metering_promises_and_pages_count_but_growth_is_not_counted_twice() {
        let running = load(&[(200, None)], 190);
        assert_eq!(running.growth_bytes, 0);
        assert_eq!(running.room_for(200, 400), Room::Enough);
    }
}
