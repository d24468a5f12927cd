//! `samovar memory watch`: what the server and its jobs hold, sample by sample, whatever becomes of them
//! meanwhile.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

use samovar_clock::Clock;
use samovar_memory::{Alert, Detector, Sample, Thresholds};
use serde_json::{Value, json};

use super::show;
use crate::{
    arguments::{Global, MemoryCommand, MemoryWatchArguments},
    failure::Failure,
    reach::{Reach, Watched},
    serve::{Stop, print},
};

/// A server that takes longer does not answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

pub(crate) async fn memory(global: &Global, command: &MemoryCommand) -> Result<(), Failure> {
    let MemoryCommand::Watch(arguments) = command;
    let mut watch = Watch::begin(Watched::meant(global, &arguments.server)?, arguments).await?;
    let ended = watch.run(arguments).await;
    // What was written is kept, however it ended.
    watch.lines.close()?;
    ended?;
    let Watch { samples, failed, crossed, .. } = watch;
    if let Some(file) = &arguments.output {
        let answer = json!({
            "output": file, "samples": samples, "failed": failed, "crossed": crossed,
        });
        show(global, &answer, |_| {
            format!(
                "{samples} samples and {failed} failures in {}, {crossed} alerts",
                file.display()
            )
        })?;
    }
    if crossed > 0 { Err(Failure::Found) } else { Ok(()) }
}

struct Watch {
    server: Watched,
    /// Nothing while it does not answer.
    reach: Option<Reach>,
    detector: Detector,
    lines: Lines,
    samples: u64,
    /// Times that the server did not answer.
    failed: u64,
    /// Alerts that were news.
    crossed: u64,
}

impl Watch {
    async fn begin(server: Watched, arguments: &MemoryWatchArguments) -> Result<Self, Failure> {
        let reach = Some(server.reach().await?);
        let usage_percentage = arguments.threshold;
        let detector = Detector::new(Thresholds { usage_percentage, ..Thresholds::default() });
        let lines = Lines::open(arguments.output.as_deref())?;
        let (samples, failed, crossed) = (0, 0, 0);
        Ok(Self { server, reach, detector, lines, samples, failed, crossed })
    }

    /// One sample at the beginning, and one for each interval that fits.
    async fn run(&mut self, arguments: &MemoryWatchArguments) -> Result<(), Failure> {
        let mut stop =
            Stop::listen().map_err(|error| Failure::failed("waiting for signals", error))?;
        let clock = Clock::System;
        let (began, mut next) = (clock.now(), clock.now());
        loop {
            let looked = tokio::select! {
                looked = self.look() => looked,
                () = stop.wait() => return Ok(()),
            };
            // Whoever may not look will not see anything later either.
            let is_first = self.samples + self.failed == 0;
            if is_first && let Err(Failure::Refused { .. }) = looked {
                return looked.map(drop);
            }
            self.write(looked)?;
            next = (next + arguments.interval).max(clock.now());
            if arguments.duration.is_some_and(|it| next.since(began) > it) {
                return Ok(());
            }
            tokio::select! {
                () = clock.sleep_until(next) => {}
                () = stop.wait() => return Ok(()),
            }
        }
    }

    async fn look(&mut self) -> Result<Value, Failure> {
        let asked = async {
            let reach = match self.reach.take() {
                Some(reach) => reach,
                None => self.server.reach().await?,
            };
            // A question that is given up leaves a connection on which nothing else can be asked.
            self.reach.insert(reach).get("/v1/memory", &[]).await
        };
        let asked = Clock::System.timeout(ANSWERS_WITHIN, asked).await;
        let answer = asked.unwrap_or_else(|_| {
            Err(Failure::Failed(anyhow::anyhow!("no answer within {ANSWERS_WITHIN:?}")))
        });
        if answer.is_err() {
            self.reach = None;
        }
        answer
    }

    fn write(&mut self, looked: Result<Value, Failure>) -> Result<(), Failure> {
        let line = match looked {
            Ok(mut sample) => {
                let alerts = self.crossings(&sample)?;
                self.samples += 1;
                sample["alerts"] = json!(alerts);
                sample
            }
            Err(failure) => {
                self.failed += 1;
                json!({ "at_ms": Clock::System.wall().as_millis(), "error": failure.to_string() })
            }
        };
        self.lines.write(&line)
    }

    fn crossings(&mut self, sample: &Value) -> Result<Vec<Alert>, Failure> {
        let sample: Sample = serde_json::from_value(sample.clone())
            .map_err(|error| Failure::failed("reading a sample", error))?;
        let alerts = self.detector.observe(Clock::System.now(), &sample);
        for alert in &alerts {
            tracing::warn!(?alert, "memory of jobs");
        }
        self.crossed += alerts.len() as u64;
        Ok(alerts)
    }
}

/// Whole lines, one after the other.
enum Lines {
    Out,
    File(File),
}

impl Lines {
    /// What stands in the file stays. A line that was cut off there is ended first.
    fn open(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = file else { return Ok(Lines::Out) };
        let open = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            if file.seek(SeekFrom::End(0))? > 0 {
                file.seek(SeekFrom::End(-1))?;
                let mut last = [0];
                file.read_exact(&mut last)?;
                if last != *b"\n" {
                    file.write_all(b"\n")?;
                }
            }
            Ok(file)
        };
        let opened: io::Result<File> = open();
        let failed = |error| Failure::failed(format!("opening {}", path.display()), error);
        opened.map(Lines::File).map_err(failed)
    }

    fn write(&mut self, line: &Value) -> Result<(), Failure> {
        match self {
            Lines::Out => print(&line.to_string()),
            Lines::File(file) => file
                .write_all(format!("{line}\n").as_bytes())
                .map_err(|error| Failure::failed("writing a sample", error)),
        }
    }

    fn close(&mut self) -> Result<(), Failure> {
        match self {
            Lines::Out => Ok(()),
            Lines::File(file) => {
                file.sync_all().map_err(|error| Failure::failed("writing the samples", error))
            }
        }
    }
}
