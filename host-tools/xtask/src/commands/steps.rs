//! Runs named checks in order until one fails, and closes with a table and the number of tests.

use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use xtask::tally::{Failed, Tally};

#[derive(clap::Args)]
pub struct Arguments {
    /// Run only these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Skip these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<String>,
    /// Also check the training crate, whose framework takes minutes to build
    #[arg(long)]
    pub train: bool,
    /// List the steps and exit
    #[arg(long)]
    list: bool,
}

/// One check.
pub struct Step {
    /// Name for `--only` and `--skip`.
    pub name: &'static str,
    /// The promise that the step checks.
    pub promise: &'static str,
    /// The check.
    pub run: fn(&Arguments) -> Result<Outcome>,
}

/// Result of a step that did not fail.
pub enum Outcome {
    /// All tests of the step passed or were skipped.
    Passed(Tally),
    /// Nothing ran, for this reason.
    Skipped(&'static str),
}

/// Counts a step that is a single check.
pub fn single(result: Result<()>) -> Result<Outcome> {
    result.map(|()| Outcome::Passed(Tally { passed: 1, ..Tally::default() }))
}

/// Runs the chosen steps.
///
/// # Errors
/// An unknown step name, or the first failure.
pub fn run(steps: &[Step], arguments: &Arguments) -> Result<()> {
    if let Some(name) = arguments.only.iter().chain(&arguments.skip).find(|name| !steps.iter().any(|step| step.name == **name)) {
        let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
        bail!("unknown step {name}; the steps are {}", names.join(", "));
    }
    let is_chosen = |step: &&Step| {
        let is_named = |names: &[String]| names.iter().any(|name| name == step.name);
        (arguments.only.is_empty() || is_named(&arguments.only)) && !is_named(&arguments.skip)
    };
    if arguments.list {
        steps.iter().filter(is_chosen).for_each(|step| println!("{:<16}{}", step.name, step.promise));
        return Ok(());
    }
    let start = Instant::now();
    let (mut table, mut total, mut failure) = (Vec::new(), Tally::default(), None);
    for step in steps.iter().filter(is_chosen) {
        eprintln!("\n== {}: {}", step.name, step.promise);
        let start = Instant::now();
        let result = (step.run)(arguments);
        let seconds = start.elapsed().as_secs_f64();
        let (word, note) = match &result {
            Ok(Outcome::Passed(tally)) => ("passed", tally.to_string()),
            Ok(Outcome::Skipped(reason)) => ("skipped", (*reason).to_owned()),
            Err(_) => ("FAILED", String::new()),
        };
        table.push(format!("{:<16}{word:<9}{seconds:>7.1} s  {note}", step.name));
        match result {
            Ok(Outcome::Passed(tally)) => total += tally,
            Ok(Outcome::Skipped(_)) => total.skipped += 1,
            Err(error) => {
                total += error.downcast_ref::<Failed>().map_or(Tally { failed: 1, ..Tally::default() }, |failed| failed.0);
                failure = Some(anyhow!("step {}: {error:#}", step.name));
                break;
            }
        }
    }
    println!("\n{}\n\n{:<25}{:>7.1} s\n", table.join("\n"), "all steps", start.elapsed().as_secs_f64());
    println!("{total}");
    failure.map_or(Ok(()), Err)
}
