//! The files of a database that has just been set up: made once, then unpacked for each server.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result};

use super::programs;
use crate::port;

/// Puts the files of a new database into `data`. The first time for this `program` and `recipe`
/// they are made by `make`, in an empty folder and nowhere else.
pub(super) fn unpack(
    program: &Path,
    recipe: impl Hash,
    data: &Path,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let mut hasher = DefaultHasher::new();
    (program, fs::metadata(program)?.modified()?, recipe).hash(&mut hasher);
    let name = program.file_name().context("a program has a name")?.to_string_lossy();
    let name = format!("{name}-{:016x}", hasher.finish());
    // One file and no folder, from which something could go missing unseen.
    let archive = port::base_dir()?.join(&name).with_extension("tar");
    if !archive.exists() {
        // Released with the file, however this process ends.
        let lock = File::create(archive.with_extension("lock"))?;
        lock.lock()?;
        if !archive.exists() {
            pack(&archive, make).with_context(|| format!("setting up {name}"))?;
        }
    }
    let mut tar = Command::new("tar");
    tar.arg("--extract").arg("--file").arg(archive).arg("--directory").arg(data);
    // Root keeps the owner of each file, and of the folder itself.
    tar.args(["--preserve-permissions", "--numeric-owner"]);
    programs::run(tar, "")?;
    Ok(())
}

fn pack(archive: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let folder = archive.with_extension("new");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir(&folder)?;
    make(&folder)?;
    let unfinished = archive.with_extension("tar-new");
    let mut tar = Command::new("tar");
    tar.arg("--create").arg("--sparse").arg("--file").arg(&unfinished);
    tar.arg("--directory").arg(&folder).args(["--numeric-owner", "."]);
    programs::run(tar, "")?;
    fs::rename(unfinished, archive)?;
    Ok(fs::remove_dir_all(folder)?)
}
