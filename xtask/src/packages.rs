//! The Debian packages that tests need: found missing, and installed where that is allowed.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use anyhow::{Result, bail};

use crate::run::{is_installed, run, succeeds, workspace_root};

struct Package {
    debian: &'static str,
    brings: Part,
    purpose: &'static str,
}

/// What is looked for.
enum Part {
    /// On the path, or where Debian keeps the programs of servers.
    Program(&'static str),
    /// In a folder of libraries, or one below it.
    Library(&'static str),
}

const PACKAGES: &[Package] = &[
    Package { debian: "make", brings: Part::Program("make"), purpose: "builds the allocator" },
    Package {
        debian: "redis-server",
        brings: Part::Program("redis-server"),
        purpose: "tests run against real servers",
    },
    Package { debian: "postgresql", brings: Part::Program("initdb"), purpose: "the same, for SQL" },
    Package {
        debian: "mariadb-server-core",
        brings: Part::Program("mariadbd"),
        purpose: "the same",
    },
    Package {
        debian: "mariadb-client-core",
        brings: Part::Program("mariadb"),
        purpose: "tests talk to it",
    },
    Package {
        debian: "libfaketime",
        brings: Part::Library("faketime/libfaketimeMT.so.1"),
        purpose: "the clock of a server jumps",
    },
    Package { debian: "curl", brings: Part::Program("curl"), purpose: "asks as the README does" },
    Package { debian: "sqlite3", brings: Part::Program("sqlite3"), purpose: "the same" },
];

const OF_BENCHMARKS: &[Package] = &[
    Package {
        debian: "nginx-light",
        brings: Part::Program("nginx"),
        purpose: "what is measured beside",
    },
    Package { debian: "wrk", brings: Part::Program("wrk"), purpose: "asks" },
    Package { debian: "curl", brings: Part::Program("curl"), purpose: "asks once" },
];

impl Part {
    fn name(&self) -> &'static str {
        match self {
            Part::Program(name) | Part::Library(name) => name,
        }
    }

    fn is_there(&self) -> bool {
        match self {
            Part::Program(name) => has_program(name),
            Part::Library(name) => {
                let below = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
                let direct = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(Into::into);
                let mut folders = below.map(|it| it.path()).chain(direct);
                folders.any(|folder| folder.join(name).is_file())
            }
        }
    }
}

/// Seconds to wait while another process holds the package manager's lock.
const APT_LOCK_TIMEOUT_S: u32 = 300;

/// Installs what is missing, or says what to install.
pub(crate) fn ensure() -> Result<()> {
    ensure_all(PACKAGES)
}

/// The same for what benchmarks over HTTP need.
pub(crate) fn ensure_for_bench() -> Result<()> {
    ensure_all(OF_BENCHMARKS)
}

fn ensure_all(packages: &[Package]) -> Result<()> {
    let missing: Vec<_> = packages.iter().filter(|package| !package.brings.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        println!("missing: {} ({})", package.debian, package.purpose);
    }
    let names: Vec<_> = missing.iter().map(|package| package.debian).collect();
    let Some(prefix) = apt_prefix() else {
        bail!(
            "this may not install packages itself. As root: apt-get install {}\n\
             (elsewhere than on Debian: whatever provides {})",
            names.join(" "),
            missing.iter().map(|package| package.brings.name()).collect::<Vec<_>>().join(", ")
        );
    };
    run(apt(prefix).arg("update"))?;
    run(apt(prefix).args(["install", "--yes", "--no-install-recommends"]).args(&names))?;
    match missing.iter().find(|package| !package.brings.is_there()) {
        Some(Package { debian, brings, .. }) => {
            bail!("{debian} is installed, yet {} is not where it is looked for", brings.name())
        }
        None => Ok(()),
    }
}

fn has_program(program: &str) -> bool {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders =
        versions.map(|version| version.path().join("bin")).chain(["/usr/sbin".into()]);
    is_installed(program) || folders.any(|folder| folder.join(program).is_file())
}

/// The words before `apt-get`, if it is there and may be used.
fn apt_prefix() -> Option<&'static [&'static str]> {
    let is_root = || fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is_installed("apt-get") {
        None
    } else if is_root() {
        Some(&["env"])
    } else if succeeds(Command::new("sudo").args(["-n", "true"])) {
        Some(&["sudo", "-n", "env"])
    } else {
        None
    }
}

fn apt(prefix: &[&str]) -> Command {
    let without_services = workspace_root().join("xtask/src/without_services.sh");
    let mut command = Command::new(prefix[0]);
    command.args(&prefix[1..]).args(["DEBIAN_FRONTEND=noninteractive", "sh"]);
    command.arg(without_services).args([
        "apt-get",
        "-qq",
        "-o",
        &format!("DPkg::Lock::Timeout={APT_LOCK_TIMEOUT_S}"),
        "-o",
        "Acquire::Retries=3",
    ]);
    command
}
