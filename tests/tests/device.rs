//! `atto device` on emulated boards: every subcommand, with the values of this computer, on a Cortex-M4F (QEMU) and on the Pico (rp2040js).

use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer::image::checksum;
use attoformer_needs::needs;
use attoformer_protocol::boards::{MPS2_AN386, PICO, RISCV32IMAFC_VIRT, RISCV32IMC_VIRT, STM32F405};
use attoformer_protocol::link::message::End;
use attoformer_tests::atto::{Outcome, run_atto};
use attoformer_tests::board::{image, line::Faulty};
use attoformer_tests::hostile::images;
use attoformer_tools::device::requests::{InputData, Sampling};
use attoformer_tools::device::transport::open;
use attoformer_tools::device::{Client, upload::upload};
use serde_json::Value;
use tempfile::TempDir;
use xtask::emulation::{Emulation, Link, build_for_qemu};
use xtask::firmware::build_board;
use xtask::process::root;

/// A running board, and the files of its test.
struct Device {
    emulation: Emulation,
    folder: TempDir,
}

impl Device {
    fn atto(&self, args: &[&str]) -> Outcome {
        let port = format!("tcp:127.0.0.1:{}", self.emulation.port);
        run_atto([&["device", "--port", &port], args].concat())
    }

    /// The JSON object of a subcommand.
    fn json(&self, args: &[&str]) -> Value {
        json(&self.atto(&[args, &["--json"]].concat()))
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("space for the file");
        path.to_str().expect("a UTF-8 path").to_owned()
    }
}

fn json(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

/// The JSON object of a command on this computer.
fn here(args: &[&str]) -> Value {
    json(&run_atto([args, &["--json"]].concat()))
}

fn tales() -> PathBuf {
    root().join("models/tales/tales.atto")
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

fn on_qemu(board: &'static attoformer_protocol::boards::Board) -> Device {
    let elf = build_for_qemu(board).unwrap_or_else(|error| panic!("{error:#}"));
    let emulation = Emulation::qemu(board, &elf, &tales(), 0).unwrap_or_else(|error| panic!("{error:#}"));
    Device { emulation, folder: tempfile::tempdir().expect("a temporary folder") }
}

/// The Pico with the UF2 file that `atto flash` writes.
fn pico(link: Link) -> Device {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let elf = build_board(&PICO).unwrap_or_else(|error| panic!("{error:#}"));
    let uf2 = folder.path().join("pico.uf2");
    let tales = tales();
    let flash = ["flash", "--board", "pico", path(&tales), "--firmware", path(&elf), "--uf2", path(&uf2), "--json"];
    json(&run_atto(flash));
    let emulation = Emulation::pico(&uf2, link, 0, &[]).unwrap_or_else(|error| panic!("{error:#}"));
    Device { emulation, folder }
}

/// Every subcommand but `provision`, which cannot be undone.
fn whole_list(device: &Device, name: &str) {
    let info = device.json(&["info"]);
    assert_eq!((&info["board"], &info["slots"][0]["state"]), (&name.into(), &"running".into()), "{info}");
    assert!(info["features"].as_array().is_some_and(|features| features.iter().any(|feature| feature == "int8")), "{info}");
    assert_eq!(device.json(&["selftest"])["passed"], true);
    tells_as_here(device);
    looks_inside(device);
    takes_other_models(device);
    refuses(device);
}

/// Greedy and sampled texts have this computer's tokens and bits.
fn tells_as_here(device: &Device) {
    let tales = tales();
    let sampled = ["--tokens-in", "1,300,290", "-n", "6", "--temperature", "0.9", "--top-k", "20", "--top-p", "0.95", "--seed", "7"];
    for args in [&["--prompt", "Once upon a time", "-n", "6"][..], &sampled] {
        let (board, own) = (device.json(&[&["run"], args].concat()), here(&[&["run", path(&tales)], args].concat()));
        for field in ["tokens", "text", "output_hash"] {
            assert_eq!(board[field], own[field], "{field} of {args:?}");
        }
    }
    says(device, &["run", "--prompt", &"word ".repeat(400)], "context");
    says(device, &["run", "--tokens-in", "4000000"], "vocabulary");
    says(device, &["embed", "--text", "a"], "does not support");
}

/// Checks the sentence in which a subcommand is refused. Lines of progress may precede it.
fn says(device: &Device, args: &[&str], words: &str) {
    let outcome = device.atto(args);
    let sentence = outcome.stderr.lines().last().and_then(|line| line.strip_prefix("error: "));
    assert!(outcome.code == Some(1) && outcome.stdout.is_empty(), "{args:?}: {outcome:?}");
    assert!(sentence.is_some_and(|sentence| sentence.contains(words)), "{args:?}: {outcome:?}");
}

/// Times, attention and log.
fn looks_inside(device: &Device) {
    let bench = device.json(&["bench"]);
    let shares = bench["model"]["per_op"].as_array().expect("operators").iter().map(|op| op["share"].as_f64().expect("a share"));
    assert!((shares.sum::<f64>() - 1.0).abs() < 1e-6, "{bench}");
    let attention = device.json(&["attention", "--tokens-in", "1,300,290,261", "--layer", "1", "--head", "0"]);
    let rows = attention["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    for (query, row) in rows.iter().enumerate() {
        let weights = row["weights"].as_array().expect("weights").iter().map(|weight| weight.as_f64().expect("a number"));
        assert_eq!(weights.clone().count(), query + 1, "a decoder sees what precedes");
        assert!((weights.sum::<f64>() - 1.0).abs() < 1e-5);
    }
    let lines = device.json(&["logs"])["lines"].to_string();
    assert!(lines.contains("slot 0 runs"), "{lines}");
}

/// An encoder and two classifiers are uploaded and compute this computer's values.
fn takes_other_models(device: &Device) {
    let images = images::all();
    let (_, keywords) = images.iter().find(|(name, _)| name == "mfcc").expect("an image that reads sound");
    let words = |family: &str| images::packed(&images::reading(family, images::words()));
    let encoder = device.file("encoder.atto", &words("bert"));
    let uploaded = device.json(&["upload", &encoder]);
    assert_eq!((&uploaded["slot"], &uploaded["resumed_at"]), (&1.into(), &0.into()), "{uploaded}");
    let repeated = device.atto(&["upload", &encoder]);
    let is_slow = repeated.stderr.contains("packed for another processor");
    assert_eq!((repeated.code, is_slow), (Some(0), !device.json(&["info"])["slots"][0]["fast_layout"].as_bool().expect("a bool")));
    let text = ["--text", "the low", "--text", "a lower owl"];
    assert_eq!(
        device.json(&[&["embed"], &text[..]].concat())["embeddings"],
        here(&[&["embed", &encoder], &text[..]].concat())["embeddings"]
    );

    let clip = clip(device);
    for (name, image, args) in [("keywords", keywords, ["--input", &clip]), ("sentences", &words("sentences"), ["--text", "the low"])] {
        let classifier = device.file(&format!("{name}.atto"), image);
        device.json(&["upload", &classifier]);
        let (board, own) = (device.json(&[&["classify"], &args[..]].concat()), here(&[&["classify", &classifier], &args[..]].concat()));
        assert_eq!(board["labels"], own["labels"], "{name}");
    }
    let running = device.json(&["info"])["running"].as_u64().expect("a model runs");
    let erased = device.json(&["erase", &running.to_string()]);
    assert_eq!(erased["running"], 1 - running, "the other model runs");
}

/// Every refusal is one sentence, and the board answers after it.
fn refuses(device: &Device) {
    let whole = std::fs::read(tales()).expect("the image is in the repository");
    let large = device.file("large.atto", &image(1, 0));
    says(device, &["upload", &device.file("half.atto", &whole[..whole.len() / 2])], "half.atto");
    says(device, &["upload", &device.file("text.atto", b"no image")], "text.atto");
    says(device, &["upload", "missing.atto"], "no such file");
    says(device, &["upload", &large, "--min-version", "3"], "least version");
    // An encoder runs now.
    says(device, &["run", "--tokens-in", "1"], "does not support text generation");
    device.json(&["info"]);
}

/// 300 samples of noise at 8,000 Hz.
fn clip(device: &Device) -> String {
    let samples: Vec<u8> = (0..300_u32).flat_map(|at| ((at * at * 37) as i16).to_le_bytes()).collect();
    let header = [&b"RIFF"[..], &(36 + samples.len() as u32).to_le_bytes(), b"WAVEfmt \x10\0\0\0\x01\0\x01\0"].concat();
    let rest = [&8000_u32.to_le_bytes()[..], &16000_u32.to_le_bytes(), b"\x02\0\x10\0data", &(samples.len() as u32).to_le_bytes()].concat();
    device.file("clip.wav", &[header, rest, samples].concat())
}

#[needs(program = "qemu-system-arm")]
#[test]
fn every_subcommand_works_on_an_emulated_cortex_m4f() {
    whole_list(&on_qemu(&MPS2_AN386), "mps2-an386");
}

#[needs(program = "node")]
#[test]
fn every_subcommand_works_on_the_pico_over_its_uart() {
    whole_list(&pico(Link::Uart), "pico");
}

#[needs(program = "qemu-system-arm", program = "qemu-system-riscv32")]
#[test]
fn other_emulated_boards_tell_the_same_story() {
    let own = here(&["run", path(&tales()), "--prompt", "Once upon a time", "-n", "8"]);
    for board in [&RISCV32IMC_VIRT, &RISCV32IMAFC_VIRT, &STM32F405] {
        let device = on_qemu(board);
        assert_eq!(device.json(&["info"])["board"], board.name);
        let told = device.json(&["run", "--prompt", "Once upon a time", "-n", "8"]);
        assert_eq!((&told["text"], &told["output_hash"]), (&own["text"], &own["output_hash"]), "{}", board.name);
        if board.name == STM32F405.name {
            // QEMU has no flash controller for this chip: the fault is named, and the model runs on.
            says(&device, &["upload", &device.file("model.atto", &image(1, 0))], "flash");
            device.json(&["selftest"]);
        }
    }
}

#[needs(program = "qemu-system-arm")]
#[test]
fn with_a_key_only_signed_models_run() {
    let device = on_qemu(&MPS2_AN386);
    let (key, other) = (device.folder.path().join("key"), device.folder.path().join("other"));
    for key in [&key, &other] {
        assert_eq!(run_atto(["keygen", "-o", path(key)]).code, Some(0));
    }
    let public = format!("{}.pub", path(&key));
    let model = device.file("model.atto", &image(1, 0));
    let provisioned = device.json(&["provision", "--key", &public]);
    assert_eq!(provisioned["running"], Value::Null, "the model on the board is not signed");
    says(&device, &["run", "--tokens-in", "1"], "no model");
    says(&device, &["upload", &model], "not signed");
    assert_eq!(run_atto(["sign", &model, "--key", path(&other)]).code, Some(0));
    says(&device, &["upload", &model], "another key");
    says(&device, &["provision", "--key", &format!("{}.pub", path(&other))], "another key");
    assert_eq!(run_atto(["sign", &model, "--key", path(&key)]).code, Some(0));
    device.json(&["upload", &model]);
    assert_eq!(device.json(&["selftest"])["passed"], true);
}

#[needs(program = "qemu-system-arm")]
#[test]
fn two_uploads_end_right_on_a_line_with_one_percent_of_faulty_bytes() {
    let device = on_qemu(&MPS2_AN386);
    let port = format!("tcp:127.0.0.1:{}", device.emulation.port);
    for seed in 1..=2_u16 {
        let line = Faulty::new(open(&port).expect("the port is open"), 10, seed.into());
        let mut board = Client::connect(line, &port, seed).expect("the board answers");
        let bytes = image(seed.into(), 0);
        upload(&mut board, &Image::new(&bytes).expect("a whole image"), None, |_| {}).unwrap_or_else(|error| panic!("{error}"));
        let running = board.hello().expect("the board answers").running.expect("a model runs");
        assert_eq!(board.slot(running).expect("the board answers").checksum, checksum(&[&bytes]));
    }
}

#[needs(program = "qemu-system-arm")]
#[test]
fn a_generation_ends_when_the_host_cancels_it() {
    let device = on_qemu(&MPS2_AN386);
    let port = format!("tcp:127.0.0.1:{}", device.emulation.port);
    let mut board = Client::connect(open(&port).expect("the port is open"), &port, 1).expect("the board answers");
    let sampling = Sampling { limit: u32::MAX, temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0, seed: 0 };
    let mut pieces = 0;
    let told = board.generate(InputData::Text("Once upon a time"), &sampling, |_| {
        pieces += 1;
        pieces < 3
    });
    let told = told.expect("the board answers");
    assert_eq!(told.done.end, End::Cancelled);
    assert!(told.tokens.len() < 60, "{} tokens", told.tokens.len());
    board.hello().expect("the board answers");
}

#[needs(program = "qemu-system-arm")]
#[test]
fn a_port_that_another_program_uses_is_named() {
    let device = on_qemu(&MPS2_AN386);
    let other = std::net::TcpStream::connect(("127.0.0.1", device.emulation.port)).expect("the port is open");
    let outcome = device.atto(&["info"]);
    assert!(outcome.refusal().expect("one sentence").contains("another program"), "{outcome:?}");
    drop(other);
    device.json(&["info"]);
    let nobody = run_atto(["device", "--port", "tcp:127.0.0.1:1", "info"]);
    assert!(nobody.refusal().expect("one sentence").contains("tcp:127.0.0.1:1"), "{nobody:?}");
}
