//! docs/tutorial.md: its commands, as they are typed, print what the page shows.

mod tiny_llama;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use attoformer_needs::needs;
use attoformer_protocol::boards::PICO;
use attoformer_tests::atto::{atto, finished};
use tempfile::TempDir;
use xtask::emulation::{Emulation, Link};
use xtask::firmware::target_dir;
use xtask::process::root;

/// The port of the page; the test takes a free one.
const PORT: &str = "tcp:127.0.0.1:7000";
/// The one command that does not run as a process here, since it ends only when it is told to.
const EMULATE: &str = "cargo xtask emulate --board pico --uf2 pico.uf2 --serve tcp:7000";
/// Bytes of a UF2 block.
const BLOCK: usize = 512;

/// Commands of the page and the lines that it shows after them.
struct Step {
    commands: Vec<String>,
    shown: Vec<String>,
}

/// The steps of the page: each shell block, with the text block after it.
fn steps() -> Vec<Step> {
    let page = std::fs::read_to_string(root().join("docs/tutorial.md")).expect("the page is in the repository");
    let lines = |block: &str| block.lines().map(str::to_owned).collect();
    let step = |rest: &str| {
        let (commands, rest) = rest.split_once("```").expect("the block ends");
        let shown = rest.trim_start().strip_prefix("```text\n").and_then(|rest| rest.split_once("```")).expect("the page shows the output");
        Step { commands: lines(commands), shown: lines(shown.0) }
    };
    page.split("```sh\n").skip(1).map(step).collect()
}

/// Words of a command line; double quotes join words.
fn words(line: &str) -> Vec<String> {
    let part = |(number, part): (usize, &str)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    };
    line.split('"').enumerate().flat_map(part).collect()
}

/// A folder that the commands take for the checkout, so that their files do not go to the real one.
fn checkout() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["firmware", "models"] {
        std::os::unix::fs::symlink(root().join(name), folder.path().join(name)).expect("a link to the checkout");
    }
    folder
}

/// A command of `atto` in the folder. The firmware is built where other tests build it.
fn process(words: &[String], folder: &Path) -> Command {
    assert_eq!(words.first().map(String::as_str), Some("atto"), "{words:?}");
    let mut process = atto();
    process.current_dir(folder).env("CARGO_TARGET_DIR", target_dir()).args(&words[1..]);
    process
}

/// Whether a line is the shown one; `…` stands for anything.
fn is_shown(line: &str, shown: &str) -> bool {
    let parts: Vec<&str> = shown.split('…').collect();
    let [first, middle @ .., last] = &parts[..] else { return line == shown };
    let Some(rest) = line.strip_prefix(first) else { return false };
    let rest = middle.iter().try_fold(rest, |rest, part| rest.split_once(part).map(|(_, rest)| rest));
    rest.is_some_and(|rest| rest.ends_with(last))
}

/// Runs a step and compares its output.
fn run(step: &Step, folder: &Path, port: &str) {
    let fails = step.shown.first().is_some_and(|line| line.starts_with("error:"));
    let mut output = String::new();
    for command in &step.commands {
        let outcome = finished(&mut process(&words(&command.replace(PORT, port)), folder));
        assert_eq!(outcome.code, Some(i32::from(fails)), "{command}: {outcome:?}");
        output += &format!("{}\n{}\n", outcome.stdout, outcome.stderr);
    }
    for shown in &step.shown {
        assert!(output.lines().any(|line| is_shown(line, shown)), "{:?} should print\n{shown}\nbut printed\n{output}", step.commands);
    }
}

#[needs(program = "node")]
#[test]
fn the_road_of_the_tutorial_leads_to_an_updated_pico() {
    let folder = checkout();
    let mut board: Option<Emulation> = None;
    let mut ran = 0;
    for step in steps() {
        if step.commands == [EMULATE] {
            let emulation = Emulation::pico(&folder.path().join("pico.uf2"), Link::Uart, 0, &[]);
            board = Some(emulation.unwrap_or_else(|error| panic!("{error:#}")));
            continue;
        }
        let port = board.as_ref().map_or_else(|| PORT.to_owned(), |board| format!("tcp:127.0.0.1:{}", board.port));
        run(&step, folder.path(), &port);
        ran += step.commands.len();
    }
    assert!(board.is_some() && ran >= 10, "{ran} commands, with a board: {}", board.is_some());
}

/// Bytes at each address of a UF2 file.
fn contents(uf2: &[u8]) -> BTreeMap<u32, &[u8]> {
    let word = |block: &[u8], at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes"));
    uf2.chunks_exact(BLOCK).map(|block| (word(block, 12), &block[32..32 + word(block, 16) as usize])).collect()
}

#[test]
fn a_hugging_face_folder_becomes_a_file_for_the_pico() {
    let folder = checkout();
    tiny_llama::write(&folder.path().join("my-model"));
    for command in ["atto pack my-model --board pico -o model.atto", "atto flash --board pico model.atto --uf2 pico.uf2"] {
        let outcome = finished(&mut process(&words(command), folder.path()));
        assert_eq!(outcome.code, Some(0), "{command}: {outcome:?}");
    }
    let [image, uf2] = ["model.atto", "pico.uf2"].map(|name| std::fs::read(folder.path().join(name)).expect("it was written"));
    let contents = contents(&uf2);
    let slot: Vec<u8> = contents.range(PICO.models.slots[0]..).flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    assert!(slot.starts_with(&image), "the image is not in the first slot");
    assert!(contents.contains_key(&PICO.flash.start), "no firmware");
}
