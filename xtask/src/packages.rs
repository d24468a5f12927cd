//! The Debian packages that tests need: found missing, and installed where that is allowed.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use anyhow::{Result, bail};

use crate::run::{is_installed, run, succeeds, workspace_root};

struct Package {
    debian: &'static str,
    /// What is looked for on the path, and where Debian keeps the programs of servers.
    program: &'static str,
    purpose: &'static str,
}

const PACKAGES: &[Package] = &[
    Package { debian: "make", program: "make", purpose: "builds the allocator" },
    Package {
        debian: "redis-server",
        program: "redis-server",
        purpose: "tests run against real servers",
    },
    Package { debian: "postgresql", program: "initdb", purpose: "the same, for SQL" },
    Package { debian: "mariadb-server-core", program: "mariadbd", purpose: "the same" },
    Package { debian: "mariadb-client-core", program: "mariadb", purpose: "tests talk to it" },
];

/// Seconds to wait while another process holds the package manager's lock.
const APT_LOCK_TIMEOUT_S: u32 = 300;

/// Installs what is missing, or says what to install.
pub(crate) fn ensure() -> Result<()> {
    let missing: Vec<_> = PACKAGES.iter().filter(|package| !is_there(package.program)).collect();
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
            missing.iter().map(|package| package.program).collect::<Vec<_>>().join(", ")
        );
    };
    run(apt(prefix).arg("update"))?;
    run(apt(prefix).args(["install", "--yes", "--no-install-recommends"]).args(&names))?;
    match missing.iter().find(|package| !is_there(package.program)) {
        Some(package) => {
            bail!("{} is installed, yet no {} is found", package.debian, package.program)
        }
        None => Ok(()),
    }
}

fn is_there(program: &str) -> bool {
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
