//! The command line: one file per subcommand, which parses, calls and prints.

mod args;
mod bench;
mod chat;
mod classify;
mod completions;
mod embed;
mod eval;
mod import;
mod info;
mod inspect;
mod pack;
mod run;
mod sampling;
mod train;
mod transcribe;

use std::io::{self, Write};
use std::process::ExitCode;

use attoformer_tools::Error;
use attoformer_tools::run::chat::template::RENDER_SUBCOMMAND;
use clap::{Parser, Subcommand};
use serde::Serialize;

/// Threads that may be asked for; more would only wait for each other.
const THREADS_MAX: i64 = 256;

/// Packs trained transformers into images for microcontrollers and PCs, runs them and measures them.
#[derive(Parser)]
#[command(name = "atto", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Pack(pack::Args),
    Info(info::Args),
    Import(import::Args),
    Run(run::Args),
    Embed(embed::Args),
    #[command(subcommand)]
    Eval(eval::Command),
    Chat(chat::Args),
    Classify(classify::Args),
    Transcribe(transcribe::Args),
    Bench(bench::Args),
    Inspect(inspect::Args),
    Train(train::Args),
    Completions(completions::Args),
}

/// Parses the arguments and runs the command; `limit` bounds the bytes that may be allocated. Exit codes: 0 done, 1 a stated failure, 2 wrong usage.
pub fn main(limit: impl FnOnce(usize)) -> ExitCode {
    // No subcommand: only this program itself calls it.
    let apart = std::env::args_os().nth(1).is_some_and(|argument| argument == RENDER_SUBCOMMAND);
    let result = if apart { chat::render_template(limit) } else { run_command() };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_command() -> Result<(), Error> {
    match Cli::parse().command {
        Command::Pack(args) => pack::run(args),
        Command::Info(args) => info::run(args),
        Command::Import(args) => import::run(args),
        Command::Run(args) => run::run(args),
        Command::Embed(args) => embed::run(args),
        Command::Eval(command) => eval::run(command),
        Command::Chat(args) => chat::run(args),
        Command::Classify(args) => classify::run(args),
        Command::Transcribe(args) => transcribe::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Train(args) => train::run(args),
        Command::Completions(args) => completions::run(args),
    }
}

/// Prints the one JSON object of a command on stdout.
fn print_json(value: &impl Serialize) -> Result<(), Error> {
    print(&(serde_json::to_string(value).expect("plain structs serialize") + "\n"))
}

/// Prints text on stdout at once. A reader that closed its end has what it wanted.
fn print(text: &str) -> Result<(), Error> {
    print_on(text).map(|_| ())
}

/// Prints text on stdout at once; `false` where nobody reads it any more.
fn print_on(text: &str) -> Result<bool, Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::Io { path: "stdout".into(), source: error }),
    }
}
