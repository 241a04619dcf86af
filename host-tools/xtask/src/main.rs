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
    /// Run an image on an emulated machine
    Qemu(commands::qemu::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Qemu(arguments) => commands::qemu::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
