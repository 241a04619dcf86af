//! `cargo xtask nopanic`: proves that no panic path is reachable from opening an image to choosing a token.
//!
//! `firmware/nopanic` is linked with a panic handler that calls a function nobody defines. When the linker succeeds, the
//! optimiser has removed every way to the handler. When it fails, the program's assembly says who calls it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context, Result, bail};
use xtask::{firmware, process::output};

/// The code that is looked at.
pub const TARGET: &str = "thumbv7em-none-eabihf";
/// The function that does not exist.
const MISSING: &str = "a_panic_can_be_reached";

#[derive(clap::Args)]
pub struct Arguments {
    /// Plant a panic and expect the link to fail
    #[arg(long)]
    plant: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.plant { planted() } else { clean() }
}

/// Links the engine as it is.
pub fn clean() -> Result<()> {
    match link(false)? {
        Link::Succeeded => {
            eprintln!("nopanic: no panic can be reached in {TARGET} code");
            Ok(())
        }
        Link::PanicIn(holders) => bail!("a panic can be reached from:\n  {}", holders.join("\n  ")),
    }
}

/// Links the engine with a panic planted beside it, to see that the proof can fail.
pub fn planted() -> Result<()> {
    match link(true)? {
        Link::Succeeded => bail!("a panic was planted and the program linked all the same: the proof proves nothing"),
        Link::PanicIn(holders) => {
            eprintln!("nopanic: the planted panic was found in {}", holders.join(", "));
            Ok(())
        }
    }
}

enum Link {
    Succeeded,
    /// Functions that call the panic machinery.
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
        bail!("the program for the proof does not build:\n{errors}");
    }
    let assembly = find_assembly(&folder).context("the compiler left no assembly to search")?;
    let assembly = fs::read_to_string(&assembly).with_context(|| format!("{} cannot be read", assembly.display()))?;
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

/// The functions outside `core` from which a chain of calls leads to the missing function, innermost first.
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
            let name = readable(caller);
            if name.starts_with("core::") || name.contains("rust_begin_unwind") {
                open.push(caller);
            } else {
                holders.insert(format!("{name} (through {})", readable(callee)));
            }
        }
    }
    holders.into_iter().collect()
}

/// Who branches to whom, from the text of the assembly.
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

/// A mangled name as the path that it stands for, without its hash.
fn readable(symbol: &str) -> String {
    format!("{:#}", rustc_demangle::demangle(symbol))
}
