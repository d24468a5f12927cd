//! A walk through a few days of a shop: orders come and change, time goes on, and what is read is
//! compared at every step.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::future::join_all;
use jiff::{Timestamp, ToSpan, civil::Date};
use samovar_cache::{Cache, Settings};
use samovar_clock::{Clock, ManualClock, Random, WallTime};
use samovar_engine::{Answer, Ask, Change, Engine, Observe, Tier};
use tempfile::TempDir;

use super::{
    Era,
    calendar::{Calendar, Unit},
    cases::{Case, MOST_RECENT},
    counts::Counts,
    database::Database,
    drawn::{self, Heard, Show, Spec},
    figures::read_json,
    orders::{self, Shop},
    pick,
    shown::{Expected, Wanted},
};
use crate::desk::{check, settled};

pub(super) struct Walk {
    seed: u64,
    pub(super) random: Random,
    clock: Arc<ManualClock>,
    text: String,
    heard: Heard,
    /// Where the store is.
    folder: TempDir,
    served: Served,
    shop: Shop,
    pub(super) members: Arc<[Member]>,
    pub(super) specs: Arc<[Spec]>,
    /// The last ones that were compared.
    pub(super) recent: VecDeque<Case>,
}

/// From a start to the next.
struct Served {
    cache: Cache,
    engine: Engine,
}

/// A tenant, and where it lives.
pub(super) struct Member {
    pub(super) id: String,
    pub(super) calendar: Calendar,
    /// Around which most happens.
    pub(super) edges: Vec<Date>,
}

const ORDERS: usize = 700;
/// Minutes: longer than partials of time that goes on are fresh, and shorter than the others are.
const MOVES: [u32; 5] = [1, 11, 60, 3 * 60, 7 * 60];

impl Walk {
    pub(super) async fn begin(database: Database, seed: u64, era: &Era) -> Self {
        let random = Random::seeded(seed);
        let date = |text: &&str| text.parse::<Date>().expect("a day");
        let members: Arc<[Member]> = era
            .zones
            .iter()
            .map(|(zone, edges)| Member {
                id: drawn::id_of(zone),
                calendar: Calendar::new(zone),
                edges: edges.iter().map(date).collect(),
            })
            .collect();
        // Today is a day like no other, or will be soon.
        let near = pick(&random, &members);
        let start = near.calendar.day_begins(*pick(&random, &near.edges))
            - (random.below(30 * 60) as i64).minutes();
        let clock = Arc::new(ManualClock::new(WallTime::from_millis(start.as_millisecond())));
        let mut shop = Shop::open(database, format!("orders_{seed}")).await;
        for member in &*members {
            let today = member.calendar.shows(start).date();
            let span = (today - 100.days(), today + 2.days());
            let moments: Vec<Timestamp> = (0..ORDERS)
                .map(|_| orders::moment(&random, &member.calendar, &member.edges, span))
                .collect();
            shop.insert(&random, &member.id, &moments).await;
        }
        let specs: Arc<[Spec]> = drawn::draw(&random).into();
        let zones: Vec<&str> = era.zones.iter().map(|(zone, _)| *zone).collect();
        let heard = *pick(&random, &[Heard::Unsaid, Heard::Told, Heard::Told, Heard::Finer]);
        let text = drawn::definitions(&shop.database.url(), &shop.table, &zones, &specs, heard);
        let folder = tempfile::tempdir().expect("a folder");
        let served = Served::start(&text, &folder, &shop, &clock, seed).await;
        let recent = VecDeque::new();
        Self { seed, random, clock, text, heard, folder, served, shop, members, specs, recent }
    }

    /// Until so many more readings are compared.
    pub(super) async fn go(mut self, cases: usize, counts: &mut Counts) -> Database {
        let until = counts.readings + cases;
        self.see_every_edge(counts).await;
        while counts.readings < until {
            match self.random.below(40) {
                0..10 => self.go_on(),
                10..22 => {
                    let (member, days) = self.change_something().await;
                    let case = self.draw_around(member, &days);
                    self.compare(&case, counts).await;
                    self.see_again(member, counts).await;
                }
                22..26 => self.say_nothing(counts).await,
                26..29 => self.change_meanwhile(counts).await,
                29..33 => self.read_page(counts).await,
                33 => self = self.start_again(counts).await,
                34..37 => self.see_a_month(counts).await,
                _ => {}
            }
            for _ in 0..=self.random.below(4) {
                let case = self.draw_again().unwrap_or_else(|| self.draw());
                self.compare(&case, counts).await;
            }
        }
        counts.add_bundles(self.folder.path());
        self.served.stop(&self.clock, counts).await;
        self.shop.database
    }

    /// What was kept is kept.
    async fn start_again(mut self, counts: &mut Counts) -> Self {
        counts.add_bundles(self.folder.path());
        self.served.stop(&self.clock, counts).await;
        let (text, folder, shop) = (&self.text, &self.folder, &self.shop);
        self.served = Served::start(text, folder, shop, &self.clock, self.seed).await;
        self
    }

    /// Each day that is not like others, between its neighbours.
    async fn see_every_edge(&mut self, counts: &mut Counts) {
        let members = self.members.clone();
        let wanted = [Show::Series(Unit::Hour), Show::HeatMap, Show::Series(Unit::Day)];
        let specs = wanted.map(|show| self.specs.iter().position(|it| it.show == show));
        for (member, Member { edges, .. }) in members.iter().enumerate() {
            for edge in edges {
                for spec in specs.into_iter().flatten() {
                    let mut case = Case { member, spec, ..Case::default() };
                    case.range_is((*edge - 1.days(), *edge + 1.days()));
                    self.compare(&case, counts).await;
                }
            }
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.clock.wall().as_millis()).expect("a time")
    }

    /// Often just over the end of a day, or just before it.
    fn go_on(&self) {
        let Member { calendar, .. } = pick(&self.random, &self.members);
        let now = self.now();
        let days = std::iter::successors(Some(calendar.day_of(now)), |day| day.tomorrow().ok());
        let midnight = days.map(|day| calendar.day_begins(day)).find(|it| *it > now);
        let left = midnight.expect("a day follows").as_millisecond() - now.as_millisecond();
        let left = Duration::from_millis(left.unsigned_abs());
        let minute = Duration::from_secs(60);
        self.clock.advance(match self.random.below(24) {
            0..4 => left,
            4..8 => left + minute,
            8..12 => left.saturating_sub(Duration::from_millis(1)),
            // Then all partials are made anew that nobody tells of, or some of the others.
            12 => minute * 60 * 26,
            13 if self.heard != Heard::Unsaid => minute * 60 * 24 * 29,
            _ => minute * *pick(&self.random, &MOVES),
        });
    }

    /// Rows come, change or go, and that is told.
    async fn change_something(&mut self) -> (usize, Vec<Date>) {
        let member = self.random.below(self.members.len() as u64) as usize;
        let touched = self.change(member).await;
        self.tell(member, &touched).await;
        let calendar = &self.members[member].calendar;
        (member, touched.into_iter().map(|at| calendar.day_of(at)).collect())
    }

    /// When the rows were that came or went.
    async fn change(&mut self, member: usize) -> Vec<Timestamp> {
        let members = self.members.clone();
        let Member { id, calendar, edges } = &members[member];
        let today = calendar.shows(self.now()).date();
        let span = (today - 60.days(), today);
        let moment = |random: &Random| orders::moment(random, calendar, edges, span);
        let mut came = Vec::new();
        let mut touched = Vec::new();
        match self.random.below(7) {
            0 => came.extend((0..=self.random.below(3)).map(|_| moment(&self.random))),
            // Two days of a month.
            1 => {
                let month = calendar.day_of(moment(&self.random)).first_of_month();
                let length = month.days_in_month().unsigned_abs().into();
                for _ in 0..2 {
                    let day = month + (self.random.below(length) as i64).days();
                    came.push(calendar.begins(day.at(self.random.below(24) as i8, 0, 0, 0)));
                }
            }
            // Today.
            2 => came.extend([self.now(), calendar.day_begins(today)]),
            change => {
                let (row, before) = self.shop.choose(&self.random, id).expect("there are some");
                touched.push(before);
                match change {
                    3 => self.shop.delete(row).await,
                    4 => self.shop.reprice(row, self.random.below(9999)).await,
                    _ => {
                        let at = moment(&self.random);
                        self.shop.move_to(row, at).await;
                        touched.push(at);
                    }
                }
            }
        }
        if !came.is_empty() {
            self.shop.insert(&self.random, id, &came).await;
        }
        touched.extend(came);
        touched
    }

    /// Names the days, now and then the hours, that rows came into or left, and nothing else.
    async fn tell(&self, member: usize, touched: &[Timestamp]) {
        let Member { id, calendar, .. } = &self.members[member];
        let tag = |at: &Timestamp| {
            let by_hour = self.random.below(5) == 0;
            let form = if by_hour { "orders/%Y/%m/%d/%H" } else { "orders/%Y/%m/%d" };
            calendar.hour_of(*at).strftime(form).to_string()
        };
        let tags = touched.iter().map(tag).collect();
        let change = Change { tenant: Some(id.clone()), tags, ..Change::default() };
        self.served.engine.invalidate(&change).await.expect("invalidated");
    }

    /// What was read before a change, whether it has seen it or had no need to.
    async fn see_again(&mut self, member: usize, counts: &mut Counts) {
        let mine = self.recent.iter().filter(|it| it.member == member).take(3);
        let cases: Vec<Case> = mine.map(|it| self.again(it)).collect();
        for case in &cases {
            self.compare(case, counts).await;
        }
    }

    /// A change that nobody tells is not seen by what is made of partials that are kept.
    async fn say_nothing(&mut self, counts: &mut Counts) {
        let mut case = self.draw();
        let members = self.members.clone();
        let calendar = &members[case.member].calendar;
        let yesterday = calendar.day_of(self.now()).yesterday().expect("a day");
        let last = yesterday - (self.random.below(4) as i64).days();
        case.range_is((last - (self.random.below(4) as i64).days(), last));
        let (from, to) = calendar.bounds(case.dates);
        if from == to {
            return;
        }
        // Whatever is shown of them, their partials are kept now.
        let unit = *pick(&self.random, &[Unit::Hour, Unit::Day]);
        let of_unit = self.specs_of(unit, |it| !it.compare);
        (case.spec, case.filters) = (*pick(&self.random, &of_unit), Vec::new());
        self.compare(&case, counts).await;
        case.spec = *pick(&self.random, &of_unit);
        let before = self.expect(&case).await;
        let length = to.as_millisecond() - from.as_millisecond();
        let at = from + (self.random.below(length.unsigned_abs()) as i64).milliseconds();
        self.shop.insert(&self.random, &members[case.member].id, &[at]).await;
        let answer = self.read(&case).await;
        self.verdict(&case, &before, &answer, "and nobody told of a row");
        let folded = answer.tier() == Tier::Computed && answer.provenance().queries > 0;
        assert!(!folded, "{}: partials were not kept", self.describe(&case));
        counts.add(&answer);
        counts.untold += 1;
        self.tell(case.member, &[at]).await;
        let after = self.compare(&case, counts).await;
        let folded = after.tier() == Tier::Computed && after.provenance().queries > 0;
        assert!(folded, "{}: a day was not folded anew", self.describe(&case));
    }

    /// A month that is over, seen in one way and another until its partials are bundled; then two of
    /// its days change at once.
    async fn see_a_month(&mut self, counts: &mut Counts) {
        let mut case = self.draw();
        let members = self.members.clone();
        let Member { id, calendar, .. } = &members[case.member];
        let this = calendar.day_of(self.now()).first_of_month();
        let first = this - (1 + self.random.below(2) as i64).months();
        case.range_is((first, first.last_of_month()));
        case.filters = Vec::new();
        let of_unit = self.specs_of(Unit::Day, |it| !it.compare);
        let drawn = [0; 3].map(|_| *pick(&self.random, &of_unit));
        for spec in &drawn[..2] {
            case.spec = *spec;
            self.compare(&case, counts).await;
        }
        // Or it may be changed while it is bundled.
        if self.random.below(3) > 0 {
            settled(&self.served.engine).await;
        }
        let length = first.days_in_month().unsigned_abs().into();
        let days = [0; 2].map(|_| first + (self.random.below(length) as i64).days());
        let came = days.map(|day| calendar.begins(day.at(12, 0, 0, 0)));
        self.shop.insert(&self.random, id, &came).await;
        self.tell(case.member, &came).await;
        for spec in drawn {
            case.spec = spec;
            self.compare(&case, counts).await;
        }
    }

    /// What is made while rows change may be of before or of after; what is read when that is told is
    /// of after.
    async fn change_meanwhile(&mut self, counts: &mut Counts) {
        let member = self.random.below(self.members.len() as u64) as usize;
        let day = *pick(&self.random, &self.members[member].edges);
        let case = self.draw_around(member, &[day]);
        let (engine, asked) = (self.served.engine.clone(), self.asked(&case));
        let reading = tokio::spawn(async move {
            let (widget, tenant, given) = asked;
            engine.read(&widget, &tenant, given).await.map(drop)
        });
        let touched = self.change(member).await;
        self.tell(member, &touched).await;
        let read = reading.await.expect("it ends");
        assert!(read.is_ok(), "{}: {read:?}", self.describe(&case));
        self.compare(&case, counts).await;
        counts.meanwhile += 1;
    }

    /// Many widgets over one range at the same time, by themselves or on a board: each partial is made
    /// by one of them.
    async fn read_page(&mut self, counts: &mut Counts) {
        let mut case = self.draw();
        case.filters = Vec::new();
        let unit = self.specs[case.spec].unit;
        let mut of_unit = self.specs_of(unit, |_| true);
        let cases: Vec<Case>;
        let answers: Vec<Answer> = if self.random.below(2) == 0 {
            of_unit.truncate(drawn::TILES);
            cases = of_unit.iter().map(|spec| Case { spec: *spec, ..case.clone() }).collect();
            let (_, tenant, given) = self.asked(&case);
            let board = self.served.engine.read_board(unit.word(), &tenant, given).await;
            let tiles = board.expect("a board").tiles.into_iter();
            tiles.map(|tile| tile.answer.expect("an answer")).collect()
        } else {
            let specs = (0..5).map(|_| *pick(&self.random, &of_unit));
            cases = specs.map(|spec| Case { spec, ..case.clone() }).collect();
            join_all(cases.iter().map(|case| self.read(case))).await
        };
        for (case, answer) in cases.iter().zip(&answers) {
            let expected = self.expect(case).await;
            self.verdict(case, &expected, answer, "beside others");
            counts.add(answer);
        }
    }

    async fn expect(&mut self, case: &Case) -> Expected {
        let (members, specs) = (self.members.clone(), self.specs.clone());
        let Member { id, calendar, .. } = &members[case.member];
        let (dates, filters) = (case.dates, case.filters.clone());
        let spec = &specs[case.spec];
        let wanted = Wanted { spec, tenant: id, calendar, dates, filters };
        wanted.expected(&mut self.shop).await
    }

    /// Widget, tenant, and what is given.
    fn asked(&self, case: &Case) -> (String, String, Vec<(String, String)>) {
        let mut given = vec![("range".to_owned(), case.range.clone())];
        given.extend(case.filters.iter().map(|(name, value)| (name.to_string(), value.clone())));
        (self.specs[case.spec].name.clone(), self.members[case.member].id.clone(), given)
    }

    async fn read(&self, case: &Case) -> Answer {
        let (widget, tenant, given) = self.asked(case);
        let answer = self.served.engine.read(&widget, &tenant, given).await;
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", self.describe(case)));
        assert!(answer.is_fresh(), "{}: {answer:?}", self.describe(case));
        answer
    }

    async fn compare(&mut self, case: &Case, counts: &mut Counts) -> Answer {
        let answer = self.read(case).await;
        let expected = self.expect(case).await;
        self.verdict(case, &expected, &answer, "");
        counts.add(&answer);
        self.recent.retain(|it| it != case);
        self.recent.push_front(case.clone());
        self.recent.truncate(MOST_RECENT);
        answer
    }

    fn verdict(&self, case: &Case, expected: &Expected, answer: &Answer, note: &str) {
        let bytes = answer.bytes().expect("it decodes");
        let whole = read_json(std::str::from_utf8(&bytes).expect("JSON is UTF-8"));
        if let Err(difference) = expected.check(&whole["data"]) {
            panic!("{} {note}: {difference}\n{answer:?}", self.describe(case));
        }
    }

    fn describe(&self, case: &Case) -> String {
        let Member { id, calendar, .. } = &self.members[case.member];
        format!(
            "EQUALITY_SEED={} on {} at {}, {id} in {}: {:?} {} {:?}",
            self.seed,
            self.shop.database.name(),
            self.now(),
            calendar.zone.iana_name().unwrap_or_default(),
            self.specs[case.spec],
            case.range,
            case.filters,
        )
    }
}

impl Served {
    async fn start(
        text: &str,
        folder: &TempDir,
        shop: &Shop,
        clock: &Arc<ManualClock>,
        seed: u64,
    ) -> Self {
        let settings = Settings::default();
        let clock = Clock::Manual(clock.clone());
        let cache = Cache::builder().settings(settings.clone()).clock(clock.clone());
        let cache = cache.random(Random::seeded(seed)).open(&folder.path().join("store")).await;
        let cache = cache.expect("a store");
        let catalogue = check(text, shop.database.folder(folder.path()), &clock, Ask::All).await;
        let catalogue = catalogue.unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"));
        let engine = Engine::start(cache.clone(), &settings, catalogue, Observe::default(), None);
        Self { cache, engine: engine.expect("it starts") }
    }

    /// Its tasks look whether it is still there when time goes on, and let its connections go.
    async fn stop(self, clock: &ManualClock, counts: &mut Counts) {
        counts.add_partials(&self.cache);
        self.cache.close().await;
        drop(self);
        clock.advance(Duration::from_secs(2));
    }
}
