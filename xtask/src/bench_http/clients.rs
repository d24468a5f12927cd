//! Thousands of clients in one thread, each of which reads every few seconds.
#![expect(clippy::disallowed_methods, reason = "measures on the clock of the machine")]

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::{
    event::{Timespec, epoll},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

pub(super) struct Load {
    epoll: rustix::fd::OwnedFd,
    clients: Vec<Client>,
}

struct Client {
    stream: TcpStream,
    asked_at: Option<Instant>,
    answer: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Report {
    /// Milliseconds.
    times: Vec<f64>,
    pub(super) errors: usize,
}

impl Report {
    pub(super) fn answers(&self) -> usize {
        self.times.len()
    }

    pub(super) fn quantile_ms(&self, q: f64) -> f64 {
        let mut sorted = self.times.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * q).round() as usize).copied().unwrap_or_default()
    }
}

impl Load {
    /// So many, or as many as either side may have descriptors for.
    pub(super) fn open(address: &str, most: usize) -> Result<Self> {
        const OTHERS: u64 = 512;
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let allowed = maximum.unwrap_or(u64::MAX).min(most as u64 + OTHERS);
        setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum })?;
        let count = usize::try_from(allowed - OTHERS)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut clients = Vec::with_capacity(count);
        for index in 0..count {
            let stream = TcpStream::connect(address)
                .with_context(|| format!("connection {index} of {count}"))?;
            stream.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN | epoll::EventFlags::ET)?;
            clients.push(Client { stream, asked_at: None, answer: Vec::new() });
        }
        Ok(Self { epoll, clients })
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Each client asks once `every` so long, one after the other; of a hundred questions one was never
    /// asked before.
    pub(super) fn read(&mut self, every: Duration, time: Duration) -> Result<Report> {
        let step = every / u32::try_from(self.clients.len())?;
        let (start, mut asked) = (Instant::now(), 0u32);
        let mut report = Report::default();
        let mut events = Vec::with_capacity(1024);
        loop {
            let now = Instant::now();
            let is_over = now - start >= time;
            while !is_over && start + step * asked <= now {
                self.ask(asked as usize, &mut report);
                asked += 1;
            }
            let waiting = || self.clients.iter().filter(|it| it.asked_at.is_some()).count();
            if is_over && (waiting() == 0 || now - start >= time + Duration::from_secs(10)) {
                report.errors += waiting();
                return Ok(report);
            }
            let wait = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
            events.clear();
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait))?;
            for event in &events {
                self.clients[event.data.u64() as usize].take(&mut report);
            }
        }
    }

    fn ask(&mut self, number: usize, report: &mut Report) {
        let page = if number.is_multiple_of(100) { number + 1000 } else { number % 100 };
        let count = self.clients.len();
        let client = &mut self.clients[number % count];
        if client.asked_at.replace(Instant::now()).is_some() {
            report.errors += 1;
        }
        client.answer.clear();
        let request =
            format!("GET /v1/widgets/page?tenant=north&page={page} HTTP/1.1\r\nhost: x\r\n\r\n");
        if client.stream.write_all(request.as_bytes()).is_err() {
            client.asked_at = None;
            report.errors += 1;
        }
    }
}

impl Client {
    fn take(&mut self, report: &mut Report) {
        let mut piece = [0; 8192];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => break self.fail(report),
                Ok(count) => self.answer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => break self.fail(report),
            }
        }
        let Some(asked_at) = self.asked_at else { return };
        if is_whole(&self.answer) {
            self.asked_at = None;
            report.times.push(asked_at.elapsed().as_secs_f64() * 1e3);
            report.errors += usize::from(!self.answer.starts_with(b"HTTP/1.1 200 "));
        }
    }

    fn fail(&mut self, report: &mut Report) {
        report.errors += usize::from(self.asked_at.take().is_some());
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|it| it.parse::<usize>().ok()).is_some_and(|it| answer.len() >= end + 4 + it)
}
