//! The Python host that docs/link.md prints: the page describes the bytes well enough for another language.

use std::process::Command;

use attoformer_needs::needs;
use attoformer_protocol::boards::MPS2_AN386;
use attoformer_tests::atto::{finished, run_atto};
use serde_json::Value;
use xtask::emulation::{Emulation, build_for_qemu};
use xtask::process::root;

/// Lines that the script may take: whoever ports it reads all of them.
const LINES: usize = 60;

/// The script that the page prints.
fn script() -> String {
    let page = std::fs::read_to_string(root().join("docs/link.md")).expect("the page is in the repository");
    let (_, rest) = page.split_once("```python\n").expect("the page has a script");
    let (script, _) = rest.split_once("```").expect("the script ends");
    script.to_owned()
}

#[needs(python = "3.8", program = "qemu-system-arm")]
#[test]
fn the_python_host_of_the_page_streams_the_text_of_this_computer() {
    let script = script();
    assert!(script.lines().count() <= LINES, "{} lines", script.lines().count());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("link.py");
    std::fs::write(&file, script).expect("space for the file");

    let tales = root().join("models/tales/tales.atto");
    let elf = build_for_qemu(&MPS2_AN386).unwrap_or_else(|error| panic!("{error:#}"));
    let emulation = Emulation::qemu(&MPS2_AN386, &elf, &tales, 0).unwrap_or_else(|error| panic!("{error:#}"));
    // A prompt of one frame, and one of several with characters of several bytes. Each run is a session of its own.
    for prompt in ["Once upon a time".to_owned(), "A small dog – naïve – sat. ".repeat(9)] {
        let port = format!("127.0.0.1:{}", emulation.port);
        let told = finished(Command::new("python3").arg(&file).args([&port, &prompt, "12"]));
        assert_eq!(told.code, Some(0), "{told:?}");
        let own = run_atto(["run", tales.to_str().expect("a UTF-8 path"), "--prompt", &prompt, "-n", "12", "--json"]);
        let own: Value = serde_json::from_str(&own.stdout).unwrap_or_else(|error| panic!("{error}: {own:?}"));
        assert_eq!(Some(&*told.stdout), own["text"].as_str());
        let hash = own["output_hash"].as_str().expect("a hash");
        assert!(told.stderr.starts_with("board mps2-an386, engine ") && told.stderr.contains(&format!("output hash {hash}")), "{told:?}");
    }
}
