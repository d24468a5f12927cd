//! What children of this test binary can do, and the test that is their entry.

use std::{
    io::Read,
    os::unix::net::UnixStream,
    sync::{Arc, Mutex},
};

use samovar_memory::{
    Account, AllocatorFigures, Class, MB,
    child::{self, ChildOptions, Context, Pool, PoolSize, Request, Works},
    spawn_thread,
};

/// Runs in children only; elsewhere it has nothing to do.
#[test]
fn entry() {
    if child::is_child() {
        child::main(&works());
    }
}

pub(crate) fn options() -> ChildOptions {
    let arguments = ["works::entry", "--exact", "--nocapture", "--test-threads=1"];
    ChildOptions { arguments: arguments.map(Into::into).to_vec(), ..ChildOptions::default() }
}

pub(crate) fn request(work: &str, input: &[u8]) -> Request {
    Request {
        work: work.to_owned(),
        job: format!("test/{work}"),
        limit: Class::Mb128.into(),
        input: input.to_vec(),
        gauge: samovar_memory::ChildGauge::default(),
    }
}

type Output = Result<Vec<u8>, String>;

fn works() -> Works {
    Works::default()
        .with("echo", echo)
        .with("ask", ask)
        .with("steps", steps)
        .with("tight", tight)
        .with("large", large)
        .with("refused", refused)
        .with("shared", shared)
        .with("panic", |_, _| panic!("on purpose"))
        .with("exit", exit)
        .with("crash", |_, _| std::process::abort())
        .with("fail", |_, _| Err("no rows".to_owned()))
        .with("wait", wait)
        .with("start", start)
        .with("hold", hold)
        .with("compare", compare)
}

/// Gives what the parent answers.
fn ask(context: &Context, input: &[u8]) -> Output {
    let (sends, answers) = std::sync::mpsc::channel();
    context.hear(move |said| drop(sends.send(said)));
    context.progress(input);
    answers.recv().map_err(|error| error.to_string())
}

fn echo(context: &Context, input: &[u8]) -> Output {
    context.progress(b"half");
    Ok(input.to_vec())
}

fn steps(context: &Context, _: &[u8]) -> Output {
    let mut kept = Vec::new();
    loop {
        kept.push(vec![1_u8; 1_000_000]);
        context.step().map_err(|reason| reason.to_string())?;
    }
}

/// Never steps.
fn tight(_: &Context, _: &[u8]) -> Output {
    let mut kept = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![1_u8; 100_000]));
    }
}

fn large(_: &Context, _: &[u8]) -> Output {
    Ok(vec![std::hint::black_box(vec![1_u8; 300_000_000])[0]])
}

/// Runs into a limit that is not ours, far below ours.
fn refused(_: &Context, _: &[u8]) -> Output {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let statm = std::fs::read_to_string("/proc/self/statm").map_err(|it| it.to_string())?;
    let pages: u64 = statm.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or_default();
    let mapped = pages * rustix::param::page_size() as u64 + 20 * MB;
    setrlimit(Resource::As, Rlimit { current: Some(mapped), maximum: None })
        .map_err(|error| error.to_string())?;
    Ok(vec![std::hint::black_box(vec![1_u8; 64_000_000])[0]])
}

/// Pages that no limit on data sees.
#[expect(unsafe_code, reason = "a shared mapping")]
fn shared(_: &Context, _: &[u8]) -> Output {
    let length = 400_000_000;
    // SAFETY: a new anonymous mapping; it is written inside of its length.
    unsafe {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let start = libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0);
        if start == libc::MAP_FAILED {
            return Err("not mapped".to_owned());
        }
        for at in (0..length).step_by(4096) {
            start.cast::<u8>().add(at).write_volatile(1);
        }
    }
    loop {
        std::thread::park();
    }
}

#[expect(clippy::disallowed_methods, reason = "the way to die that is tested")]
fn exit(_: &Context, _: &[u8]) -> Output {
    std::process::exit(3)
}

fn wait(context: &Context, _: &[u8]) -> Output {
    context.progress(&std::process::id().to_le_bytes());
    loop {
        std::thread::park();
    }
}

/// A child with a child of its own.
fn start(context: &Context, socket: &[u8]) -> Output {
    context.progress(&std::process::id().to_le_bytes());
    let pool = Pool::new(options(), PoolSize::default()).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let run = pool.run(request("hold", socket), |_, _| {});
    runtime.map_err(|error| error.to_string())?.block_on(run).map_err(|error| error.to_string())
}

/// Connected for as long as it lives.
fn hold(_: &Context, socket: &[u8]) -> Output {
    let path = String::from_utf8_lossy(socket).into_owned();
    let mut stream = UnixStream::connect(path).map_err(|error| error.to_string())?;
    let mut byte = [0];
    stream.read_exact(&mut byte).map_err(|error| error.to_string())?;
    Ok(Vec::new())
}

/// In a process of its own, because jemalloc counts all of it.
fn compare(_: &Context, _: &[u8]) -> Output {
    let account = Account::unlimited("compare");
    let shelf: Arc<Mutex<Vec<Vec<u8>>>> = Arc::new(Mutex::new(Vec::with_capacity(1 << 20)));
    let before = AllocatorFigures::read().allocated_bytes;
    account.scope(|| {
        let threads: Vec<_> = (0..4_u64)
            .map(|seed| {
                let shelf = shelf.clone();
                spawn_thread(move || exchange(seed, &shelf))
            })
            .collect();
        threads.into_iter().for_each(|it| it.join().expect("it ends"));
    });
    let shown = account.usage().ok_or("metering is off")?.current_bytes;
    let really = AllocatorFigures::read().allocated_bytes.saturating_sub(before);
    drop(shelf);
    Ok([shown.to_le_bytes(), really.to_le_bytes()].concat())
}

/// Allocates what others free, and frees what others allocated.
fn exchange(seed: u64, shelf: &Mutex<Vec<Vec<u8>>>) {
    let random = samovar_clock::Random::seeded(seed);
    for round in 0..30_000 {
        let size = 1 + random.below(8000) as usize;
        let mine = vec![round as u8; size];
        let mut shelf = shelf.lock().expect("nobody panics");
        shelf.push(mine);
        if round % 3 == 0 {
            let index = random.below(shelf.len() as u64) as usize;
            let theirs = shelf.swap_remove(index);
            drop(theirs);
        }
    }
}
