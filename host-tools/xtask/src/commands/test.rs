//! `cargo xtask test`: all checks of the repository, in order, until one fails.
//!
//! Every host step uses the profile `checked`, so each dependency is compiled once for checking and once for running.

use std::path::PathBuf;

use anyhow::{Result, bail};
use attoformer_protocol::boards::{self, Board};
use xtask::{
    firmware::{self, cargo_in_firmware},
    machines::{self, MACHINES},
    process::{cargo, is_installed, output, root, run as execute},
    tally::{self, Tally},
};

use super::{
    bench, demo, nopanic, setup, size,
    steps::{self, Arguments, Outcome, Step, single},
};

const STEPS: [Step; 13] = [
    Step { name: "setup", promise: "compiler targets, emulators and test tools are installed", run: |_| single(setup::run()) },
    Step { name: "format", promise: "rustfmt changes nothing", run: |_| single(format()) },
    Step { name: "clippy", promise: "no lint fires on the host", run: |arguments| single(clippy(arguments)) },
    Step { name: "clippy-firmware", promise: "no lint fires in firmware, for each instruction set", run: |_| single(clippy_firmware()) },
    Step { name: "doc", promise: "the documentation builds and its links resolve", run: |_| single(doc()) },
    Step { name: "deny", promise: "licences, sources and advisories of dependencies", run: |_| deny() },
    Step { name: "firmware", promise: "the firmware builds for every machine", run: |_| single(build_firmware()) },
    Step {
        name: "kernels",
        promise: "Cortex-M kernels compute the bits of the specification on the target",
        run: |_| single(bench::conformance()),
    },
    Step { name: "nopanic", promise: "no panic is reachable, and an inserted one is found", run: |_| nopanic::check() },
    Step { name: "size", promise: "the demos stay within their flash limits", run: |_| single(size::check()) },
    Step { name: "tests", promise: "unit tests and whole-system tests; then timing tests, one at a time", run: tests },
    Step { name: "doctests", promise: "the examples in the documentation", run: doctests },
    Step { name: "demo", promise: "the demo and the programs with a built-in image run", run: |_| demos() },
];

/// Runs the steps.
pub fn run(arguments: &Arguments) -> Result<()> {
    steps::run(&STEPS, arguments)
}

/// Arguments that select packages of the root workspace.
fn packages(arguments: &Arguments) -> &'static [&'static str] {
    // The libraries of debug probes take minutes to build, and so does training.
    if arguments.train { &["--workspace"] } else { &["--workspace", "--exclude", "attoformer-train", "--exclude", "attoformer-probe"] }
}

fn format() -> Result<()> {
    execute(cargo().current_dir(root()).args(["fmt", "--all", "--check"]))?;
    execute(cargo().current_dir(root().join("firmware")).args(["fmt", "--all", "--check"]))
}

fn clippy(arguments: &Arguments) -> Result<()> {
    let mut command = cargo();
    command.current_dir(root()).args(["clippy", "--quiet", "--locked", "--profile", "checked", "--all-targets"]).args(packages(arguments));
    execute(command.args(["--", "-D", "warnings"]))
}

/// Machines that share an instruction set share all code but a clock rate, so one machine of each is enough.
fn clippy_firmware() -> Result<()> {
    for name in ["mps2-an385-m0", "mps2-an386", "mps3-an547", "riscv32imc-virt", "riscv32-virt"] {
        let Some(machine) = machines::find(name) else { bail!("unknown machine {name}") };
        let mut command = cargo_in_firmware("clippy", machine.backend);
        command.args(["--quiet", "--release", "--target", machine.target]);
        command.args(["--package", "attoformer-firmware", "--package", "attoformer-boards", "--package", "attoformer-slots"]);
        command.args(["--package", "attoformer-app", "--lib", "--bin", machine.program, "--bin", &format!("{}-link", machine.program)]);
        execute(command.args(["--", "-D", "warnings"]))?;
    }
    for board in TESTED_BOARDS {
        let mut command = cargo();
        command.current_dir(root().join("firmware/boards").join(board.name)).args(["clippy", "--quiet", "--release", "--locked"]);
        execute(command.arg("--target-dir").arg(firmware::target_dir()).args(["--", "-D", "warnings"]))?;
    }
    let mut command = cargo_in_firmware("clippy", None);
    command.args(["--quiet", "--release", "--target", nopanic::TARGET, "--package", "attoformer-nopanic"]);
    execute(command.args(["--", "-D", "warnings"]))?;
    let mut command = cargo_in_firmware("clippy", None);
    command.args(["--quiet", "--profile", "small", "--target", nopanic::TARGET, "--package", "attoformer-demos"]);
    execute(command.args(["--", "-D", "warnings"]))
}

/// Documents with the profile of `clippy`, whose metadata of the dependencies it reuses.
fn doc() -> Result<()> {
    let mut command = cargo();
    command.current_dir(root()).env("RUSTDOCFLAGS", "-D warnings");
    command.args(["doc", "--quiet", "--no-deps", "--profile", "checked", "--workspace"]);
    execute(command.args(["--exclude", "attoformer-train", "--exclude", "attoformer-probe"]))
}

fn deny() -> Result<Outcome> {
    if !is_installed("cargo-deny") {
        return Ok(Outcome::Skipped("cargo-deny is not installed"));
    }
    let check = |what: &[&str]| {
        let mut command = cargo();
        command.current_dir(root()).args(["deny", "--workspace", "check"]).args(what);
        command
    };
    execute(&mut check(&["bans", "licenses", "sources"]))?;
    let advisories = output(&mut check(&["advisories"]))?;
    let log = String::from_utf8_lossy(&advisories.stderr);
    eprint!("{log}");
    if advisories.status.success() {
        return Ok(Outcome::Passed(Tally { passed: 2, ..Tally::default() }));
    }
    if log.contains("failed to fetch advisory database") {
        eprintln!("skipped: the advisory database cannot be reached");
        return Ok(Outcome::Passed(Tally { passed: 1, skipped: 1, ..Tally::default() }));
    }
    bail!("an advisory applies to a dependency")
}

/// Boards that can be bought and whose firmware the tests run. `cargo xtask boards` builds the others, too, whose HALs take many minutes.
const TESTED_BOARDS: [&Board; 2] = [&boards::PICO, &boards::STM32F405];

fn build_firmware() -> Result<()> {
    MACHINES.iter().try_for_each(|machine| firmware::build(machine).map(|_| ()))?;
    for name in ["mps2-an386", "riscv32imc-virt", "riscv32imafc-virt"] {
        let Some(machine) = machines::find(name) else { bail!("unknown machine {name}") };
        firmware::build_link(&machine)?;
    }
    TESTED_BOARDS.into_iter().try_for_each(|board| firmware::build_board(board).map(|_| ()))
}

/// `atto` as the tests built it.
fn checked_atto() -> Result<PathBuf> {
    let mut command = cargo();
    command.current_dir(root()).args([
        "build",
        "--quiet",
        "--locked",
        "--profile",
        "checked",
        "--package",
        "attoformer-tools",
        "--bin",
        "atto",
    ]);
    execute(&mut command)?;
    Ok(demo::target_dir().join("checked/atto"))
}

fn demos() -> Result<Outcome> {
    if !demo::has_default_model() {
        return Ok(Outcome::Skipped("models/tales contains no model"));
    }
    let programs = [None, Some("story"), Some("words"), Some("tokens")];
    for program in programs {
        demo::run(&demo::Arguments::short(program, checked_atto()?))?;
    }
    Ok(Outcome::Passed(Tally { passed: programs.len() as u32, ..Tally::default() }))
}

fn tests(arguments: &Arguments) -> Result<Outcome> {
    if !is_installed("cargo-nextest") {
        let mut command = cargo();
        command.current_dir(root()).args(["test", "--locked", "--profile", "checked", "--no-fail-fast", "--all-targets"]);
        return tally::run(command.args(packages(arguments))).map(Outcome::Passed);
    }
    let nextest = |profile| {
        let mut command = cargo();
        command.current_dir(root()).args([
            "nextest",
            "run",
            "--locked",
            "--cargo-profile",
            "checked",
            "--no-fail-fast",
            "--profile",
            profile,
        ]);
        command.args(packages(arguments));
        command
    };
    let functions = tally::run(&mut nextest("default"))?;
    let timing = tally::run(&mut nextest("timing"))?;
    Ok(Outcome::Passed(functions.with_rest(timing)))
}

fn doctests(arguments: &Arguments) -> Result<Outcome> {
    let mut command = cargo();
    command.current_dir(root()).args(["test", "--locked", "--profile", "checked", "--doc"]).args(packages(arguments));
    tally::run(&mut command).map(Outcome::Passed)
}
