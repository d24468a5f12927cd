//! `samovar top`: a live view of a running server, once a second. On no terminal it is one frame.

mod figures;
mod frame;
mod terminal;

use std::time::Duration;

use samovar_clock::{Clock, Instant};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use self::{
    figures::{Figures, Sample, figures},
    frame::{Order, Size, View, frame},
    terminal::Screen,
};
use crate::{
    arguments::{Global, ServerArguments},
    failure::Failure,
    reach::{Reach, Watched},
    serve::print,
};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// It is no signal while the terminal is ours.
const CTRL_C: u8 = 3;
/// What is printed where there is no terminal has no edge.
const PAGE: Size = Size { columns: 200, rows: 1000 };

pub(crate) async fn top(global: &Global, arguments: &ServerArguments) -> Result<(), Failure> {
    let server = Watched::meant(global, arguments)?;
    let mut reach = server.reach().await?;
    let first = look(&mut reach).await?;
    if !global.json && terminal::is_there() {
        return watch(&server, reach, first).await;
    }
    Clock::System.sleep(EVERY).await;
    let seen = figures(Some(&first), &look(&mut reach).await?);
    if global.json {
        return print(&format!("{:#}", serde_json::to_value(seen).expect("plain data")));
    }
    let view = View { order: Order::default(), size: PAGE, has_keys: false, trouble: None };
    let lines: Vec<_> = frame(&seen, &view).into_iter().map(|line| line.text).collect();
    print(lines.join("\n").trim_end())
}

async fn look(reach: &mut Reach) -> Result<Sample, Failure> {
    let stats = reach.get("/v1/cache/stats", &[]).await?;
    let workers = reach.get_or_refusal("/v1/workers").await?;
    let queues = reach.get_or_refusal("/v1/queues").await?;
    Ok(Sample { at: Clock::System.now(), stats, workers, queues })
}

/// Until somebody quits. The terminal is as it was when this returns, however it does.
async fn watch(server: &Watched, reach: Reach, first: Sample) -> Result<(), Failure> {
    let failed = |error| Failure::failed("watching", error);
    let mut ends = Ends::listen().map_err(failed)?;
    let mut resized = signal(SignalKind::window_change()).map_err(failed)?;
    let screen = Screen::enter().map_err(|error| Failure::failed("taking the terminal", error))?;
    let mut keys = terminal::keys();
    let mut live = Live { reach: Some(reach), before: None, now: first, trouble: None };
    let mut order = Order::default();
    let mut next = Clock::System.now() + EVERY;
    loop {
        let seen = live.figures();
        let (size, trouble) = (screen.size(), live.trouble.as_deref());
        let view = View { order, size, has_keys: true, trouble };
        screen.draw(&frame(&seen, &view)).map_err(failed)?;
        tokio::select! {
            () = ends.come() => return Ok(()),
            _ = resized.recv() => {}
            key = keys.recv() => match key {
                None | Some(b'q' | CTRL_C) => return Ok(()),
                Some(key) => order = Order::of(key).unwrap_or(order),
            },
            () = live.renew(server, next) => next = Clock::System.now() + EVERY,
        }
    }
}

/// What is known, also while the server does not answer.
struct Live {
    reach: Option<Reach>,
    before: Option<Sample>,
    now: Sample,
    trouble: Option<String>,
}

impl Live {
    fn figures(&self) -> Figures {
        figures(self.before.as_ref(), &self.now)
    }

    /// At this time; may be given up and begun again.
    async fn renew(&mut self, server: &Watched, at: Instant) {
        Clock::System.sleep_until(at).await;
        // A question that is given up leaves a connection on which nothing else can be asked.
        let mut reach = match self.reach.take() {
            Some(reach) => reach,
            None => match server.reach().await {
                Ok(reach) => reach,
                Err(failure) => return self.trouble = Some(failure.to_string()),
            },
        };
        match look(&mut reach).await {
            Ok(sample) => {
                self.before = Some(std::mem::replace(&mut self.now, sample));
                (self.reach, self.trouble) = (Some(reach), None);
            }
            Err(failure) => self.trouble = Some(failure.to_string()),
        }
    }
}

/// Signals that ask the program to end.
struct Ends([Signal; 3]);

impl Ends {
    fn listen() -> std::io::Result<Self> {
        let [terminate, interrupt, hangup] =
            [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        Ok(Self([signal(terminate)?, signal(interrupt)?, signal(hangup)?]))
    }

    async fn come(&mut self) {
        let [terminate, interrupt, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

type Keys = mpsc::Receiver<u8>;
