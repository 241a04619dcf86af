//! Ctrl-C in the middle of a write leaves nothing behind.
#![cfg(unix)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use attoformer_tools::import;
use attoformer_tools::pack::{self, Options};
use attoformer_tools::report::progress::Progress;
use common::Tiny;

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn an_interrupted_write_leaves_no_file() {
    let tiny = Tiny::new();
    let packed = pack::pack(&import::open(&tiny.source(), None).unwrap(), &Options::reference(), &Progress::silent()).unwrap();
    let (inputs, outputs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let image = inputs.path().join("tiny.atto");
    pack::write(&image, &packed).unwrap();
    let texts = inputs.path().join("texts.txt");
    std::fs::write(&texts, "a text that takes a while\n".repeat(1 << 20)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_atto"))
        .arg("embed")
        .arg(&image)
        .arg("--input")
        .arg(&texts)
        .arg("-o")
        .arg(outputs.path().join("rows.f32"))
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while entries(outputs.path()).is_empty() {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "the command creates its output");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(entries(outputs.path()), Vec::<PathBuf>::new());
}
