//! `cargo xtask nopanic`: proves that no public function of the engine can reach a panic.
//!
//! `firmware/nopanic` is linked with a panic handler that calls an undefined function. If the linker succeeds, the optimizer has removed every path
//! to the handler. If it fails, the program's assembly shows the callers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result, bail};
use xtask::{firmware, process::output, tally::Tally};

use super::steps::Outcome;

/// The target of the proof.
pub const TARGET: &str = "thumbv7em-none-eabihf";
/// The undefined function.
const MISSING: &str = "a_panic_can_be_reached";

#[derive(clap::Args)]
pub struct Arguments {
    /// Insert a panic and expect the link to fail
    #[arg(long)]
    plant: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.plant { planted() } else { clean() }
}

/// Checks the engine with each feature set, and that the proof finds an inserted panic.
pub fn check() -> Result<Outcome> {
    clean()?;
    planted()?;
    Ok(Outcome::Passed(Tally { passed: 2, ..Tally::default() }))
}

/// Links the engine unchanged.
fn clean() -> Result<()> {
    match link(false)? {
        Link::Succeeded => {
            eprintln!("nopanic: no panic is reachable in {TARGET} code");
            Ok(())
        }
        Link::PanicIn(holders) => bail!("a panic is reachable from:\n  {}", holders.join("\n  ")),
    }
}

/// Links the engine together with an inserted panic, to show that the proof can fail.
fn planted() -> Result<()> {
    match link(true)? {
        Link::Succeeded => bail!("a panic was inserted and the program still linked: the proof proves nothing"),
        Link::PanicIn(holders) => {
            eprintln!("nopanic: the inserted panic was found in {}", holders.join(", "));
            Ok(())
        }
    }
}

enum Link {
    Succeeded,
    /// Functions that call the panic functions of `core`.
    PanicIn(Vec<String>),
}

fn link(plant: bool) -> Result<Link> {
    let mut command = firmware::cargo_in_firmware("rustc", None);
    command.args(["--release", "--quiet", "--package", "attoformer-nopanic", "--target", TARGET]);
    if plant {
        command.args(["--features", "plant"]);
    }
    command.args(["--", "--emit=asm,link"]);
    let folder = firmware::target_dir().join(TARGET).join("release/deps");
    remove_assembly(&folder);
    let said = output(&mut command)?;
    if said.status.success() {
        return Ok(Link::Succeeded);
    }
    let errors = String::from_utf8_lossy(&said.stderr);
    if !errors.contains(MISSING) {
        bail!("firmware/nopanic does not build:\n{errors}");
    }
    let assembly = find_assembly(&folder).context("the compiler emitted no assembly to search")?;
    let assembly = fs::read_to_string(&assembly).with_context(|| format!("cannot read {}", assembly.display()))?;
    Ok(Link::PanicIn(holders(&assembly)))
}

fn assembly_files(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "s"))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("attoformer_nopanic")))
}

fn remove_assembly(folder: &Path) {
    for path in assembly_files(folder) {
        let _ = fs::remove_file(path);
    }
}

fn find_assembly(folder: &Path) -> Option<std::path::PathBuf> {
    assembly_files(folder).next()
}

/// Functions outside `core` from which a chain of calls leads to the undefined function, innermost first.
fn holders(assembly: &str) -> Vec<String> {
    let callers = callers(assembly);
    let mut open = vec![MISSING];
    let mut seen = BTreeSet::new();
    let mut holders = BTreeSet::new();
    while let Some(callee) = open.pop() {
        for &caller in callers.get(callee).into_iter().flatten() {
            if !seen.insert(caller) {
                continue;
            }
            let name = demangled(caller);
            if name.starts_with("core::") || name.contains("rust_begin_unwind") {
                open.push(caller);
            } else {
                holders.insert(format!("{name} (through {})", demangled(callee)));
            }
        }
    }
    holders.into_iter().collect()
}

/// Maps each function to its callers, from the branches in the assembly.
fn callers(assembly: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut callers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut function = "";
    for line in assembly.lines() {
        if let Some(label) = line.strip_suffix(':').filter(|label| !label.starts_with(['.', '\t', ' '])) {
            function = label;
        }
        let mut words = line.split_ascii_whitespace();
        if let (Some(branch), Some(callee)) = (words.next(), words.next())
            && branch.starts_with('b')
            && !callee.starts_with('.')
        {
            callers.entry(callee).or_default().insert(function);
        }
    }
    callers
}

/// Demangles a symbol name, without its hash.
fn demangled(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}
