//! The text files of the repository.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};

/// Not part of the sources: built, installed or generated where work is done.
const SKIPPED_FOLDERS: &[&str] = &["target", "node_modules", ".git", "samovar-data"];

#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) files: Vec<SourceFile>,
    /// All paths, those of folders and of files that are no text included.
    paths: std::collections::BTreeSet<String>,
}

#[derive(Debug)]
pub(super) struct SourceFile {
    /// From the root, with slashes.
    pub(super) path: String,
    pub(super) text: String,
}

impl SourceFile {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(super) fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// Lines, counted from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.paths.insert(String::new());
        tree.read_folder(root, "").context("reading the sources")?;
        Ok(tree)
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    fn read_folder(&mut self, root: &Path, below: &str) -> io::Result<()> {
        for entry in fs::read_dir(root.join(below))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            let kind = entry.file_type()?;
            if kind.is_dir() && SKIPPED_FOLDERS.contains(&name.as_str()) {
                continue;
            }
            self.paths.insert(path.clone());
            if kind.is_dir() {
                self.read_folder(root, &path)?;
            } else if kind.is_file()
                && let Ok(text) = fs::read_to_string(entry.path())
            {
                self.files.push(SourceFile { path, text });
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for &(path, text) in files {
            tree.paths.insert(path.to_owned());
            tree.files.push(SourceFile { path: path.to_owned(), text: text.to_owned() });
        }
        tree
    }
}
