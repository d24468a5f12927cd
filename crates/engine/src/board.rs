//! A board: its widgets in one look, and what is missing from one snapshot of its source, so that
//! tiles agree.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use samovar_cache::{Answer, Beginning, ReadError, Ticket};
use samovar_widgets::{Mode, nearest};
use serde::Serialize;

use crate::{
    ReadFailure,
    engine::{Engine, Inner},
    hot::Wanted,
    reading::{BoundReading, InvalidReading, RANGE},
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

/// Which of the readings are computed.
#[derive(Clone, Copy, Debug)]
enum Make {
    Missing,
    All,
}

/// How often the tiles of a board that has to agree are made: somebody else may be making one of them
/// by itself.
const ATTEMPTS: usize = 2;

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
        let bound = inner.bind_tiles(board, tenant, &given).await?;
        let readings: Vec<&BoundReading> =
            bound.iter().filter_map(|(_, tile)| tile.as_ref().ok()).collect();
        let mut answers = inner.read_together(&readings, board.agree).await.into_iter();
        let tiles = bound.into_iter().map(|(widget, tile)| {
            let answer = tile.and_then(|_| answers.next().expect("one for each that is bound"));
            Tile { widget, answer }
        });
        let tiles: Vec<Tile> = tiles.collect();
        if let Some(first) = tiles.iter().find_map(|tile| tile.answer.as_ref().ok()) {
            let wanted = Wanted::Board { name, tenant, given: &given };
            inner.hot.note(&wanted, inner.clock.now(), first);
        }
        let agree = of_one_moment(tiles.iter().map(|tile| tile.answer.as_ref().ok()));
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
    /// Every tile by itself, unless nothing of the board can be read.
    pub(crate) async fn bind_tiles(
        self: &Arc<Self>,
        board: &Board,
        tenant: &str,
        given: &[(String, String)],
    ) -> Result<Vec<BoundTile>, ReadFailure> {
        let member = self.member(tenant).await?;
        self.check_given(board, given)?;
        let tile = |widget: &String| {
            let served = self.served(widget)?.clone();
            match served.entry.mode.of(tenant) {
                Mode::On => {}
                Mode::Off => return Err(ReadFailure::Off),
                Mode::Shadow => return Err(ReadFailure::Shadow),
            }
            let takes = |(name, _): &&(String, String)| served.entry.takes(name);
            let given = given.iter().filter(takes).cloned().collect();
            Ok(BoundReading::bind(served.clone(), member.clone(), given, self.now())?)
        };
        Ok(board.widgets.iter().map(|widget| (widget.clone(), tile(widget))).collect())
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

    /// Answers in the order of the readings. With `agree`, what is found is of no use beside what has
    /// to be made.
    async fn read_together(
        self: &Arc<Self>,
        readings: &[&BoundReading],
        agree: bool,
    ) -> Vec<Result<Answer, ReadFailure>> {
        // Where the store cannot be asked, each reading finds its own way around it.
        let mut found =
            self.look_for(readings).await.unwrap_or_else(|_| vec![None; readings.len()]);
        let mut which = Make::Missing;
        for _ in 0..ATTEMPTS {
            if agree && !of_one_moment(found.iter().map(Option::as_ref)) {
                found.fill(None);
                which = Make::All;
            }
            if found.iter().all(Option::is_some) {
                break;
            }
            self.fill(&mut found, readings, which).await;
            if !agree {
                break;
            }
        }
        let answers = found.into_iter().zip(readings).map(async |(found, reading)| match found {
            Some(answer) => Ok(answer),
            // An old value, or the reason why there is none.
            None => Ok(self.answer(reading).await?),
        });
        join_all(answers).await
    }

    /// Makes what is not there.
    async fn fill(
        self: &Arc<Self>,
        found: &mut [Option<Answer>],
        readings: &[&BoundReading],
        which: Make,
    ) {
        let pairs = readings.iter().zip(found.iter());
        let missing = pairs.filter(|(_, it)| it.is_none()).map(|(it, _)| (*it).clone());
        let missing: Vec<BoundReading> = missing.collect();
        let patience = missing.iter().map(|it| it.served.entry.patience).min();
        let made = self.make(missing, which, patience.unwrap_or_default()).await;
        let places = found.iter_mut().filter(|it| it.is_none());
        places.zip(made).for_each(|(place, made)| *place = made);
    }

    /// Fresh values, in one look.
    async fn look_for(&self, readings: &[&BoundReading]) -> Result<Vec<Option<Answer>>, ReadError> {
        let pairs: Vec<_> = readings.iter().map(|reading| reading.pairs()).collect();
        let tags: Vec<_> = readings.iter().map(|reading| move || reading.tags()).collect();
        let borrowed = readings.iter().zip(&pairs).zip(&tags);
        let borrowed: Vec<_> =
            borrowed.map(|((reading, pairs), tags)| reading.borrow(pairs, tags)).collect();
        self.cache.get_many(&borrowed).await
    }

    /// Makes what is missing to its end, and gives what is there when patience is over.
    async fn make(
        self: &Arc<Self>,
        missing: Vec<BoundReading>,
        which: Make,
        patience: Duration,
    ) -> Vec<Option<Answer>> {
        let made = Arc::new(Mutex::new(vec![None; missing.len()]));
        let (inner, into) = (self.clone(), made.clone());
        let work = tokio::spawn(async move { inner.make_all(missing, &into, which).await });
        // What is not made by then goes on, and is found by whoever reads it next.
        let _ = self.clock.timeout(patience, work).await;
        made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn make_all(
        self: Arc<Self>,
        missing: Vec<BoundReading>,
        made: &Mutex<Vec<Option<Answer>>>,
        which: Make,
    ) {
        let mut by_source: BTreeMap<String, Vec<(usize, BoundReading)>> = BTreeMap::new();
        for (index, reading) in missing.into_iter().enumerate() {
            let source = reading.served.entry.source_name.clone();
            by_source.entry(source).or_default().push((index, reading));
        }
        let sources =
            by_source.into_values().map(|readings| self.make_of_source(readings, made, which));
        join_all(sources).await;
    }

    /// All stamps are captured before the snapshot is opened from which all values are read.
    async fn make_of_source(
        self: &Arc<Self>,
        mut readings: Vec<(usize, BoundReading)>,
        made: &Mutex<Vec<Option<Answer>>>,
        which: Make,
    ) {
        // Leases are taken in one order everywhere: two boards never wait for each other.
        readings.sort_by_cached_key(|(_, reading)| self.key_of(reading));
        let keep = |index: usize, answer: Answer| {
            made.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(answer);
        };
        let mut tickets = Vec::new();
        for (index, reading) in &readings {
            let (pairs, tags) = (reading.pairs(), || reading.tags());
            let borrowed = reading.borrow(&pairs, &tags);
            let begun = match which {
                Make::Missing => self.cache.begin(&borrowed).await,
                Make::All => self.cache.begin_anew(&borrowed).await,
            };
            match begun {
                Ok(Beginning::Answer(answer)) => keep(*index, answer),
                Ok(Beginning::Compute(ticket)) => tickets.push((*index, reading, ticket)),
                // It is told when the reading is asked for by itself.
                Err(_) => {}
            }
        }
        self.compute_together(tickets, keep).await;
    }

    async fn compute_together(
        &self,
        tickets: Vec<(usize, &BoundReading, Ticket)>,
        keep: impl Fn(usize, Answer),
    ) {
        let mut open = None;
        for (index, reading, ticket) in tickets {
            let (snapshot, moment) = match &mut open {
                Some(open) => open,
                None => match reading.served.entry.source.snapshot().await {
                    Ok(snapshot) => open.insert((snapshot, self.random.id())),
                    Err(error) => {
                        ticket.fail(&error.to_string()).await;
                        continue;
                    }
                },
            };
            match self.compute_through(reading, snapshot, *moment).await {
                Ok(value) => {
                    if let Ok(answer) = ticket.commit(value).await {
                        keep(index, answer);
                    }
                }
                Err(error) => {
                    // Nothing more is read through it.
                    open = None;
                    ticket.fail(&error.to_string()).await;
                }
            }
        }
    }

    fn key_of(&self, reading: &BoundReading) -> String {
        reading.with(|reading| self.cache.key_of(reading)).unwrap_or_default()
    }

    /// Makes all readings of a board anew, because one of them is due.
    pub(crate) async fn refresh_together(self: &Arc<Self>, readings: Vec<BoundReading>) -> bool {
        let count = readings.len();
        let made = Mutex::new(vec![None; count]);
        self.clone().make_all(readings, &made, Make::All).await;
        let made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
        made.iter().all(Option::is_some)
    }
}
