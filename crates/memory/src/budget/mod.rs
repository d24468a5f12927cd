//! The most all jobs of a process may hold together, and who is admitted to it.

mod line;
mod pressure;
mod room;
mod rss;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use samovar_clock::{Clock, Instant};
use tokio::sync::{oneshot, watch};

use crate::{
    Account, Class, MB, Usage,
    account::process_scope,
    alerts::{Alert, AlertMark, Alerts},
    history::History,
    limit::megabytes,
};
use line::{Fit, Line, Wish};
use room::{Load, Piece, Room, Shares};
use rss::Sampled;

pub use pressure::Pressure;
pub use rss::Rss;

/// How long what waits goes without asking again by itself: pages go back without anybody telling.
const RECHECK: Duration = Duration::from_millis(100);
/// Fewer free pages are not worth to be asked back.
const WORTH_A_PURGE_BYTES: u64 = 8 * MB;

/// Work that asks to be admitted.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    /// Of which the peaks are remembered: the job's name without its arguments.
    pub kind: &'a str,
    /// This one, for people.
    pub job: &'a str,
    pub class: Class,
    /// Whose share of the budget, kept by [`Budget::reserve`], it may use.
    pub share: Option<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "class {class} is above the {:.0} MB of the budget that are not reserved for others: it \
         could never run",
        megabytes(*budget_bytes)
    )]
    AboveBudget { class: Class, budget_bytes: u64 },
    #[error("{} jobs wait for memory already", line::MOST_WAITING)]
    LineFull,
}

/// Reserved shares of one budget. More: refused.
const MOST_SHARES: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidShare {
    #[error(
        "reserving {:.0} MB for {share} leaves {:.0} MB of the budget to all others: reserve less, \
         or raise the budget",
        megabytes(*bytes), megabytes(*left_bytes)
    )]
    NothingLeft { share: String, bytes: u64, left_bytes: u64 },
    #[error("{MOST_SHARES} shares are reserved already")]
    TooMany,
}

/// Admits work while it fits. Clones are the same budget.
#[derive(Clone)]
pub struct Budget(Arc<Inner>);

struct Inner {
    total_bytes: u64,
    clock: Clock,
    rss: Sampled,
    idle_rss_bytes: AtomicU64,
    state: Mutex<State>,
    history: Mutex<History>,
    alerts: Alerts,
    pressure: watch::Sender<Pressure>,
}

#[derive(Default)]
struct State {
    line: Line,
    next_ticket: u64,
    waiters: HashMap<u64, Waiter>,
    running: BTreeMap<u64, Running>,
    /// Accounts that limit themselves, as a cache does: their pages are not the jobs'.
    exempt: Vec<Account>,
    last_pump: Option<Instant>,
    shares: BTreeMap<String, u64>,
}

struct Waiter {
    granted: oneshot::Sender<Running>,
    job: String,
    class: Class,
}

impl State {
    /// What work with this share may have when nothing else runs.
    fn most_for(&self, share: Option<&str>, total_bytes: u64) -> u64 {
        let others = self.shares.iter().filter(|(name, _)| Some(name.as_str()) != share);
        total_bytes.saturating_sub(others.map(|(_, bytes)| bytes).sum())
    }

    fn usage_of_shares(&self) -> Shares {
        let mut free = self.shares.clone();
        for running in self.running.values() {
            if let Some(left) = running.share.as_ref().and_then(|share| free.get_mut(share)) {
                *left = left.saturating_sub(running.piece().promised_bytes());
            }
        }
        Shares { free }
    }
}

#[derive(Clone)]
struct Running {
    account: Account,
    share: Option<String>,
    need_bytes: u64,
    child: ChildGauge,
}

impl Running {
    fn piece(&self) -> Piece {
        let held = |usage: Usage| usage.current_bytes + self.child.current_bytes();
        Piece { need_bytes: self.need_bytes, held_bytes: self.account.usage().map(held) }
    }
}

/// What a job's child process holds above its idle, as seen last.
#[derive(Debug, Clone, Default)]
pub struct ChildGauge(Arc<Gauge>);

#[derive(Debug, Default)]
struct Gauge {
    current_bytes: AtomicU64,
    peak_bytes: AtomicU64,
}

impl ChildGauge {
    pub(crate) fn set(&self, bytes: u64) {
        self.0.current_bytes.store(bytes, Ordering::Relaxed);
        self.0.peak_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// As the child's own account has it, which sees what comes and goes between two looks.
    pub(crate) fn set_peak(&self, bytes: u64) {
        self.0.peak_bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    pub fn current_bytes(&self) -> u64 {
        self.0.current_bytes.load(Ordering::Relaxed)
    }

    pub fn peak_bytes(&self) -> u64 {
        self.0.peak_bytes.load(Ordering::Relaxed)
    }
}

/// A job that was admitted, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RunningJob {
    pub job: String,
    pub need_bytes: u64,
    /// Nothing where metering is off.
    pub usage: Option<Usage>,
    pub child_bytes: u64,
}

/// What the budget is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BudgetUsage {
    pub total_bytes: u64,
    pub promised_bytes: u64,
    /// RSS above idle, children included, exempt accounts excluded.
    pub rss_bytes: u64,
    pub running: usize,
    pub waiting: usize,
}

impl Budget {
    /// What the process has in memory now is its idle: it is not counted.
    pub fn new(total_bytes: u64, clock: Clock) -> Self {
        Self::with_rss(total_bytes, clock, Rss::System)
    }

    pub fn with_rss(total_bytes: u64, clock: Clock, rss: Rss) -> Self {
        let idle_rss_bytes = AtomicU64::new(rss.read());
        process_scope(|| {
            Self(Arc::new(Inner {
                total_bytes,
                clock,
                rss: Sampled::new(rss),
                idle_rss_bytes,
                state: Mutex::default(),
                history: Mutex::default(),
                alerts: Alerts::default(),
                pressure: watch::Sender::new(Pressure::None),
            }))
        })
    }

    /// `account` limits itself: what it holds is not taken from the jobs.
    pub fn exempt(&self, account: &Account) {
        process_scope(|| self.state().exempt.push(account.clone()));
    }

    /// Keeps a part of the budget for the work that names this share: nothing else takes it.
    pub fn reserve(&self, share: &str, bytes: u64) -> Result<(), InvalidShare> {
        let mut state = self.state();
        let others = state.shares.iter().filter(|(name, _)| *name != share);
        let others: u64 = others.map(|(_, bytes)| bytes).sum();
        let left_bytes = self.0.total_bytes.saturating_sub(others.saturating_add(bytes));
        if left_bytes == 0 {
            return Err(InvalidShare::NothingLeft { share: share.to_owned(), bytes, left_bytes });
        }
        if state.shares.len() == MOST_SHARES && !state.shares.contains_key(share) {
            return Err(InvalidShare::TooMany);
        }
        process_scope(|| state.shares.insert(share.to_owned(), bytes));
        Ok(())
    }

    /// Waits until the work fits. Dropping the future gives the place up.
    pub async fn admit(&self, work: Work<'_>) -> Result<Admitted, Refused> {
        let budget_bytes = self.state().most_for(work.share, self.0.total_bytes);
        if work.class.bytes() > budget_bytes {
            return Err(Refused::AboveBudget { class: work.class, budget_bytes });
        }
        let (place, mut granted) = self.join(work)?;
        self.pump();
        let running = loop {
            // A place outlives its sender: only a grant or the clock ends this.
            match self.0.clock.timeout(self.recheck_interval(), &mut granted).await {
                Ok(Ok(running)) => break running,
                Ok(Err(_)) => return Err(Refused::LineFull),
                Err(_) => self.pump_if_due(),
            }
        };
        Ok(Admitted { place, running, kind: work.kind.to_owned() })
    }

    fn join(&self, work: Work<'_>) -> Result<(Place, oneshot::Receiver<Running>), Refused> {
        process_scope(|| {
            let need_bytes = self.history().need_bytes(work.kind, work.class);
            let mut state = self.state();
            let ticket = state.next_ticket;
            let wish = Wish { need_bytes, share: work.share.map(str::to_owned) };
            if !state.line.join(ticket, wish) {
                return Err(Refused::LineFull);
            }
            state.next_ticket += 1;
            let (granted, receiver) = oneshot::channel();
            let waiter = Waiter { granted, job: work.job.to_owned(), class: work.class };
            state.waiters.insert(ticket, waiter);
            Ok((Place { budget: self.clone(), ticket }, receiver))
        })
    }

    /// Everybody who waits looks; the more there are, the less often each of them.
    fn recheck_interval(&self) -> Duration {
        RECHECK * (1 + u32::try_from(self.state().line.len() / 50).unwrap_or(u32::MAX))
    }

    fn pump_if_due(&self) {
        let last = self.state().last_pump;
        if last.is_none_or(|last| self.0.clock.now().since(last) >= RECHECK) {
            self.pump();
        }
    }

    /// Admits all that fit.
    fn pump(&self) {
        process_scope(|| {
            self.state().last_pump = Some(self.0.clock.now());
            let mut room = self.admit_what_fits(false);
            if room == Room::TooManyPages && has_free_pages() {
                crate::purge();
                self.0.rss.forget();
                room = self.admit_what_fits(false);
            }
            if room == Room::TooManyPages {
                self.admit_what_fits(true);
            }
        });
    }

    /// With nothing running there is nothing to wait for: then pages of others do not stop the
    /// `last_resort`, so that jobs go one by one at worst.
    fn admit_what_fits(&self, last_resort: bool) -> Room {
        let total = self.0.total_bytes;
        let mut state = self.state();
        loop {
            let load = self.load(&state);
            let must_fit = last_resort && state.running.is_empty();
            let usage = state.usage_of_shares();
            let fit = |wish: &Wish| match usage.room(&load, wish, total) {
                (Room::Enough, true) => Fit::OwnShare,
                (Room::Enough, false) => Fit::Common,
                _ if must_fit => Fit::Common,
                _ => Fit::No,
            };
            let Some((ticket, wish)) = state.line.next(fit) else {
                self.signal(&load);
                let pages_only =
                    |wish: &Wish| usage.room(&load, wish, total).0 == Room::TooManyPages;
                let is_stopped_by_pages = state.line.any(pages_only);
                return if is_stopped_by_pages { Room::TooManyPages } else { Room::Enough };
            };
            let Some(waiter) = state.waiters.remove(&ticket) else { continue };
            let account = Account::new(&waiter.job, waiter.class);
            let Wish { need_bytes, share } = wish;
            let running = Running { account, share, need_bytes, child: ChildGauge::default() };
            if waiter.granted.send(running.clone()).is_ok() {
                state.running.insert(ticket, running);
            }
        }
    }

    fn load(&self, state: &State) -> Load {
        let children: u64 = state.running.values().map(|it| it.child.current_bytes()).sum();
        let exempt = state.exempt.iter().filter_map(Account::usage);
        let exempt: u64 = exempt.map(|usage| usage.current_bytes).sum();
        let idle = self.0.idle_rss_bytes.load(Ordering::Relaxed) + exempt;
        let pieces = state.running.values().map(Running::piece);
        Load::of(pieces, self.0.rss.bytes(&self.0.clock).saturating_sub(idle) + children)
    }

    fn signal(&self, load: &Load) {
        let pressure = Pressure::of(load.rss_bytes, self.0.total_bytes);
        self.0.pressure.send_if_modified(|last| std::mem::replace(last, pressure) != pressure);
    }

    /// As seen now; subscribers are told as well.
    pub fn pressure(&self) -> Pressure {
        self.signal(&self.load(&self.state()));
        *self.0.pressure.borrow()
    }

    /// Tells of changes, as they are noticed by admission and by samples.
    pub fn pressure_signal(&self) -> watch::Receiver<Pressure> {
        self.0.pressure.subscribe()
    }

    pub fn usage(&self) -> BudgetUsage {
        let state = self.state();
        let load = self.load(&state);
        self.signal(&load);
        BudgetUsage {
            total_bytes: self.0.total_bytes,
            promised_bytes: load.promised_bytes,
            rss_bytes: load.rss_bytes,
            running: state.running.len(),
            waiting: state.line.len(),
        }
    }

    pub fn running(&self) -> Vec<RunningJob> {
        let state = self.state();
        let running = state.running.values().map(|it| RunningJob {
            job: it.account.job().to_owned(),
            need_bytes: it.need_bytes,
            usage: it.account.usage(),
            child_bytes: it.child.current_bytes(),
        });
        running.collect()
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What jobs gave cause for behind the mark, which moves: limits exceeded, leaks, splits.
    pub fn alerts_since(&self, mark: &mut AlertMark) -> Vec<Alert> {
        process_scope(|| self.0.alerts.since(mark))
    }

    /// For who wants to hear of nothing that has been.
    pub fn alert_mark(&self) -> AlertMark {
        self.0.alerts.mark()
    }

    /// A job was too big, and became several.
    pub fn was_split(&self, job: &str, parts: usize) {
        process_scope(|| self.0.alerts.raise(Alert::Split { job: job.to_owned(), parts }));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budget").field(&self.usage()).finish()
    }
}

fn has_free_pages() -> bool {
    let figures = crate::AllocatorFigures::read();
    figures.resident_bytes.saturating_sub(figures.allocated_bytes) >= WORTH_A_PURGE_BYTES
}

/// A place in the line or among those that run; given up when dropped.
struct Place {
    budget: Budget,
    ticket: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut state = self.budget.state();
            state.line.leave(self.ticket);
            state.waiters.remove(&self.ticket);
            state.running.remove(&self.ticket);
            if state.line.len() > 0 {
                // Its pages may be what others wait for.
                self.budget.0.rss.forget();
            }
        }
        self.budget.pump();
    }
}

/// The right to run, with the account to run in. Its end gives the room to the next and remembers
/// what this run came to.
pub struct Admitted {
    place: Place,
    running: Running,
    kind: String,
}

impl Admitted {
    pub fn account(&self) -> &Account {
        &self.running.account
    }

    /// For a child process that does this job's work.
    pub fn child_gauge(&self) -> ChildGauge {
        self.running.child.clone()
    }

    pub fn need_bytes(&self) -> u64 {
        self.running.need_bytes
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted")
            .field("account", self.account())
            .field("need_bytes", &self.running.need_bytes)
            .finish_non_exhaustive()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        process_scope(|| {
            let budget = &self.place.budget;
            let account = &self.running.account;
            if let Err(exceeded) = account.check() {
                budget.0.alerts.raise(Alert::exceeded(&exceeded));
            }
            let child_peak = self.running.child.peak_bytes();
            let peak = account.usage().map(|usage| usage.peak_bytes + child_peak);
            if let Some(leak) = budget.history().record(&self.kind, peak, account) {
                budget.0.alerts.raise(Alert::Leak(leak));
            }
        });
    }
}
