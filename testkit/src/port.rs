//! Ports that no other test of this machine takes while one holds them.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::{DirBuilderExt, PermissionsExt},
            net::{SocketAddr as UnixAddr, UnixDatagram},
        },
    },
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
};

use anyhow::{Context, Result, bail};

use crate::sql;

/// Below the range from which Linux takes ports for outgoing connections, so that a server that
/// restarts finds its port free.
const FIRST: u16 = 12_000;
const COUNT: u16 = 10_000;

/// A file system in memory, which Linux has by convention. In a container it may be tiny.
const MEMORY: &str = "/dev/shm";
/// Dozens of servers have to fit.
const ROOM_IN_MEMORY_BYTES: u64 = 2 << 30;

/// A Redis Cluster node also listens this far above its port. A lease covers both.
pub const BUS_OFFSET: u16 = 10_000;

/// The right to a port, and a folder that goes with it.
///
/// The lock is an abstract Unix socket: it has the scope of the port itself (a network namespace)
/// and vanishes with the process, however that ends.
#[derive(Debug)]
pub struct PortLease {
    port: u16,
    dir: PathBuf,
    _lock: UnixDatagram,
}

impl PortLease {
    /// Takes a port on which nobody listens.
    ///
    /// # Errors
    /// When none is free, or the folder cannot be made.
    pub fn take() -> Result<Self> {
        Self::take_below(base_dir()?)
    }

    /// As [`PortLease::take`], with the folder in memory where there is room: for servers of many
    /// small files, whose creation a disk's file system makes one wait for.
    ///
    /// # Errors
    /// When no port is free, or the folder cannot be made.
    pub fn take_in_memory() -> Result<Self> {
        Self::take_below(memory_dir()?)
    }

    fn take_below(base: &Path) -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        for _ in 0..COUNT {
            // Processes start at different places and go on from there, so that a port given back
            // is not soon somebody else's: an old client may still be trying to reach it.
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let start = std::process::id().wrapping_mul(2_654_435_761) >> 8;
            let port = FIRST + ((start + u32::from(step)) % u32::from(COUNT)) as u16;
            let Some(lock) = try_lock(port)? else { continue };
            if is_free(port) && is_free(port + BUS_OFFSET) {
                let dir = base.join(port.to_string());
                if remove_dir(&dir).is_err() {
                    continue; // a server that is being killed still writes there
                }
                fs::create_dir(&dir).with_context(|| format!("creating {}", dir.display()))?;
                return Ok(Self { port, dir, _lock: lock });
            }
        }
        bail!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> SocketAddr {
        loopback(self.port)
    }

    /// Empty at first, removed with the lease.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        // What stays is removed by the next lease of this port.
        let _ = remove_dir(&self.dir);
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn try_lock(port: u16) -> Result<Option<UnixDatagram>> {
    let name = UnixAddr::from_abstract_name(format!("samovar-testkit-port-{port}"))?;
    match UnixDatagram::bind_addr(&name) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error).context("locking a port"),
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(loopback(port)).is_ok()
}

/// The folder of leases; the first time, without what aborted tests left there.
pub(crate) fn base_dir() -> Result<&'static Path> {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    swept_once(&BASE, std::env::temp_dir)
}

/// The folder of leases in memory.
fn memory_dir() -> Result<&'static Path> {
    static BASE: OnceLock<PathBuf> = OnceLock::new();
    swept_once(&BASE, || {
        let room = rustix::fs::statvfs(MEMORY).map_or(0, |it| it.f_bavail * it.f_frsize);
        if room < ROOM_IN_MEMORY_BYTES { std::env::temp_dir() } else { MEMORY.into() }
    })
}

fn swept_once(base: &'static OnceLock<PathBuf>, parent: fn() -> PathBuf) -> Result<&'static Path> {
    if let Some(base) = base.get() {
        return Ok(base);
    }
    let dir = create_base_dir(&parent())?;
    sweep(&dir)?;
    Ok(base.get_or_init(|| dir))
}

fn sweep(base: &Path) -> Result<()> {
    for entry in fs::read_dir(base)? {
        let path = entry?.path();
        let port = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        // A folder belongs to whoever holds its port.
        if let Some(port) = port
            && let Some(_lock) = try_lock(port)?
        {
            // A killed test has taken its servers with it, but not the stopped ones.
            sql::end_family(&path.join(sql::DATA));
            // A server that is being killed may still write there.
            let _ = remove_dir(&path);
        }
    }
    Ok(())
}

fn create_base_dir(parent: &Path) -> Result<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let dir = parent.join(format!("samovar-testkit-{user}"));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .with_context(|| format!("creating {}", dir.display()))?;
    // A server that does not run as root has its files in there. Nobody else may look around.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711))?;
    Ok(dir)
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
