//! Requests without a debug probe: chips, memory maps, refusals. Writing itself needs hardware and is not tested.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use attoformer_protocol::boards::{BOARDS, Flasher};
use tempfile::TempDir;

/// Runs the program with one segment of `bytes` bytes.
fn run(chip: &str, address: u32, bytes: usize, dry_run: bool) -> Output {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("0.bin");
    std::fs::write(&file, vec![0x5a; bytes]).unwrap();
    send(&format!(r#"{{"chip":"{chip}","dry_run":{dry_run},"segments":[{{"address":{address},"file":"{}"}}]}}"#, file.display()))
}

fn send(request: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atto-probe"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let last = stderr.lines().last().unwrap();
    assert!(last.starts_with("error: ") && words.iter().all(|word| last.contains(word)), "{stderr:?} lacks one of {words:?}");
}

/// The first byte of the program and the last one of the models are in the flash that probe-rs knows.
#[test]
fn the_flash_of_every_board_is_known() {
    let mut chips = 0;
    for board in BOARDS {
        let Flasher::Probe(chip) = board.flasher else { continue };
        for address in board.program_regions().map(|region| region.start).chain([board.models.slot_regions()[1].end() - 1000]) {
            let output = run(chip, address, 1000, true);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{chip}: {stderr}");
            assert!(stderr.contains("1000 bytes are in its flash"), "{chip}: {stderr}");
        }
        chips += 1;
    }
    assert!(chips >= 6);
}

#[test]
fn a_fake_probe_checks_the_flash_algorithm() {
    let output = run("STM32F405RG", 0x0804_0000, 150_000, true);
    assert!(String::from_utf8(output.stderr).unwrap().contains("covered by a flash algorithm"));
}

#[test]
fn unknown_chips_and_addresses_outside_flash_are_refused() {
    assert_refused(&run("RP2041", 0x1000_0000, 1, true), &["RP2041"]);
    assert_refused(&run("nRF52840_xxAA", 0x000f_ffff, 2, true), &["2 bytes at 0x000fffff", "nRF52840_xxAA"]);
    assert_refused(&run("STM32F405RG", 0x9000_0000, 4, true), &["0x90000000"]);
}

#[test]
fn broken_requests_are_refused() {
    assert_refused(&send("{}"), &["standard input is not a request"]);
    assert_refused(&send(r#"{"chip":"RP2040","dry_run":true,"segments":[{"address":268435456,"file":"/none/0.bin"}]}"#), &["/none/0.bin"]);
}
