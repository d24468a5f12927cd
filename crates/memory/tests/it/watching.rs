//! The loop of samples, and streams that give way under pressure.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use samovar_clock::{Clock, ManualClock, WallTime};
use samovar_memory::{
    Account, Alert, Budget, ChunkMemory, ChunkSize, Class, Exceeded, FlightRecorder, MB,
    Thresholds, Watch, Work, in_chunks, watch,
};

const SECOND: Duration = Duration::from_secs(1);

/// One sample at the beginning and one for each interval that fits, with the alerts that are news;
/// the job's samples are there afterwards.
#[tokio::test]
async fn a_watch_samples_until_its_time_is_over() {
    let time = Arc::new(ManualClock::new(WallTime::from_millis(1_754_499_540_000)));
    let clock = Clock::Manual(time.clone());
    let budget = Budget::new(512 * MB, clock.clone());
    let work = Work { kind: "warm", job: "warm/1", class: Class::Mb128, share: None };
    let admitted = budget.admit(work).await.expect("it fits");
    let (account, recorder) = (admitted.account().clone(), FlightRecorder::default());
    let how =
        Watch { interval: SECOND, duration: Some(3 * SECOND), thresholds: Thresholds::default() };
    let (mut seen, mut kept) = (Vec::new(), Vec::new());
    let watching = watch(&clock, &budget, how, &recorder, |sample, alerts| {
        let usage = sample.jobs.first().and_then(|job| job.usage).expect("metering is on");
        seen.push((usage.current_bytes / MB, alerts));
        // Between two samples the job takes another 40 MB, and a second passes.
        kept.push(account.scope(|| vec![0_u8; 40 * MB as usize]));
        let passes = time.clone();
        tokio::spawn(async move { passes.advance(SECOND) });
        std::future::ready(true)
    });
    watching.await;

    let held: Vec<u64> = seen.iter().map(|(mb, _)| *mb).collect();
    assert_eq!(held, [0, 40, 80, 120]);
    let alerts: Vec<usize> = seen.iter().map(|(_, alerts)| alerts.len()).collect();
    assert_eq!(alerts, [0, 0, 0, 1]);
    let near = &seen[3].1[0];
    assert!(matches!(near, Alert::NearLimit { job, .. } if job == "warm/1"), "{near:?}");
    let recorded = recorder.take("warm/1");
    let times: Vec<i64> = recorded.iter().map(|(at_ms, _)| at_ms - recorded[0].0).collect();
    assert_eq!(times, [0, 1000, 2000, 3000]);
}

#[tokio::test]
async fn a_watch_ends_when_nobody_wants_more() {
    let clock = Clock::Manual(Arc::new(ManualClock::new(WallTime::from_millis(0))));
    let budget = Budget::new(512 * MB, clock.clone());
    let how = Watch { interval: SECOND, duration: None, thresholds: Thresholds::default() };
    let mut samples = 0;
    watch(&clock, &budget, how, &FlightRecorder::default(), |_, _| {
        samples += 1;
        std::future::ready(false)
    })
    .await;
    assert_eq!(samples, 1);
}

/// A hundred items at a time are near the limit: chunks get smaller until they are not.
#[tokio::test]
async fn chunks_that_fill_the_account_get_smaller_and_the_work_goes_through() {
    let account = Account::new("chunks", Class::Mb128);
    let memory = ChunkMemory::new(account.clone(), None);
    let items = stream::iter(0..400).map(|number| (number, vec![1_u8; MB as usize]));
    let (mut seen, mut lengths) = (Vec::new(), Vec::new());
    let work = in_chunks(items, ChunkSize::at_most(110), &memory, |chunk| {
        lengths.push(chunk.len());
        seen.extend(chunk.iter().map(|(number, _)| *number));
        std::future::ready(Ok::<(), Exceeded>(()))
    });
    work.await.expect("the limit is kept");
    assert_eq!(seen, (0..400).collect::<Vec<_>>());
    assert_eq!(lengths[..2], [110, 55], "{lengths:?}");
    assert!(lengths[2..].iter().all(|length| *length < 110), "{lengths:?}");
    let usage = account.usage().expect("metering is on");
    assert!(usage.peak_bytes < 128 * MB, "{usage:?}");
    assert!(usage.current_bytes < MB, "{usage:?}");
}
