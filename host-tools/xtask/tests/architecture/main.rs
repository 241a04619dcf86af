//! The shape of the source tree: imports without cycles, short files, short parameter lists, the vocabulary of the field.
//!
//! `cargo test -p xtask --test architecture` checks all of it and lists every violation.

mod cycles;
mod source;
mod vocabulary;

use std::collections::{BTreeMap, BTreeSet};

use cycles::{Graph, describe};
use source::Crate;
use xtask::process::root;

/// Lines that a file of the engine may have.
const FILE_LINES: usize = 400;
/// Parameters that a function of the engine may have.
const PARAMETERS: usize = 6;

fn core() -> Crate {
    Crate::read(&root().join("core/src"))
}

/// The graph of top-level modules: each file stands for the module below the crate's root that holds it.
fn top_level(files: &Graph) -> Graph {
    let module = |file: &str| file.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
    let mut graph = Graph::new();
    for (file, targets) in files {
        let from = module(file);
        let targets: BTreeSet<String> = targets.iter().map(|target| module(target)).filter(|target| *target != from).collect();
        graph.entry(from).or_default().extend(targets);
    }
    graph
}

#[track_caller]
fn assert_no_cycle(graph: &Graph) {
    let found = describe(graph);
    assert!(found.is_empty(), "imports form cycles; move the shared items to a file that imports neither\n{found}");
}

#[test]
fn core_files_do_not_import_each_other_in_cycles() {
    assert_no_cycle(&core().imports());
}

#[test]
fn core_modules_do_not_import_each_other_in_cycles() {
    assert_no_cycle(&top_level(&core().imports()));
}

#[test]
fn host_files_do_not_import_each_other_in_cycles() {
    assert_no_cycle(&Crate::read(&root().join("host-tools/src")).imports());
}

#[test]
fn core_files_fit_the_limit() {
    let is_exempt = |path: &str| path.contains("tables") || path.contains("kernels/cortex_m/");
    let core = core();
    let long: Vec<String> = core
        .files
        .values()
        .filter(|file| file.lines > FILE_LINES && !is_exempt(&file.path.display().to_string()))
        .map(|file| format!("{}: {} lines", file.path.display(), file.lines))
        .collect();
    assert!(long.is_empty(), "files of core over {FILE_LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn core_functions_have_few_parameters() {
    let core = core();
    let mut wide = Vec::new();
    for file in core.files.values() {
        wide.extend(
            file.wide_functions(PARAMETERS).into_iter().map(|(name, count)| format!("{}: {name} has {count}", file.path.display())),
        );
    }
    assert!(wide.is_empty(), "functions of core with more than {PARAMETERS} parameters:\n{}", wide.join("\n"));
}

/// Public functions that `firmware/nopanic` does not call by themselves: internal ones, which other calls reach.
const NOT_IN_NOPANIC: [&str; 7] = ["golden_hash", "functions", "checksum", "crc32", "fill_twiddles", "is_supported", "real"];

#[test]
fn nopanic_calls_every_public_method() {
    let proof = std::fs::read_to_string(root().join("firmware/nopanic/src/main.rs")).expect("firmware/nopanic");
    let is_called = |name: &str| proof.contains(&format!("{name}(")) || NOT_IN_NOPANIC.contains(&name);
    let core = core();
    let mut missing = Vec::new();
    for file in core.files.values() {
        let path = file.path.display().to_string();
        let is_public = ["session/", "image/", "frontend/", "kernels/mod.rs", "kernels/set.rs", "kernels/layout.rs"]
            .iter()
            .any(|place| path.starts_with(place))
            || ["sampling.rs", "hash.rs", "features.rs", "tokenizer/mod.rs", "tokenizer/decode.rs", "tokenizer/stop.rs"].contains(&&*path)
            || ["memory/plan.rs", "memory/arena.rs"].contains(&&*path);
        if is_public {
            missing.extend(file.public_functions().filter(|name| !is_called(name)).map(|name| format!("{path}: {name}")));
        }
    }
    assert!(missing.is_empty(), "firmware/nopanic does not call:\n{}", missing.join("\n"));
}

#[test]
fn no_test_name_occurs_twice() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let lines = vocabulary::git_grep(&["-h", "-A3", "-E", r"^\s*#\[test\]", "--", "*.rs"]).unwrap_or_default();
    let mut is_test = false;
    for line in lines.lines().map(str::trim) {
        is_test |= line == "#[test]";
        if let Some(name) = line.strip_prefix("fn ").filter(|_| is_test) {
            let name = name.split('(').next().unwrap_or_default();
            places.entry(name.to_owned()).or_default().push(line.to_owned());
            is_test = false;
        }
    }
    assert!(places.len() > 400, "only {} tests were found", places.len());
    let twice: Vec<&String> = places.iter().filter(|(_, lines)| lines.len() > 1).map(|(name, _)| name).collect();
    assert!(twice.is_empty(), "several tests are called {twice:?}");
}
