//! The seeds of the fuzz targets in `tests/fuzz/seeds`: made here, and still worth something.
//!
//! `ATTOFORMER_WRITE_SEEDS=1 cargo test -p attoformer-tests --test hostile_seeds` writes them again, after the format has changed.

use std::path::{Path, PathBuf};

use attoformer::image::header::{Config, KvType};
use attoformer::image::section;
use attoformer::{Image, Tokenizer};
use attoformer_tests::random_model::{BASE_TOKENS, PIECES, RandomModel};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::{self, Piece, Scheme, llama2c};
use attoformer_tools::pack;
use attoformer_tools::quantize::Format;

const TARGETS: [&str; 3] = ["image_step", "tokenizer", "import"];
const TEXT: &str = "the low éa and 日本";

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target)
}

/// The family at its smallest: without a tokenizer, but for the first.
fn images() -> Vec<(String, AlignedBytes)> {
    let tiny = |model: RandomModel, vocab| {
        let config = Config { layers: 1, d_model: 8, d_hidden: 11, heads: 2, kv_heads: 1, head_dim: 4, context: 24, vocab, ..model.config };
        RandomModel { config, ..model }
    };
    let mut images = vec![("with-tokenizer".to_owned(), tiny(RandomModel::small(), BASE_TOKENS + 14).pack_mixed(KvType::Int8))];
    for (family, model) in RandomModel::family().into_iter().chain(RandomModel::encoders()) {
        images.push((format!("{family}-mixed"), tiny(model, 31).pack_mixed(KvType::Int8)));
    }
    images.push(("f32".to_owned(), tiny(RandomModel::small(), 13).pack(Format::F32, KvType::F32)));
    images.push(("f16".to_owned(), tiny(RandomModel::small(), 13).pack(Format::F16, KvType::F16)));
    images
}

/// What `targets/*.rs` say of their inputs.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, image) in images() {
        let flags = 3;
        seeds.push(("image_step", name, [&image[..], &[flags]].concat()));
    }
    let with_length = |kind: u8, first: &[u8], second: &[u8]| {
        let length = u16::try_from(first.len()).unwrap().to_le_bytes();
        [&[kind][..], &length, first, second].concat()
    };
    let images = images();
    let image = Image::new(&images[0].1).unwrap();
    seeds.push(("tokenizer", "section".to_owned(), with_length(0, TEXT.as_bytes(), image.section(section::TOKENIZER))));
    let piece = |(index, piece): (usize, &&str)| [&[piece.len() as u8, index as u8][..], piece.as_bytes()].concat();
    let pieces: Vec<u8> = PIECES.iter().enumerate().flat_map(piece).collect();
    seeds.push(("tokenizer", "pieces".to_owned(), with_length(1, TEXT.as_bytes(), &pieces)));
    seeds.push(("tokenizer", "wordpiece".to_owned(), with_length(0, TEXT.as_bytes(), &word_piece_section())));
    let folder = tempfile::tempdir().unwrap();
    let small = RandomModel::small();
    for (name, tied_head) in [("tied", true), ("untied", false)] {
        let config = Config {
            layers: 1,
            d_model: 4,
            d_hidden: 5,
            heads: 2,
            kv_heads: 1,
            head_dim: 2,
            context: 12,
            vocab: BASE_TOKENS + 14,
            tied_head,
            ..small.config
        };
        RandomModel { config, ..small }.write_llama2c(folder.path());
        let read = |name| std::fs::read(folder.path().join(name)).unwrap();
        let flags = 1;
        seeds.push(("import", name.to_owned(), with_length(flags, &read("random.bin"), &read("tokenizer.bin"))));
    }
    seeds
}

/// A section of kind 2 whose words cover some of the text.
fn word_piece_section() -> Vec<u8> {
    let words = ["[UNK]", "[CLS]", "[SEP]", "the", "lo", "##w", "e", "##a", "an", "##d", "日", "本", "."];
    let pieces = words.map(|word| Piece { bytes: word.into(), score: 0.0 }).to_vec();
    let scheme = Scheme::WordPiece { clean_text: true, chinese: true, strip_accents: true, lowercase: true, max_word_characters: 100 };
    let mut section = Vec::new();
    pack::sections::tokenizer(&import::Tokenizer { pieces, begin: 1, end: 2, unknown: 0, scheme }, &mut section);
    section
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
    assert!(total < 100_000, "the seeds take {total} bytes");
}

/// Whether a seed is a sound file, so that the fuzzer starts from behind the checks.
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
        _ => {
            let (model, tokenizer) = behind_length(bytes);
            let (config, _) = llama2c::model(&model)?;
            llama2c::tokenizer(&tokenizer, config.vocab).map(|_| ())
        }
    }
}
