//! `cargo xtask`: the repository's recurring tasks.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Recurring tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Generate a story on an emulated microcontroller and compare its bits with this computer's
    Demo(commands::demo::Arguments),
    /// Run all checks: format, lints, documentation, tests, firmware, no panic
    Test(commands::steps::Arguments),
    /// Run the checks before a release: features, documentation targets, MSRV, packaging, public API
    ReleaseCheck(commands::steps::Arguments),
    /// Run an image on an emulated machine
    Qemu(commands::qemu::Arguments),
    /// Run a board's own firmware in an emulator, over its link
    Emulate(commands::emulate::Arguments),
    /// Print the attention weights of one head on an emulated machine
    Attention(commands::attention::Arguments),
    /// Count the instructions of each kernel on an emulated machine
    Bench(commands::bench::Arguments),
    /// Measure what each weight format costs in quality
    Quality(commands::quality::Arguments),
    /// Measure flash, statics and stack size of the demo programs
    Size(commands::size::Arguments),
    /// Build the firmware of every board and measure flash, statics and stack
    Boards(commands::boards::Arguments),
    /// Prove that the engine cannot panic: link it with a panic handler that cannot link
    Nopanic(commands::nopanic::Arguments),
    /// Download public test models
    Models(commands::models::Arguments),
    /// Install compiler targets and emulators
    Setup,
    /// Draw the demo's output as docs/demo.svg
    Picture(commands::picture::Arguments),
    /// Train the default model again and pack it
    TrainDefault(commands::train_default::Arguments),
    /// Make everything anew that pins bytes of images: the default model's image, fuzz seeds, snapshots
    Regenerate,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(arguments) => commands::demo::run(&arguments),
        Command::Test(arguments) => commands::test::run(&arguments),
        Command::ReleaseCheck(arguments) => commands::release_check::run(&arguments),
        Command::Qemu(arguments) => commands::qemu::run(&arguments),
        Command::Emulate(arguments) => commands::emulate::run(&arguments),
        Command::Attention(arguments) => commands::attention::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Quality(arguments) => commands::quality::run(&arguments),
        Command::Size(arguments) => commands::size::run(&arguments),
        Command::Boards(arguments) => commands::boards::run(&arguments),
        Command::Nopanic(arguments) => commands::nopanic::run(&arguments),
        Command::Models(arguments) => commands::models::run_all(&arguments),
        Command::Setup => commands::setup::run(),
        Command::Picture(arguments) => commands::picture::run(&arguments),
        Command::TrainDefault(arguments) => commands::train_default::run(&arguments),
        Command::Regenerate => commands::regenerate::run_all(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
