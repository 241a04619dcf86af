//! `atto boards`, and `--board` of `atto pack` and `atto info`.

mod common;

use std::process::{Command, Output};

use attoformer::Image;
use attoformer_protocol::boards::{BOARDS, Board, Flasher};
use attoformer_tools::pack::layout::Target;
use attoformer_tools::report::table::thousands;
use common::{Numbers, Tiny, header, llama2c, tokenizer};
use serde_json::Value;

fn atto(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atto")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = atto(args);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn boards_are_listed_for_people_and_scripts() {
    let list = json(&["boards", "--json"]);
    let rows = list["boards"].as_array().unwrap();
    assert_eq!(rows.len(), BOARDS.len());
    for (row, board) in rows.iter().zip(BOARDS) {
        assert_eq!(row["name"], board.name);
        assert!(["core", "link", "tested_on"].iter().all(|field| !row[field].as_str().unwrap().is_empty()), "{row}");
        assert!(["flash_model", "ram"].iter().all(|field| row[field].as_u64().unwrap() > 0), "{row}");
    }
    let table = text(&atto(&["boards"]).stdout);
    assert_eq!(table.lines().count(), 1 + BOARDS.len());
    assert!(BOARDS.iter().all(|board| table.contains(board.name)));
}

/// Emulated machines have no flash and are described elsewhere.
#[test]
fn the_documentation_has_the_numbers_of_every_board() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/devices.md")).unwrap();
    let rows = |board: &Board| -> Vec<&str> {
        let name = format!("`{}`", board.name);
        page.lines().filter(|line| line.starts_with("| ") && line[2..].split('|').next().unwrap().contains(&name)).collect()
    };
    let kib = |bytes: u32| thousands(u64::from(bytes / 1024));
    for board in BOARDS.iter().filter(|board| board.flasher != Flasher::Emulator) {
        let rows = rows(board);
        let [facts, flash, ..] = rows[..] else { panic!("{} is missing: {rows:?}", board.name) };
        let memory = format!(
            "| {} | 2 x {} KB | {} of {} KB |",
            board.core,
            kib(board.models.slot_bytes),
            kib(board.arena.bytes),
            kib(board.ram_bytes)
        );
        assert!(facts.contains(memory.trim_end_matches('|').trim_start_matches('|')), "{facts} lacks {memory}");
        assert!(facts.contains(board.tested_on), "{facts}");
        let models = board.models;
        let program = format!("{:#010x}, {} KB", board.program.start, kib(board.program.bytes));
        let journal = format!("{:#010x}, 2 x {} KB", models.journal, kib(models.journal_sector));
        for cell in [program, journal, format!("{:#010x}, {:#010x}", models.slots[0], models.slots[1])] {
            assert!(flash.contains(&cell), "{flash} lacks {cell}");
        }
    }
}

#[test]
fn boards_that_do_not_exist_are_usage_errors() {
    for command in [&["pack", "a", "-o", "b", "--board", "x"][..], &["info", "a", "--board", "x"], &["flash", "a", "--board", "x"]] {
        let output = atto(command);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("unknown board \"x\"; use pico, pico2"), "{}", text(&output.stderr));
    }
}

#[test]
fn every_board_has_a_layout_of_the_packer() {
    for board in BOARDS {
        assert!(board.layout.parse::<Target>().is_ok(), "{}", board.name);
    }
}

#[test]
fn packing_for_a_board_sets_its_layout() {
    let tiny = Tiny::new();
    let (source, image) = (tiny.source().display().to_string(), tiny.path("x.atto").display().to_string());
    let pack = |more: &[&str]| json(&[&["pack", &source, "-o", &image, "--json"][..], more].concat());
    assert_eq!(pack(&["--board", "nrf52840-dk"])["layout"], "cortex-m-dsp");
    assert_eq!(pack(&["--board", "nrf52840-dk", "--layout", "portable"])["layout"], "portable");
    let packed = pack(&["--board", "pico"]);
    assert_eq!((&packed["layout"], &packed["board"]["fits"]), (&"portable".into(), &true.into()));
    assert_eq!(packed["board"]["image_bytes"], packed["image_bytes"]);
    // A model that fits in int8 is packed as without a board.
    let with_board = std::fs::read(&image).unwrap();
    assert!(pack(&[])["board"].is_null());
    assert_eq!(std::fs::read(&image).unwrap(), with_board);
    let info = json(&["info", &image, "--board", "pico", "--json"]);
    assert_eq!(info["board"], packed["board"]);
    assert!(text(&atto(&["info", &image, "--board", "pico"]).stdout).contains("fits pico: "));
}

/// A model of matrices whose int8 image takes more than the 360,448 bytes of an nRF52840's slot, and whose int4 image takes less.
fn wide() -> Tiny {
    let mut sizes = header();
    (sizes[0], sizes[1], sizes[2]) = (64, 512, 4);
    let [dim, hidden, layers, heads, kv_heads, vocab, context] = sizes.map(|size| size as usize);
    let kv = dim / heads * kv_heads;
    let floats = vocab * dim + layers * (2 * dim + 2 * dim * dim + 2 * kv * dim + 3 * hidden * dim) + dim + context * (dim / heads / 2) * 2;
    let mut numbers = Numbers(5);
    Tiny::with(&llama2c::file(sizes, (0..floats).map(|_| 0.1 * numbers.float())), &tokenizer())
}

#[test]
fn packing_for_a_board_chooses_formats_that_fit_its_flash() {
    let wide = wide();
    let (source, image) = (wide.source().display().to_string(), wide.path("x.atto").display().to_string());
    let args = ["pack", &source, "-o", &image, "--board", "nrf52840-dk"];
    let refused = text(&atto(&[&args[..], &["--weights", "int8", "--calibrate", "none"]].concat()).stderr);
    assert!(["nrf52840-dk", "360448", "more than"].iter().all(|word| refused.contains(word)), "{refused}");
    assert!(!wide.path("x.atto").exists());

    let packed = json(&[&args[..], &["--json"]].concat());
    let dtypes: Vec<&str> = packed["tensors"].as_array().unwrap().iter().map(|tensor| tensor["dtype"].as_str().unwrap()).collect();
    assert!(dtypes.contains(&"int4") && dtypes.contains(&"int8"), "{dtypes:?}");
    let bytes = std::fs::read(&image).unwrap();
    assert!((300_000..=360_448).contains(&bytes.len()), "{}", bytes.len());
    assert!(Image::new(&attoformer_tools::files::AlignedBytes::copy_of(&bytes)).is_ok());
}
