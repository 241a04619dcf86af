//! `cargo xtask size`: program flash, statics and stack size of the demos, by target and feature set.
//!
//! Each row is built with the Cargo features that it names and nothing else. The image is built in for the measurement and is not part of `flash`.
//! The stack size is measured: the program runs in the emulator and reports its high-water mark.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use xtask::{
    emulator, firmware,
    machines::{self, Machine},
    process::root,
    program::Program,
};

const KIB: u64 = 1024;
/// Symbols that a missed limit lists.
const LISTED: usize = 25;

#[derive(clap::Args)]
pub struct Arguments {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Print a Markdown table of the flash that each Cargo feature of the engine adds to the smallest program
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// List this many of the largest symbols of each program
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "25", conflicts_with_all = ["json", "markdown"])]
    symbols: Option<usize>,
    /// Measure only this program
    #[arg(long, value_parser = ["story", "tokens", "words"])]
    program: Option<String>,
    /// Measure only this feature set: default, tales or minimal
    #[arg(long)]
    features: Option<String>,
}

/// One program to measure.
struct Build {
    /// The emulated machine that runs the program; its target is the row's target.
    machine: &'static str,
    program: &'static str,
    features: &'static str,
    /// Flash that the program may take.
    limit: Option<u64>,
}

/// The rows, and the limits that `cargo xtask test` checks. A limit is raised only with a reason in the CHANGELOG.
const BUILDS: [Build; 7] = [
    Build { machine: "mps2-an386", program: "story", features: "default", limit: Some(150 * KIB) },
    Build { machine: "mps2-an386", program: "story", features: "tales", limit: Some(72 * KIB) },
    Build { machine: "mps2-an386", program: "tokens", features: "minimal", limit: Some(40 * KIB) },
    Build { machine: "mps2-an386", program: "words", features: "tales", limit: None },
    Build { machine: "mps2-an385", program: "story", features: "tales", limit: None },
    Build { machine: "mps2-an385-m0", program: "story", features: "tales", limit: None },
    Build { machine: "mps2-an385-m0", program: "tokens", features: "minimal", limit: None },
];

/// One measured program.
#[derive(Serialize)]
struct Row {
    target: &'static str,
    program: &'static str,
    features: String,
    /// Bytes of flash without the image.
    flash: u64,
    /// Bytes of statics; the arena is one of them.
    statics: u64,
    /// Bytes of stack in use at the deepest point of a run.
    stack: u64,
    elf: PathBuf,
    #[serde(skip)]
    symbols: Vec<(String, u64)>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.markdown {
        return markdown();
    }
    let is_chosen = |build: &&Build| {
        arguments.program.as_deref().is_none_or(|program| program == build.program)
            && arguments.features.as_deref().is_none_or(|features| features == build.features)
    };
    let rows = BUILDS.iter().filter(is_chosen).map(measure).collect::<Result<Vec<_>>>()?;
    if rows.is_empty() {
        bail!("no program is measured with this feature set; `cargo xtask size` lists all of them");
    }
    if arguments.json {
        println!("{}", serde_json::json!({ "rows": rows }));
        return Ok(());
    }
    println!("{:<8} {:<8} {:<24} {:>9} {:>9} {:>9}", "program", "features", "target", "flash", "statics", "stack");
    for row in &rows {
        println!("{:<8} {:<8} {:<24} {:>9} {:>9} {:>9}", row.program, row.features, row.target, row.flash, row.statics, row.stack);
        if let Some(count) = arguments.symbols {
            println!("{}", largest(row, count));
        }
    }
    Ok(())
}

/// Fails when a program exceeds its limit, with the largest symbols, and when the smallest program formats anything.
pub fn check() -> Result<()> {
    let mut missed = Vec::new();
    for build in BUILDS.iter().filter(|build| build.limit.is_some()) {
        let row = measure(build)?;
        let limit = build.limit.unwrap_or(u64::MAX);
        eprintln!("{} with features {}: {} of {limit} bytes of flash", row.program, row.features, row.flash);
        if row.flash > limit {
            missed.push(format!(
                "{} with features {} takes {} bytes of flash, its limit is {limit}; the largest symbols:\n{}",
                row.program,
                row.features,
                row.flash,
                largest(&row, LISTED)
            ));
        }
        let formatting: Vec<&str> = row.symbols.iter().map(|(name, _)| name.as_str()).filter(|name| name.contains("fmt::")).collect();
        if row.program == "tokens" && !formatting.is_empty() {
            missed.push(format!("tokens contains formatting: {}", formatting.join(", ")));
        }
    }
    if !missed.is_empty() {
        bail!("{}", missed.join("\n"));
    }
    Ok(())
}

fn largest(row: &Row, count: usize) -> String {
    let lines: Vec<String> = row.symbols.iter().take(count).map(|(name, bytes)| format!("{bytes:>9}  {name}")).collect();
    lines.join("\n")
}

fn measure(build: &Build) -> Result<Row> {
    let machine = machines::find(build.machine).with_context(|| format!("no machine {}", build.machine))?;
    let mut row = build_row(&machine, build.program, build.features, &[])?;
    row.stack = stack_size(&machine, &row.elf)?;
    Ok(row)
}

/// Builds a demo with one of its feature sets and further features of the engine; the stack size stays 0.
fn build_row(machine: &Machine, program: &'static str, features: &str, engine: &[&str]) -> Result<Row> {
    eprintln!("size: {program} with {}, {}", [&[features], engine].concat().join(" and "), machine.target);
    let image = default_image();
    let image_bytes = fs::metadata(&image).with_context(|| format!("cannot read {}", image.display()))?.len();
    let built = firmware::build_demo(machine, program, &image, features, engine)?;
    let folder = firmware::target_dir().join("size");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let elf = folder.join(format!("{program}-{}-{}", [&[features], engine].concat().join("-"), machine.target));
    fs::copy(&built, &elf).with_context(|| format!("cannot write {}", elf.display()))?;
    let measured = Program::read(&elf)?;
    // The image is the one symbol of exactly its size.
    let symbols = measured.symbols.into_iter().filter(|(_, bytes)| *bytes != image_bytes).collect();
    let features = features.to_owned();
    Ok(Row {
        target: machine.target,
        program,
        features,
        flash: measured.flash - image_bytes,
        statics: measured.statics,
        stack: 0,
        elf,
        symbols,
    })
}

fn default_image() -> PathBuf {
    root().join("models/tales/tales.atto")
}

/// Runs the program and reads the stack size from the line that every demo ends with.
fn stack_size(machine: &Machine, elf: &Path) -> Result<u64> {
    let said = emulator::capture_log(machine, elf)?;
    let reported = said.lines().rev().find_map(|line| line.strip_prefix("stack: ")?.strip_suffix(" bytes")?.parse().ok());
    reported.with_context(|| format!("{} did not report its stack size", elf.display()))
}

/// Prints what each feature of the engine adds to the smallest program.
fn markdown() -> Result<()> {
    let machine = machines::find(BUILDS[0].machine).context("no machine for the table")?;
    let smallest = build_row(&machine, "tokens", "minimal", &[])?;
    println!("| Cargo feature | flash, bytes |\n|---|---:|");
    println!("| `int8`, `kv-int8` (the smallest decoder) | {} |", smallest.flash);
    for feature in firmware::engine_features()? {
        let row = build_row(&machine, "tokens", "minimal", &[&feature])?;
        if row.flash != smallest.flash {
            println!("| `{feature}` | +{} |", row.flash.saturating_sub(smallest.flash));
        }
    }
    Ok(())
}
