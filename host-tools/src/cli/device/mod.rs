//! `atto device`: talks to a board over its link.

mod about;
mod model;
mod upload;

use attoformer_tools::Error;
use attoformer_tools::device::transport::{Transport, open};
use attoformer_tools::device::{Client, ports};
use clap::Subcommand;
use serde::Serialize;

use super::output::{print, print_json};

/// Talk to a board over its link: run its model, replace it, inspect it
#[derive(clap::Args)]
pub struct Args {
    /// Port of the board: a serial port, or tcp:HOST:PORT [default: the one board found on USB]
    #[arg(long, value_name = "PORT", global = true)]
    port: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the boards found on USB
    List {
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    Info(about::InfoArgs),
    Selftest(about::SelfTestArgs),
    Run(model::RunArgs),
    Embed(model::EmbedArgs),
    Classify(model::ClassifyArgs),
    Bench(about::BenchArgs),
    Upload(upload::UploadArgs),
    Erase(upload::EraseArgs),
    Provision(upload::ProvisionArgs),
    Attention(model::AttentionArgs),
    Logs(about::LogsArgs),
}

type Board = Client<Box<dyn Transport>>;

/// Runs the command.
pub fn run(args: Args) -> Result<(), Error> {
    let connect = || connect(args.port.as_deref());
    match args.command {
        Command::List { json } => list(json),
        Command::Info(args) => about::info(&args, &mut connect()?),
        Command::Selftest(args) => about::self_test(&args, &mut connect()?),
        Command::Run(args) => model::run(&args, &mut connect()?),
        Command::Embed(args) => model::embed(&args, &mut connect()?),
        Command::Classify(args) => model::classify(&args, &mut connect()?),
        Command::Bench(args) => about::bench(&args, &mut connect()?),
        // The file is read before the board is asked.
        Command::Upload(args) => upload::upload(&args, connect),
        Command::Erase(args) => upload::erase(&args, &mut connect()?),
        Command::Provision(args) => upload::provision(&args, connect),
        Command::Attention(args) => model::attention(&args, &mut connect()?),
        Command::Logs(args) => about::logs(&args, &mut connect()?),
    }
}

/// Opens a session with the board.
fn connect(port: Option<&str>) -> Result<Board, Error> {
    let port = ports::choose(port)?;
    // Any number that a session shortly before did not have.
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let session = (since.as_micros() as u16) ^ (std::process::id() as u16);
    Ok(Client::connect(open(&port)?, &port, session)?)
}

#[derive(Serialize)]
struct ListReport {
    devices: Vec<ports::Port>,
}

fn list(json: bool) -> Result<(), Error> {
    let devices = ports::list();
    if json {
        return print_json(&ListReport { devices });
    }
    if devices.is_empty() {
        eprintln!("no board found on USB");
    }
    let width = devices.iter().map(|device| device.port.len()).max().unwrap_or(0);
    print(&devices.iter().map(|device| format!("{:width$}  {}\n", device.port, device.board)).collect::<String>())
}
