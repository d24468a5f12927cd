//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use samovar_server::Server;

/// Keeps dashboards hot: widgets are declared once, computed once, and served from memory until
/// their data changes
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong use, 3 a check found problems"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the widgets of a configuration
    Serve(ServeArguments),
    /// Serve example widgets over a small generated database
    Demo(DemoArguments),
    /// Check a configuration and prepare its queries, without serving
    Check(CheckArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    #[arg(long, value_name = "FILE", default_value = "samovar.toml")]
    pub(crate) config: PathBuf,
    /// Address and port, instead of the configuration's; port 0 takes a free one
    #[arg(long, value_parser = parse_listen)]
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    #[arg(long, value_name = "FILE", default_value = "samovar.toml")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// How many orders to generate; the same number gives the same orders
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub(crate) orders: u32,
    /// Where the database, its configuration and the store lie, and are found again; by default
    /// a folder in the user's cache
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7070", value_parser = parse_listen)]
    pub(crate) listen: SocketAddr,
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "write it like 127.0.0.1:7070".to_owned())?;
    Server::may_listen(address).map_err(|error| error.to_string())?;
    Ok(address)
}
