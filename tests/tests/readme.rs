//! The commands of README.md work as they are printed, on a small model with random weights.

mod tiny_llama;

use std::path::Path;
use std::process::Command;

use attoformer_needs::needs;
use attoformer_tests::atto::{atto, finished};
use serde_json::Value;
use xtask::process::{cargo, root};

/// The README's name of the model's folder and image.
const MODEL: &str = "my-model";

/// Commands of the first shell block after this heading.
fn commands(heading: &str) -> Vec<Vec<String>> {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README is readable");
    let (_, section) = readme.split_once(heading).unwrap_or_else(|| panic!("README.md has no heading {heading}"));
    let (_, block) = section.split_once("```sh\n").expect("the section has a shell block");
    let (block, _) = block.split_once("```").expect("the block ends");
    block.lines().map(words).collect()
}

/// Words of a command line; double quotes join words.
fn words(line: &str) -> Vec<String> {
    let part = |(number, part): (usize, &str)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    };
    line.split('"').enumerate().flat_map(part).collect()
}

/// The README's command as a process in the folder of the model.
fn process(command: &[String], folder: &Path) -> Command {
    let arguments = command.iter().skip(1).map(|word| match word.strip_prefix(MODEL) {
        Some(rest) => folder.join(MODEL).display().to_string() + rest,
        None => word.clone(),
    });
    let mut process = match command.first().map(String::as_str) {
        Some("atto") => atto(),
        Some("cargo") => cargo(),
        other => panic!("README.md runs {other:?}"),
    };
    process.current_dir(root()).args(arguments);
    process
}

#[needs(program = "qemu-system-arm")]
#[test]
fn own_models_run_on_this_computer_and_on_a_board_as_the_readme_shows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    tiny_llama::write(&folder.path().join(MODEL));

    let commands = commands("## Bring your own model");
    let programs: Vec<String> = commands.iter().map(|command| command[..2].join(" ")).collect();
    assert_eq!(programs, ["atto pack", "atto info", "atto run", "cargo xtask"]);
    let mut hashes = Vec::new();
    for (command, program) in commands.iter().zip(programs) {
        let outcome = finished(&mut process(command, folder.path()));
        assert_eq!(outcome.code, Some(0), "{program}: {}", outcome.stderr);
        if program == "atto run" || program == "cargo xtask" {
            let outcome = finished(process(command, folder.path()).arg("--json"));
            let answer: Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{program}: {error}: {outcome:?}"));
            hashes.push(answer["output_hash"].as_str().map(str::to_owned));
        }
    }
    assert!(matches!(&hashes[..], [Some(here), Some(board)] if here == board), "{hashes:?}");
}
