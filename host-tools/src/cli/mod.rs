//! The command line: one file per subcommand, which parses its options, calls the library and prints.

mod args;
mod bench;
mod boards;
#[cfg(feature = "chat")]
mod chat;
mod classify;
mod completions;
mod device;
mod embed;
mod eval;
mod flash;
mod import;
mod info;
mod inspect;
mod keygen;
mod output;
mod pack;
mod run;
mod sign;
mod train;
mod transcribe;
mod verify;

use std::process::ExitCode;

use attoformer_tools::Error;
use clap::{CommandFactory, Parser, Subcommand};

/// Pack trained transformers into images for microcontrollers and PCs, run them and measure them.
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
    #[cfg(feature = "chat")]
    Chat(chat::Args),
    Classify(classify::Args),
    Transcribe(transcribe::Args),
    Bench(bench::Args),
    Inspect(inspect::Args),
    Device(device::Args),
    Boards(boards::Args),
    Flash(flash::Args),
    Keygen(keygen::Args),
    Sign(sign::Args),
    Verify(verify::Args),
    Train(train::Args),
    Completions(completions::Args),
}

/// Parses the arguments and runs the command; `limit` bounds the bytes that may be allocated. Exit codes: 0 success, 1 failure, 2 usage error.
pub fn main(limit: impl FnOnce(usize)) -> ExitCode {
    // Ctrl-C ends the program, as it does without a handler, but leaves no temporary file. Where it is ignored, it stays so.
    let _ = ctrlc::try_set_handler(|| attoformer_tools::files::end_interrupted());
    match render_or_run(limit) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "chat")]
fn render_or_run(limit: impl FnOnce(usize)) -> Result<(), Error> {
    use attoformer_tools::run::chat::template::RENDER_SUBCOMMAND;

    // Not a public subcommand: only this program starts itself with it.
    let renders = std::env::args_os().nth(1).is_some_and(|argument| argument == RENDER_SUBCOMMAND);
    if renders { chat::render_template(limit) } else { run_command() }
}

#[cfg(not(feature = "chat"))]
fn render_or_run(_: impl FnOnce(usize)) -> Result<(), Error> {
    run_command()
}

fn run_command() -> Result<(), Error> {
    match Cli::parse().command {
        Command::Pack(args) => pack::run(args),
        Command::Info(args) => info::run(args),
        Command::Import(args) => import::run(args),
        Command::Run(args) => run::run(args),
        Command::Embed(args) => embed::run(args),
        Command::Eval(command) => eval::run(command),
        #[cfg(feature = "chat")]
        Command::Chat(args) => chat::run(args),
        Command::Classify(args) => classify::run(args),
        Command::Transcribe(args) => transcribe::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Device(args) => device::run(args),
        Command::Boards(args) => boards::run(args),
        Command::Flash(args) => flash::run(args),
        Command::Keygen(args) => keygen::run(args),
        Command::Sign(args) => sign::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Train(args) => train::run(args),
        Command::Completions(args) => completions::run(args, &mut Cli::command()),
    }
}
