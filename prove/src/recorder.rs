//! How lines get out of a process that may be killed, stopped, or kept from writing files: through a
//! named pipe, one write per line, read by the process that survives.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use anyhow::{Context, Result, anyhow};
use rustix::fs::{CWD, Mode, mkfifoat};
use samovar_clock::{Clock, Instant};

use crate::entry::{Entry, Life, Line};

/// What one write to a pipe brings over whole.
const LINE_BYTES: usize = 4096;
/// Ends the reading.
const END: &str = "end\n";

/// For who writes.
#[derive(Debug)]
pub(crate) struct Journal {
    pipe: File,
    life: Life,
    clock: Clock,
}

impl Journal {
    pub(crate) fn open(pipe: &Path, life: Life, clock: Clock) -> Result<Self> {
        let pipe = OpenOptions::new().write(true).open(pipe)?;
        Ok(Self { pipe, life, clock })
    }

    /// Returns when the line is out of this process.
    pub(crate) fn write(&self, entry: Entry) {
        let line = Line { at_us: self.now_us(), life: self.life, entry };
        let mut text = serde_json::to_string(&line).expect("plain data");
        text.push('\n');
        assert!(text.len() <= LINE_BYTES, "a line of {} bytes may be torn", text.len());
        // Whoever reads has gone only when all of this is to end.
        let _ = (&self.pipe).write_all(text.as_bytes());
    }

    pub(crate) fn now_us(&self) -> u64 {
        micros(self.clock.now())
    }
}

pub(crate) fn micros(at: Instant) -> u64 {
    at.as_nanos() / 1000
}

/// For who reads: keeps all lines, in memory and in a file.
#[derive(Debug)]
pub(crate) struct Recorder {
    path: PathBuf,
    /// Held open, so that the pipe outlives each of those who write.
    pipe: File,
    lines: Arc<Mutex<Vec<Line>>>,
    reader: JoinHandle<Result<()>>,
}

impl Recorder {
    pub(crate) fn start(home: &Path) -> Result<Self> {
        let path = home.join("pipe");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR)?;
        // Open both ways: opening neither waits for the other end nor ever sees it go.
        let pipe = OpenOptions::new().read(true).write(true).open(&path)?;
        let from = pipe.try_clone()?;
        let file = File::create(home.join("journal"))?;
        let lines = Arc::default();
        let to = Arc::clone(&lines);
        let reader = std::thread::spawn(move || read(from, file, &to));
        Ok(Self { path, pipe, lines, reader })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn journal(&self, clock: Clock) -> Result<Journal> {
        Ok(Journal { pipe: self.pipe.try_clone()?, life: 0, clock })
    }

    /// All lines, once nobody writes any more.
    pub(crate) fn end(mut self) -> Result<Vec<Line>> {
        self.pipe.write_all(END.as_bytes())?;
        self.reader.join().map_err(|_| anyhow!("the recorder panicked"))??;
        let _ = fs::remove_file(&self.path);
        let lines = std::mem::take(&mut *lock(&self.lines));
        Ok(lines)
    }
}

fn read(pipe: File, mut file: File, lines: &Mutex<Vec<Line>>) -> Result<()> {
    let mut reader = BufReader::new(pipe);
    let mut text = String::new();
    loop {
        text.clear();
        reader.read_line(&mut text)?;
        if text == END {
            return Ok(());
        }
        file.write_all(text.as_bytes())?;
        let line: Line = serde_json::from_str(&text).with_context(|| format!("{text:?}"))?;
        lock(lines).push(line);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
