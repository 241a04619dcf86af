//! `cargo xtask`: everything a person repeats in this repository.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Everything a person repeats in this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Watch an emulated microcontroller tell a story, in the same bits as this computer
    Demo(commands::demo::Arguments),
    /// Prove everything: format, lints, docs, tests, firmware, no panic
    Test(commands::test::Arguments),
    /// Run an image on an emulated machine
    Qemu(commands::qemu::Arguments),
    /// Read the weights of an attention head out of an emulated machine
    Attention(commands::attention::Arguments),
    /// Count the kernels' instructions on an emulated machine
    Bench(commands::bench::Arguments),
    /// Link the engine with a panic handler that cannot link
    Nopanic(commands::nopanic::Arguments),
    /// Bring public test models into a folder, by package name
    Models(commands::models::Arguments),
    /// Install compiler targets and emulators
    Setup,
    /// Draw the demo's output as docs/demo.svg
    Picture(commands::picture::Arguments),
    /// Train the default model again and pack it
    TrainDefault(commands::train_default::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Demo(arguments) => commands::demo::run(&arguments),
        Command::Test(arguments) => commands::test::run(&arguments),
        Command::Qemu(arguments) => commands::qemu::run(&arguments),
        Command::Attention(arguments) => commands::attention::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Nopanic(arguments) => commands::nopanic::run(&arguments),
        Command::Models(arguments) => commands::models::run_all(&arguments),
        Command::Setup => commands::setup::run(),
        Command::Picture(arguments) => commands::picture::run(&arguments),
        Command::TrainDefault(arguments) => commands::train_default::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
