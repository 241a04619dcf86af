//! The Raspberry Pi Pico's firmware on rp2040js, started from the UF2 file that a user would copy to the board.
//!
//! `ATTOFORMER_FULL=1` cuts power 50 times instead of 4.

use attoformer::image::KvType;
use attoformer::{Image, Limits, Sampler, Session, arena_bytes};
use attoformer_needs::needs;
use attoformer_protocol::boards::PICO;
use attoformer_protocol::link::message::End;
use attoformer_tests::random_model::{Numbers, RandomModel};
use attoformer_tools::device::requests::{InputData, Sampling};
use attoformer_tools::device::transport::{Transport, open};
use attoformer_tools::device::{Client, DeviceError, upload};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::flash::{Plan, Program, encode_uf2};
use attoformer_tools::quantize::Format;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use xtask::emulation::{Emulation, Link};
use xtask::firmware::build_board;
use xtask::process::root;

/// Exit status of the runner after a power cut.
const CUT: i32 = 75;
/// Greedy, so that the output is determined.
const GREEDY: Sampling = Sampling { limit: 8, temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0, seed: 0 };

type Board = Client<Box<dyn Transport>>;

/// The UF2 file with the firmware and an image, in a folder.
fn uf2(folder: &Path, image: &[u8]) -> PathBuf {
    static FIRMWARE: OnceLock<Vec<u8>> = OnceLock::new();
    let elf = FIRMWARE.get_or_init(|| std::fs::read(build_board(&PICO).expect("the firmware builds")).expect("it was written"));
    let program = Program::read(&PICO, elf).expect("the firmware is the Pico's");
    let plan = Plan { board: &PICO, program: Some(program), image };
    let path = folder.join("pico.uf2");
    let bytes = encode_uf2(&plan.segments(), PICO.flash, PICO.uf2_family.expect("the RP2040 has a family"));
    std::fs::write(&path, bytes).expect("space for the file");
    path
}

fn connect(emulation: &Emulation) -> Result<Board, DeviceError> {
    static SESSIONS: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(1);
    let port = format!("tcp:127.0.0.1:{}", emulation.port);
    Client::connect(open(&port)?, &port, SESSIONS.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

/// The output hash of a generation on the board.
fn board_hash(board: &mut Board, prompt: &str, limit: u32) -> u32 {
    let told = board.generate(InputData::Text(prompt), &Sampling { limit, ..GREEDY }, |_| true).expect("the board tells");
    assert!(matches!(told.done.end, End::Limit | End::EndOfText));
    told.done.output_hash
}

/// The output hash of a generation on this computer.
fn own_hash(image: &[u8], prompt: &str, limit: u32) -> u32 {
    let image = AlignedBytes::copy_of(image);
    let image = Image::new(&image).expect("the image is valid");
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), attoformer::Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).expect("the arena is large enough");
    let mut story = session.generate(prompt, Sampler::greedy(), Limits::tokens(limit as usize)).expect("the prompt fits");
    while story.next_piece().expect("the model runs").is_some() {}
    story.output_hash()
}

fn tales() -> Vec<u8> {
    std::fs::read(root().join("models/tales/tales.atto")).expect("the image is in the repository")
}

#[needs(program = "node")]
#[test]
fn the_pico_tells_the_story_of_this_computer_over_both_links() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = uf2(folder.path(), &tales());
    let expected = own_hash(&tales(), "Once upon a time", 40);
    for link in [Link::Uart, Link::Usb] {
        let emulation = Emulation::pico(&file, link, 0, &[]).expect("the board starts");
        let mut board = connect(&emulation).expect("the board answers");
        assert_eq!(board.hello().expect("the board introduces itself").board, "pico");
        assert_eq!(board_hash(&mut board, "Once upon a time", 40), expected, "{link:?}");
    }
}

/// An image of about 40 KB.
fn small(seed: u32) -> AlignedBytes {
    let small = RandomModel::small();
    let config = attoformer::config! { d_model: 48, d_hidden: 96, heads: 4, kv_heads: 2, head_dim: 12, ..small.config };
    RandomModel { config, seed, ..small }.pack(Format::Int8, KvType::Int8)
}

#[needs(program = "node")]
#[test]
fn a_power_cut_in_an_upload_leaves_a_whole_model_and_the_upload_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let images = [small(1), small(2)];
    let hashes = images.each_ref().map(|image| own_hash(image, "a", GREEDY.limit));
    assert_ne!(hashes[0], hashes[1]);
    let file = uf2(folder.path(), &images[0]);
    let state = folder.path().join("flash.bin");
    let state = state.to_str().expect("a path of letters");
    let start = |link, more: &[&str]| Emulation::pico(&file, link, 0, &[&["--flash-state", state], more].concat()).expect("it starts");
    let send = |board: &mut Board, image: usize| {
        let image = Image::new(&images[image]).expect("it was packed");
        upload::upload(board, &image, None, |_| {})
    };

    // An upload without a cut tells how many flash operations it takes.
    let emulation = start(Link::Usb, &[]);
    send(&mut connect(&emulation).expect("it answers"), 1).expect("a good line");
    let (_, report) = emulation.stop().expect("it ends");
    let report: serde_json::Value = serde_json::from_str(&report).expect("the report is JSON");
    let operations = report["flash_operations"].as_u64().expect("operations are counted");
    assert!(operations > 100, "{operations}");

    let rounds = if std::env::var_os("ATTOFORMER_FULL").is_some() { 50 } else { 4 };
    let (mut random, mut running, mut cuts, mut resumed) = (Numbers(7), 1, 0, 0);
    for round in 0..rounds {
        let (link, next) = (if round % 2 == 0 { Link::Usb } else { Link::Uart }, 1 - running);
        let cut = (1 + random.below(operations as usize)).to_string();
        let emulation = start(link, &["--cut", &cut, "--seed", &random.word().to_string()]);
        let uploaded = connect(&emulation).and_then(|mut board| send(&mut board, next));
        let (status, _) = emulation.stop().expect("it ends");
        assert!(uploaded.is_err() == (status.code() == Some(CUT)), "round {round}, cut {cut}: {status}, {uploaded:?}");
        cuts += u32::from(uploaded.is_err());

        let emulation = start(link, &[]);
        let mut board = connect(&emulation).expect("it answers after a power cut");
        let hash = board_hash(&mut board, "a", GREEDY.limit);
        assert!(hashes.contains(&hash), "round {round}, cut {cut}: a model that was never sent");
        let uploaded = send(&mut board, next).unwrap_or_else(|error| panic!("round {round}, cut {cut}: {error}"));
        resumed += u32::from(uploaded.resumed_at > 0);
        assert_eq!(board_hash(&mut board, "a", GREEDY.limit), hashes[next], "round {round}, cut {cut}");
        let (status, _) = emulation.stop().expect("it ends");
        assert!(status.success(), "round {round}: {status}");
        running = next;
    }
    println!("{cuts} cuts in {rounds} uploads of {operations} flash operations; {resumed} uploads went on from where they were");
    assert!(cuts > 0 && resumed > 0);
}

#[needs(program = "node")]
#[test]
fn noise_on_the_line_does_not_stop_the_pico() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = small(1);
    let emulation = Emulation::pico(&uf2(folder.path(), &image), Link::Usb, 0, &[]).expect("the board starts");
    let mut noise = TcpStream::connect(("127.0.0.1", emulation.port)).expect("the port is open");
    let mut random = Numbers(3);
    for _ in 0..10_000 {
        let mut frame: Vec<u8> = (0..random.below(40)).map(|_| random.word() as u8).collect();
        frame.push(0);
        std::io::Write::write_all(&mut noise, &frame).expect("the board reads");
    }
    drop(noise);
    let mut board = connect(&emulation).expect("the board still answers");
    assert_eq!(board_hash(&mut board, "a", GREEDY.limit), own_hash(&image, "a", GREEDY.limit));
}

fn run(arguments: &[&str]) -> Output {
    Command::new("node").arg(root().join("tests/boards/run.mjs")).args(arguments).output().expect("node runs")
}

#[needs(program = "node")]
#[test]
fn a_uf2_file_that_the_boot_rom_would_refuse_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = uf2(folder.path(), &small(1));
    let good = std::fs::read(&file).expect("it was written");
    let changes: [(usize, u8, &str); 6] = [
        (0, 0, "block 0 has no UF2 magic numbers"),
        (512 + 28, 0x59, "block 1 is for family 0xe48bff59, the RP2040 is 0xe48bff56"),
        (512 + 16, 1, "block 1 has 257 bytes of data, the boot ROM takes 256"),
        (512 + 20, 7, "says that it is 7 of"),
        (512 + 13, 0, "two blocks are for address 0x10000000"),
        (32 + 9, !good[32 + 9], "the second-stage boot loader has checksum"),
    ];
    for (at, byte, sentence) in changes {
        let mut bad = good.clone();
        bad[at] = byte;
        std::fs::write(&file, bad).expect("space for the file");
        let output = run(&["--uf2", file.to_str().expect("letters"), "--link", "uart", "--stdio"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(sentence) && said.lines().count() == 1, "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
}
