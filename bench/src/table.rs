//! Tables as they stand in docs/benchmarks.md, each row printed as soon as it is known.
#![expect(clippy::print_stdout, reason = "what a benchmark is for")]

/// Prints a section's title and what the reader must know about the figures below it.
pub fn title(title: &str, notes: &str) {
    println!("\n## {title}\n\n{notes}\n");
}

/// A table whose columns are as wide as their heads, and wide enough for most cells.
#[derive(Debug)]
pub struct Table {
    widths: Vec<usize>,
}

const NARROWEST: usize = 8;

impl Table {
    pub fn begin(head: &[&str]) -> Self {
        let widths = head.iter().map(|cell| cell.chars().count().max(NARROWEST)).collect();
        let table = Self { widths };
        table.line(head);
        let dashes: Vec<String> = table.widths.iter().map(|width| "-".repeat(width + 2)).collect();
        println!("|{}|", dashes.join("|"));
        table
    }

    pub fn row(&self, cells: &[String]) {
        self.line(&cells.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn line(&self, cells: &[&str]) {
        let cells: Vec<String> =
            cells.iter().zip(&self.widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        println!("| {} |", cells.join(" | "));
    }
}
