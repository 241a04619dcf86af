//! The seeds of the fuzz targets in `tests/fuzz/seeds`: generated here, and still valid.
//!
//! `ATTOFORMER_WRITE_SEEDS=1 cargo test -p attoformer-tests --test hostile_seeds` writes them again after a change of the format.

#[path = "../../host-tools/tests/common/gguf.rs"]
mod builder;
#[path = "../../host-tools/tests/common/charsmap.rs"]
mod charsmap;
#[path = "hostile_seeds/directories.rs"]
mod directories;
#[path = "../fuzz/targets/directory.rs"]
mod directory;
#[path = "../../host-tools/tests/common/firmware.rs"]
mod firmware;
#[path = "hostile_seeds/gguf.rs"]
mod ggufs;
#[path = "../../host-tools/tests/common/values.rs"]
mod values;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use attoformer::image::section;
use attoformer::{Image, Tokenizer};
use attoformer_protocol::boards::{BOARDS, PICO};
use attoformer_tests::hostile::images;
use attoformer_tests::random_model::{BASE_TOKENS, PIECES, RandomModel};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::flash::{Program, encode_uf2};
use attoformer_tools::import::{self, gguf, llama2c};
use attoformer_tools::pack;
use firmware::{Firmware, RISCV, riscv_attributes};

const TARGETS: [&str; 6] = ["image_step", "tokenizer", "llama2c", "gguf", "huggingface", "firmware"];
const TEXT: &str = "the low éa and 日本";
/// Size limit of all seeds together.
const BYTES_MAX: usize = 260_000;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

/// One byte, the length of the first part, both parts.
fn with_length(kind: u8, first: &[u8], second: &[u8]) -> Vec<u8> {
    let length = u16::try_from(first.len()).unwrap().to_le_bytes();
    [&[kind][..], &length, first, second].concat()
}

/// The input formats of `targets/*.rs`.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let images = images::all();
    let mut seeds = Vec::new();
    for (name, section) in sections(&images[0].1) {
        seeds.push(("tokenizer", name, with_length(0, TEXT.as_bytes(), &section)));
    }
    for (name, image) in images {
        let flags = 3;
        seeds.push(("image_step", name, [&image[..], &[flags]].concat()));
    }
    let piece = |(index, piece): (usize, &&str)| [&[piece.len() as u8, index as u8][..], piece.as_bytes()].concat();
    let pieces: Vec<u8> = PIECES.iter().enumerate().flat_map(piece).collect();
    seeds.push(("tokenizer", "pieces".to_owned(), with_length(1, TEXT.as_bytes(), &pieces)));
    for (name, tied_head) in [("tied", true), ("untied", false)] {
        seeds.push(("llama2c", name.to_owned(), llama2c_seed(tied_head)));
    }
    seeds.extend(ggufs::all().into_iter().map(|(name, file)| ("gguf", name.to_owned(), file)));
    seeds.extend(directories::all().into_iter().map(|(name, files)| ("huggingface", name.to_owned(), directories::input(&files))));
    seeds.extend(firmwares().into_iter().map(|(name, board, file)| {
        let index = BOARDS.iter().position(|own| own.name == board).unwrap() as u8;
        ("firmware", name.to_owned(), [&[index][..], &file].concat())
    }));
    seeds
}

/// Firmwares of every kind of start, with the name of their board.
fn firmwares() -> [(&'static str, &'static str, Vec<u8>); 5] {
    let mut pico = Firmware::pico();
    pico.segments.truncate(3);
    let file = pico.elf();
    let program = Program::read(&PICO, &file).unwrap();
    let riscv = Firmware { machine: RISCV, attributes: riscv_attributes("rv32i2p1_m2p0_c2p0"), ..Firmware::cortex_m(0x4200_0020, 0) };
    [
        ("rp2040-elf", "pico", file.clone()),
        ("rp2040-uf2", "pico", encode_uf2(&program.segments, PICO.flash, PICO.uf2_family.unwrap())),
        ("rp2350-elf", "pico2", Firmware::rp2350(0x1021, 17).elf()),
        ("cortex-m4-elf", "stm32f405", Firmware::cortex_m(0x0800_0000, 13).stating("board=stm32f405\nfeatures=bpe\n").elf()),
        ("esp32-c3-elf", "esp32-c3", riscv.elf()),
    ]
}

/// Tokenizer sections of every kind and pattern.
fn sections(with_tokenizer: &[u8]) -> Vec<(String, Vec<u8>)> {
    let packed = |tokenizer: &import::Tokenizer| {
        let mut section = Vec::new();
        pack::sections::tokenizer(tokenizer, &mut section);
        section
    };
    let image = Image::new(with_tokenizer).unwrap();
    let mut sections = vec![("section".to_owned(), image.section(section::TOKENIZER).to_vec())];
    sections.push(("wordpiece".to_owned(), packed(&images::words())));
    sections.push(("unigram".to_owned(), packed(&images::unigram())));
    sections.extend(images::PATTERNS.map(|pattern| (format!("byte-bpe-{pattern}"), packed(&images::bytes(pattern)))));
    sections
}

fn llama2c_seed(tied_head: bool) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let small = RandomModel::small();
    let tiny = attoformer::config! { layers: 1, d_model: 4, d_hidden: 5, heads: 2, kv_heads: 1, head_dim: 2, context: 12, ..small.config };
    let config = attoformer::config! { vocab: BASE_TOKENS + 14, tied_head, ..tiny };
    RandomModel { config, ..small }.write_llama2c(folder.path());
    let read = |name| std::fs::read(folder.path().join(name)).unwrap();
    with_length(1, &read("random.bin"), &read("tokenizer.bin"))
}

#[test]
fn the_seeds_are_small_and_get_past_the_checks() {
    if std::env::var_os("ATTOFORMER_WRITE_SEEDS").is_some() {
        for (target, name, bytes) in seeds() {
            std::fs::create_dir_all(folder(target)).unwrap();
            std::fs::write(folder(target).join(name), bytes).unwrap();
        }
    }
    let mut total = 0;
    for target in TARGETS {
        let mut count = 0;
        for entry in std::fs::read_dir(folder(target)).unwrap() {
            let (path, bytes) = (entry.as_ref().unwrap().path(), std::fs::read(entry.unwrap().path()).unwrap());
            (count, total) = (count + 1, total + bytes.len());
            assert_eq!(passes(target, &bytes), Ok(()), "{}: write the seeds again", path.display());
        }
        assert!(count > 1, "{target} has no seeds");
    }
    assert!(total < BYTES_MAX, "the seeds take {total} bytes");
}

/// The seeds cover every kind that can be packed or read.
#[test]
fn every_family_has_a_seed() {
    let families: BTreeSet<&str> = import::huggingface::FAMILIES.iter().map(|family| family.name).collect();
    let config = |files: &serde_json::Value| files["config.json"]["model_type"].as_str().unwrap().to_owned();
    let seeded: BTreeSet<String> = directories::all().iter().map(|(_, files)| config(files)).collect();
    // XLM-RoBERTa uses RoBERTa's importer.
    let missing: Vec<&&str> = families.iter().filter(|family| **family != "xlm-roberta" && !seeded.contains(**family)).collect();
    assert!(missing.is_empty(), "{missing:?} have no seed");
    let missing = gguf::ARCHITECTURES.iter().map(|known| known.name).find(|known| !ggufs::all().iter().any(|(name, _)| name == known));
    assert_eq!(missing, None);
}

/// Whether a seed is a valid file, so that the fuzzer starts past the checks.
fn passes(target: &str, bytes: &[u8]) -> Result<(), String> {
    let behind_length = |bytes: &[u8]| {
        let length = usize::from(u16::from_le_bytes([bytes[1], bytes[2]]));
        (bytes[3..3 + length].to_vec(), bytes[3 + length..].to_vec())
    };
    match target {
        "image_step" => {
            let image = AlignedBytes::copy_of(&bytes[..bytes.len() - 1]);
            Image::new(&image).map(|_| ()).map_err(|error| error.to_string())
        }
        "tokenizer" if bytes[0] == 1 => Ok(()),
        "tokenizer" => {
            let (_, section) = behind_length(bytes);
            let vocab = u32::from_le_bytes(section[4..8].try_into().unwrap());
            Tokenizer::new(&section, vocab).map(|_| ()).map_err(|error| error.to_string())
        }
        "gguf" => gguf::open(Path::new("seed.gguf"), &bytes.to_vec().into()).map(|_| ()).map_err(|error| error.to_string()),
        "huggingface" => directories::passes(bytes),
        "firmware" => {
            let board = &BOARDS[usize::from(bytes[0])];
            Program::read(board, &bytes[1..]).map(|_| ()).map_err(|error| error.to_string())
        }
        _ => {
            let (model, tokenizer) = behind_length(bytes);
            let (config, _) = llama2c::model(&model.to_vec().into()).map_err(|error| error.to_string())?;
            llama2c::tokenizer(&tokenizer, config.vocab).map(|_| ()).map_err(|error| error.to_string())
        }
    }
}
