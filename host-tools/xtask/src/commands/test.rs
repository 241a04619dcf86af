//! `cargo xtask test`: everything that proves the repository, step by step, until one fails.

use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use xtask::{
    firmware::{self, cargo_in_firmware},
    machines::MACHINES,
    process::{cargo, is_installed, output, root, run as execute},
    tally::{self, Failed, Tally},
};

use super::{bench, demo, nopanic, setup};

#[derive(clap::Args)]
pub struct Arguments {
    /// Run only these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these steps out
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<String>,
    /// Check the training crate as well; its framework takes minutes to build
    #[arg(long)]
    train: bool,
    /// Print the steps and do nothing
    #[arg(long)]
    list: bool,
}

/// One thing to prove.
struct Step {
    name: &'static str,
    proves: &'static str,
    run: fn(&Arguments) -> Result<Outcome>,
}

/// How a step that did not fail went.
enum Outcome {
    /// Everything passed; the tests in it were counted.
    Passed(Tally),
    /// Nothing was run, for this reason.
    Skipped(&'static str),
}

const STEPS: [Step; 12] = [
    Step { name: "setup", proves: "targets and emulators are there", run: |_| passed(setup::run()) },
    Step { name: "format", proves: "rustfmt would change nothing", run: |_| passed(format()) },
    Step { name: "clippy", proves: "no lint speaks, host", run: |arguments| passed(clippy(arguments)) },
    Step { name: "clippy-firmware", proves: "no lint speaks, every machine", run: |_| passed(clippy_firmware()) },
    Step { name: "doc", proves: "the documentation builds and links", run: |_| passed(doc()) },
    Step { name: "deny", proves: "licences and advisories of dependencies", run: |_| deny() },
    Step { name: "firmware", proves: "the program builds for every machine", run: |_| passed(build_firmware()) },
    Step { name: "kernels", proves: "Cortex-M kernels equal the specification on the chip", run: |_| passed(bench::conformance()) },
    Step { name: "nopanic", proves: "no panic can be reached, and a planted one is found", run: |_| passed(no_panic()) },
    Step { name: "tests", proves: "unit and whole-system tests", run: tests },
    Step { name: "demo", proves: "the demo runs, and the programs with the image built in", run: |_| demos() },
    Step { name: "doctests", proves: "the examples in the documentation", run: doctests },
];

pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(name) = arguments.only.iter().chain(&arguments.skip).find(|name| !STEPS.iter().any(|step| step.name == **name)) {
        bail!("there is no step {name}; the steps are {}", STEPS.map(|step| step.name).join(", "));
    }
    let chosen = |step: &&Step| {
        (arguments.only.is_empty() || arguments.only.iter().any(|name| name == step.name))
            && !arguments.skip.iter().any(|name| name == step.name)
    };
    if arguments.list {
        STEPS.iter().filter(chosen).for_each(|step| println!("{:<16}{}", step.name, step.proves));
        return Ok(());
    }
    let mut table = Vec::new();
    let mut total = Tally::default();
    let mut failure = None;
    for step in STEPS.iter().filter(chosen) {
        eprintln!("\n== {}: {}", step.name, step.proves);
        let start = Instant::now();
        let result = (step.run)(arguments);
        let seconds = start.elapsed().as_secs_f64();
        let (word, note) = match &result {
            Ok(Outcome::Passed(tally)) => ("passed", tally.passed.to_string()),
            Ok(Outcome::Skipped(why)) => ("skipped", (*why).to_owned()),
            Err(_) => ("FAILED", String::new()),
        };
        table.push(format!("{:<16}{word:<9}{seconds:>7.1} s  {note}", step.name));
        match result {
            Ok(Outcome::Passed(tally)) => total += tally,
            Ok(Outcome::Skipped(_)) => {}
            Err(error) => {
                total += error.downcast_ref::<Failed>().map(|failed| failed.0).unwrap_or(Tally { passed: 0, failed: 1 });
                failure = Some(anyhow!("step {}: {error:#}", step.name));
                break;
            }
        }
    }
    println!("\n{}\n", table.join("\n"));
    println!("{} passed, {} failed", total.passed, total.failed);
    failure.map_or(Ok(()), Err)
}

/// A step that is one check.
fn passed(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Passed(Tally { passed: 1, failed: 0 }))
}

/// Arguments that choose the packages of the root workspace.
fn packages(arguments: &Arguments) -> &'static [&'static str] {
    if arguments.train { &["--workspace"] } else { &["--workspace", "--exclude", "attoformer-train"] }
}

fn format() -> Result<()> {
    execute(cargo().current_dir(root()).args(["fmt", "--all", "--check"]))?;
    execute(cargo().current_dir(root().join("firmware")).args(["fmt", "--all", "--check"]))
}

fn clippy(arguments: &Arguments) -> Result<()> {
    let mut command = cargo();
    command.current_dir(root()).args(["clippy", "--quiet", "--profile", "checked", "--all-targets"]).args(packages(arguments));
    execute(command.args(["--", "-D", "warnings"]))
}

fn clippy_firmware() -> Result<()> {
    for machine in &MACHINES {
        let mut command = cargo_in_firmware("clippy", machine.backend);
        command.args(["--quiet", "--release", "--target", machine.target]);
        command.args(["--package", "attoformer-protocol", "--package", "attoformer-firmware", "--package", "attoformer-boards"]);
        command.args(["--lib", "--bin", machine.program]);
        execute(command.args(["--", "-D", "warnings"]))?;
    }
    let mut command = cargo_in_firmware("clippy", None);
    command.args(["--quiet", "--release", "--target", nopanic::TARGET, "--package", "attoformer-nopanic"]);
    execute(command.args(["--", "-D", "warnings"]))
}

fn doc() -> Result<()> {
    let mut command = cargo();
    command.current_dir(root()).env("RUSTDOCFLAGS", "-D warnings");
    execute(command.args(["doc", "--quiet", "--no-deps", "--workspace", "--exclude", "attoformer-train"]))
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
    let said = String::from_utf8_lossy(&advisories.stderr);
    eprint!("{said}");
    if !advisories.status.success() && said.contains("failed to fetch advisory database") {
        eprintln!("skipped: advisories, because their database cannot be reached from here");
    } else if !advisories.status.success() {
        bail!("an advisory stands against a dependency");
    }
    passed(Ok(()))
}

fn build_firmware() -> Result<()> {
    MACHINES.iter().try_for_each(|machine| firmware::build(machine).map(|_| ()))
}

fn no_panic() -> Result<()> {
    nopanic::clean()?;
    nopanic::planted()
}

fn demos() -> Result<Outcome> {
    if !demo::has_default_model() {
        return Ok(Outcome::Skipped("models/tales holds no model"));
    }
    demo::run(&demo::Arguments::short(None))?;
    demo::run(&demo::Arguments::short(Some("story")))?;
    demo::run(&demo::Arguments::short(Some("words")))?;
    Ok(Outcome::Passed(Tally { passed: 3, failed: 0 }))
}

fn tests(arguments: &Arguments) -> Result<Outcome> {
    let mut command = cargo();
    command.current_dir(root());
    if is_installed("cargo-nextest") {
        command.args(["nextest", "run", "--cargo-profile", "checked", "--no-fail-fast"]);
    } else {
        command.args(["test", "--profile", "checked", "--no-fail-fast", "--all-targets"]);
    }
    command.args(packages(arguments));
    tally::run(&mut command).map(Outcome::Passed)
}

fn doctests(arguments: &Arguments) -> Result<Outcome> {
    let mut command = cargo();
    command.current_dir(root()).args(["test", "--profile", "checked", "--doc"]).args(packages(arguments));
    tally::run(&mut command).map(Outcome::Passed)
}
