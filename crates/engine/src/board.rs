//! A board: its widgets in one look, and what is missing from one snapshot of its source, so that
//! tiles agree.

use std::sync::Arc;

use futures_util::future::join_all;
use samovar_cache::{Answer, Refreshed};
use samovar_widgets::{Mode, nearest};
use serde::Serialize;
use tracing::Instrument;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    Member, ReadFailure,
    engine::{Engine, Inner},
    hot::Name,
    make::{Fulfilled, Want, Wish},
    reading::{BoundReading, InvalidReading, RANGE},
    spans,
};

/// A page of widgets.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    pub(crate) name: String,
    pub(crate) title: String,
    /// In the order of their tiles.
    pub(crate) widgets: Vec<String>,
    /// Whether tiles of different moments are all computed anew.
    pub(crate) agree: bool,
}

/// A board as a list of boards shows it.
#[derive(Clone, Debug, Serialize)]
pub struct BoardShown {
    pub name: String,
    /// For people.
    pub title: String,
    pub widgets: Vec<String>,
}

/// What a board shows.
#[derive(Debug)]
pub struct BoardAnswer {
    pub board: String,
    pub title: String,
    pub tenant: String,
    /// All tiles were read from one state of one source. Never true when they were not.
    pub agree: bool,
    pub tiles: Vec<Tile>,
}

#[derive(Debug)]
pub struct Tile {
    pub widget: String,
    pub answer: Result<Answer, ReadFailure>,
}

/// How often the tiles of a board that has to agree are made: somebody else may be making one of them
/// by itself.
const ATTEMPTS: usize = 2;
/// Boards that have to agree are made one at a time, those that share one of these.
const TURNS: usize = 64;

/// Who makes a board that has to agree: others wait for what is made.
#[derive(Debug)]
pub(crate) struct Turns([Arc<tokio::sync::Mutex<()>>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }
}

type BoundTile = (String, Result<BoundReading, ReadFailure>);

impl Engine {
    /// By name.
    pub fn boards(&self) -> Vec<BoardShown> {
        let shown = |board: &Board| BoardShown {
            name: board.name.clone(),
            title: board.title.clone(),
            widgets: board.widgets.clone(),
        };
        self.0.boards.values().map(shown).collect()
    }

    /// The answers of all widgets of a board. What is given goes to those that take it.
    pub async fn read_board(
        &self,
        name: &str,
        tenant: &str,
        given: Vec<(String, String)>,
    ) -> Result<BoardAnswer, ReadFailure> {
        let inner = &self.0;
        let board = inner.boards.get(name).ok_or_else(|| {
            let nearest = nearest(name, inner.boards.keys().map(String::as_str)).map(str::to_owned);
            ReadFailure::UnknownBoard { name: name.to_owned(), nearest }
        })?;
        let member = inner.member(tenant).await?;
        inner.check_given(board, &given)?;
        let bound = inner.bind_tiles(board, &member, &given);
        let readings: Vec<BoundReading> =
            bound.iter().filter_map(|(_, tile)| tile.as_ref().ok().cloned()).collect();
        let span = spans::board(&board.name);
        let together = async {
            if board.agree {
                inner.read_agreeing(&board.name, readings.clone()).await
            } else {
                inner.read_together(&readings).await
            }
        };
        let mut answers = together.instrument(span.clone()).await.into_iter();
        let tiles = bound.into_iter().map(|(widget, tile)| {
            let answer = tile.and_then(|_| answers.next().expect("one for each that is bound"));
            Tile { widget, answer }
        });
        let tiles: Vec<Tile> = tiles.collect();
        if board.agree {
            let (board, tenant) = (board.name.clone(), tenant.to_owned());
            let name = Name::Board { board, tenant, given };
            inner.hot.note(name.hash(), || name, inner.clock.now());
        }
        for name in readings.iter().map(BoundReading::name) {
            let hash = name.hash();
            inner.usual.note(hash, &name);
            if !board.agree {
                inner.hot.note(hash, || name, inner.clock.now());
            }
        }
        let agree = of_one_moment(tiles.iter().map(|tile| tile.answer.as_ref().ok()));
        spans::board_was_read(&span, tiles.len(), agree);
        let (board, title) = (board.name.clone(), board.title.clone());
        Ok(BoardAnswer { board, title, tenant: tenant.to_owned(), agree, tiles })
    }
}

/// Tiles that were fresh when they were looked at may still be of two moments, between which a change
/// was committed that is yet to be announced. Only what was read through one snapshot agrees.
fn of_one_moment<'a>(answers: impl Iterator<Item = Option<&'a Answer>>) -> bool {
    let mut moments = answers.map(|answer| answer.map_or(0, |it| it.provenance().moment));
    let first = moments.next().unwrap_or(0);
    first != 0 && moments.all(|moment| moment == first)
}

impl Inner {
    /// Every tile by itself.
    pub(crate) fn bind_tiles(
        self: &Arc<Self>,
        board: &Board,
        member: &Arc<Member>,
        given: &[(String, String)],
    ) -> Vec<BoundTile> {
        let tile = |widget: &String| {
            let served = self.served(widget)?.clone();
            match served.entry.mode.of(member.tenant.as_str()) {
                Mode::On => {}
                Mode::Off => return Err(ReadFailure::Off),
                Mode::Shadow => return Err(ReadFailure::Shadow),
            }
            let takes = |(name, _): &&(String, String)| served.entry.takes(name);
            let given = given.iter().filter(takes).cloned().collect();
            Ok(BoundReading::bind(served.clone(), member.clone(), given, self.now())?)
        };
        board.widgets.iter().map(|widget| (widget.clone(), tile(widget))).collect()
    }

    /// What no tile takes was not meant for this board.
    fn check_given(&self, board: &Board, given: &[(String, String)]) -> Result<(), ReadFailure> {
        let tiles = || board.widgets.iter().filter_map(|widget| self.widgets.get(widget));
        for (index, (name, _)) in given.iter().enumerate() {
            if given[..index].iter().any(|(other, _)| other == name) {
                return Err(InvalidReading::RepeatedParam { name: name.clone() }.into());
            }
            if tiles().all(|served| !served.entry.takes(name)) {
                let names = tiles().flat_map(|served| &served.entry.params);
                let names = names.map(|param| param.name.value.as_str()).chain([RANGE, "tenant"]);
                let nearest = nearest(name, names).map(str::to_owned);
                return Err(InvalidReading::UnknownParam { name: name.clone(), nearest }.into());
            }
        }
        Ok(())
    }

    /// Answers in the order of the readings: what is fresh is found in one look, what is not is made
    /// from one snapshot.
    async fn read_together(
        self: &Arc<Self>,
        readings: &[BoundReading],
    ) -> Vec<Result<Answer, ReadFailure>> {
        let mut found = self.look_for(readings).await;
        if found.iter().any(Option::is_none) {
            let missing = readings.iter().zip(&found).filter(|(_, found)| found.is_none());
            let missing = missing.map(|(it, _)| Wish { reading: it.clone(), want: Want::Fresh });
            let made = self.make_behind(missing.collect()).await;
            let places = found.iter_mut().filter(|it| it.is_none());
            places.zip(made).for_each(|(place, made)| *place = made);
        }
        self.complete(readings, found).await
    }

    /// Answers of one moment where that can be had: whoever comes first makes all of them, and others
    /// wait for that.
    async fn read_agreeing(
        self: &Arc<Self>,
        board: &str,
        readings: Vec<BoundReading>,
    ) -> Vec<Result<Answer, ReadFailure>> {
        let mut found = self.look_for(&readings).await;
        if !of_one_moment(found.iter().map(Option::as_ref)) {
            let patience = readings.iter().map(|it| it.served.entry.patience).min();
            let keys: Vec<_> = readings.iter().map(|reading| self.key_of(reading)).collect();
            let turn = xxh3_64(format!("{board}\n{}", keys.join("\n")).as_bytes()) as usize % TURNS;
            let (inner, turn) = (self.clone(), self.turns.0[turn].clone());
            let wanted = readings.clone();
            // To its end, also when nobody waits any more: the next who looks finds it.
            let making = async move {
                let _turn = turn.lock_owned().await;
                inner.make_agree(&wanted).await
            };
            let made = tokio::spawn(making.in_current_span());
            if let Ok(Ok(made)) = self.clock.timeout(patience.unwrap_or_default(), made).await {
                found = made;
            }
        }
        self.complete(&readings, found).await
    }

    /// Makes all readings anew, unless they were made meanwhile. Once more where somebody else made
    /// one of them by itself.
    async fn make_agree(self: &Arc<Self>, readings: &[BoundReading]) -> Vec<Option<Answer>> {
        let mut found = self.look_for(readings).await;
        for _ in 0..ATTEMPTS {
            if of_one_moment(found.iter().map(Option::as_ref)) {
                break;
            }
            let wishes = readings.iter().zip(&found);
            let wishes = wishes.map(|(reading, than)| Wish {
                reading: reading.clone(),
                want: Want::other_than(than.clone()),
            });
            let made = self.make(wishes.collect()).await;
            let made = made.into_iter().map(Fulfilled::answer);
            let waited = made.zip(readings).map(async |(made, reading)| match made {
                Some(answer) => Some(answer),
                // Somebody else is at it, or it fails.
                None => self.answer(reading).await.ok(),
            });
            found = join_all(waited).await;
            if found.iter().any(Option::is_none) {
                break;
            }
        }
        found
    }

    /// An old value for what could not be found or made, or the reason why there is none.
    async fn complete(
        self: &Arc<Self>,
        readings: &[BoundReading],
        found: Vec<Option<Answer>>,
    ) -> Vec<Result<Answer, ReadFailure>> {
        let answers = found.into_iter().zip(readings).map(async |(found, reading)| match found {
            Some(answer) => Ok(answer),
            None => Ok(self.answer(reading).await?),
        });
        join_all(answers).await
    }

    /// Fresh values, in one look. Where the store cannot be asked there are none: each reading finds
    /// its own way around it.
    pub(crate) async fn look_for(&self, readings: &[BoundReading]) -> Vec<Option<Answer>> {
        let pairs: Vec<_> = readings.iter().map(|reading| reading.pairs()).collect();
        let tags: Vec<_> = readings.iter().map(|reading| move || reading.tags()).collect();
        let borrowed = readings.iter().zip(&pairs).zip(&tags);
        let borrowed: Vec<_> =
            borrowed.map(|((reading, pairs), tags)| reading.borrow(pairs, tags)).collect();
        let found = self.cache.get_many(&borrowed).await;
        found.unwrap_or_else(|_| vec![None; readings.len()])
    }

    /// Makes what is missing to its end, and gives what is there when patience is over.
    async fn make_behind(self: &Arc<Self>, wishes: Vec<Wish>) -> Vec<Option<Answer>> {
        let patience = wishes.iter().map(|it| it.reading.served.entry.patience).min();
        let (inner, count) = (self.clone(), wishes.len());
        let making = async move { inner.make(wishes).await };
        let work = tokio::spawn(making.in_current_span());
        // What is not made by then goes on, and is found by whoever reads it next.
        match self.clock.timeout(patience.unwrap_or_default(), work).await {
            Ok(Ok(made)) => made.into_iter().map(Fulfilled::answer).collect(),
            _ => vec![None; count],
        }
    }

    fn key_of(&self, reading: &BoundReading) -> String {
        reading.with(|reading| self.cache.key_of(reading)).unwrap_or_default()
    }

    /// Makes all readings of a board that has to agree, because one of them is due.
    pub(crate) async fn remake(
        self: &Arc<Self>,
        readings: Vec<BoundReading>,
    ) -> Result<Refreshed, ()> {
        let found = self.look_for(&readings).await;
        let wishes = readings.into_iter().zip(found);
        let wishes = wishes.map(|(reading, than)| Wish { reading, want: Want::other_than(than) });
        let wishes: Vec<_> = wishes.collect();
        let count = wishes.len();
        let made = self.make(wishes).await.into_iter().filter_map(Fulfilled::answer);
        match made.count() {
            made if made == count => Ok(Refreshed::Here),
            0 => Err(()),
            _ => Ok(Refreshed::Elsewhere),
        }
    }
}
