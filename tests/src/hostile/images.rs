//! Valid images of every kind at minimal size, as the base of damaged copies.

use attoformer::image::KvType;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::preprocess::audio::{AudioFrontend, MelScale};
use attoformer_tools::import::tokenizer::{Charmap, SpecialIds, TokenList, TokenType, Tokenizer, Unigram, UnigramSpaces, byte_bpe};
use attoformer_tools::import::{Checkpoint, GenerationConfig, Piece, Scheme};
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;

use crate::random_model::{BASE_TOKENS, RandomModel, families};

/// Names of the pre-tokenizer patterns of byte-level BPE in GGUF files.
pub const PATTERNS: [&str; 4] = ["gpt-2", "llama-bpe", "qwen2", "smollm"];
/// A chat template with the usual constructs.
const TEMPLATE: &str = "{% for message in messages %}{{ '<|im|>' + message['role'] + ' ' + message['content'] }}{% endfor %}";

/// Images of every family, format, kind of tokenizer and front end, by name.
pub fn all() -> Vec<(String, AlignedBytes)> {
    let small = tiny(RandomModel::small());
    let with_vocab = |model: RandomModel, vocab| RandomModel { config: attoformer::config! { vocab, ..model.config }, ..model };
    let mut images = vec![("with-tokenizer".to_owned(), with_vocab(small, BASE_TOKENS + 14).pack_mixed(KvType::Int8))];
    for (family, model) in families() {
        images.push((format!("{family}-mixed"), tiny(model).pack_mixed(KvType::Int8)));
    }
    for (name, weights, kv) in [("f32", Format::F32, KvType::F32), ("f16", Format::F16, KvType::F16)] {
        images.push((name.to_owned(), with_vocab(small, 13).pack(weights, kv)));
    }
    let made = [("byte-bpe", chat()), ("unigram", reading("llama", unigram())), ("mfcc", keywords()), ("log-mel", speech())];
    images.extend(made.map(|(name, checkpoint)| (name.to_owned(), packed(&checkpoint))));
    images
}

/// A model with the smallest sizes that keep its structure.
fn tiny(model: RandomModel) -> RandomModel {
    let config = model.config;
    let config = attoformer::config! {
        layers: 1,
        encoder_layers: config.encoder_layers.min(1),
        d_model: 8,
        d_hidden: 11,
        heads: 2,
        kv_heads: if config.kv_heads == config.heads { 2 } else { 1 },
        head_dim: 4,
        partial_rotary_dim: config.partial_rotary_dim.map(|dim| dim.min(2)),
        layer_dim: config.layer_dim.map(|dim| dim.min(3)),
        context: 24,
        encoder_context: config.encoder_context.min(24),
        vocab: config.vocab.min(31),
        ..config
    };
    RandomModel { config, ..model }
}

/// Packs a checkpoint in int8.
///
/// # Panics
/// If it cannot be packed.
pub fn packed(checkpoint: &Checkpoint) -> AlignedBytes {
    let options = Options { weights: Format::Int8, kv: KvType::Int8, ..Options::reference() };
    pack(checkpoint, &options, &Progress::silent()).expect("every sample can be packed").image
}

/// Finds the family of this name.
fn family(name: &str) -> RandomModel {
    families().into_iter().find(|(found, _)| *found == name).map(|(_, model)| tiny(model)).expect("a family of this name")
}

/// A model of this family with this tokenizer.
///
/// # Panics
/// If no family has this name.
pub fn reading(name: &str, tokenizer: Tokenizer) -> Checkpoint {
    let model = family(name);
    let config = attoformer::config! { vocab: tokenizer.pieces.len() as u32, bos: tokenizer.bos, eos: tokenizer.eos, ..model.config };
    Checkpoint { tokenizer: Some(tokenizer), ..RandomModel { config, ..model }.checkpoint() }
}

fn chat() -> Checkpoint {
    Checkpoint { chat_template: Some(TEMPLATE.to_owned()), ..reading("llama", bytes("smollm")) }
}

/// A keyword transformer with clips of 200 samples.
fn keywords() -> Checkpoint {
    let frontend = AudioFrontend {
        sample_rate: 8000,
        samples: 200,
        frame_len: 36,
        hop: 20,
        fft_len: 40,
        power: false,
        centred: false,
        bands: 12,
        scale: MelScale::Htk,
        range_hz: [20.0, 4000.0],
        coefficients: 10,
        log_floor: 1e-12,
        decimal_range: None,
    };
    Checkpoint { audio: Some(frontend), ..family("keywords").checkpoint() }
}

/// A speech model like Whisper with clips of 320 samples.
fn speech() -> Checkpoint {
    let frontend = AudioFrontend {
        sample_rate: 8000,
        samples: 320,
        frame_len: 40,
        hop: 20,
        fft_len: 40,
        power: true,
        centred: true,
        bands: 10,
        scale: MelScale::Slaney,
        range_hz: [0.0, 4000.0],
        coefficients: 0,
        log_floor: 1e-10,
        decimal_range: Some(8.0),
    };
    let tokenizer = bytes("gpt-2");
    let (model, vocab) = (family("whisper"), tokenizer.pieces.len() as u32);
    let config = attoformer::config! { vocab, bos: tokenizer.bos, eos: tokenizer.eos, ..model.config };
    Checkpoint {
        audio: Some(frontend),
        generation_config: Some(GenerationConfig {
            prompt: vec![tokenizer.bos, 3],
            suppress_tokens: vec![4, 7],
            ..GenerationConfig::default()
        }),
        tokenizer: Some(tokenizer),
        ..RandomModel { config, ..model }.checkpoint()
    }
}

/// Byte-level BPE with a few pieces, an added token of each kind, and without tokens for most bytes.
///
/// # Panics
/// If the importer no longer supports the pattern.
pub fn bytes(pattern: &str) -> Tokenizer {
    let letters = ["<|end|>", "<|im|>", "<mark>", "Ġ", "t", "h", "e", "l", "o", "w", "a", "n", "1", "'", "s", "Ã", "©"];
    let merged = ["th", "the", "Ġthe", "lo", "low", "an", "'s", "Ã©"];
    let merges = ["t h", "th e", "Ġ the", "l o", "lo w", "a n", "' s", "Ã ©"].map(str::to_owned);
    let mut types = vec![TokenType::Normal; letters.len() + merged.len()];
    types[..3].copy_from_slice(&[TokenType::Control, TokenType::Control, TokenType::UserDefined]);
    let list = TokenList {
        tokens: letters.iter().chain(&merged).map(|&piece| piece.to_owned()).collect(),
        types,
        eos: Some(0),
        ..TokenList::default()
    };
    byte_bpe(list, &merges, pattern).expect("a valid vocabulary")
}

/// WordPiece with a few words.
pub fn words() -> Tokenizer {
    let words = ["[UNK]", "[CLS]", "[SEP]", "the", "lo", "##w", "e", "##a", "an", "##d", "日", "本", "."];
    let pieces = words.map(|word| Piece { bytes: word.into(), score: 0.0 }).to_vec();
    let scheme =
        Scheme::WordPiece { clean_text: true, handle_chinese_chars: true, strip_accents: true, lowercase: true, max_word_characters: 100 };
    Tokenizer::new(pieces, SpecialIds { bos: 1, eos: 2, unk: 0 }, scheme)
}

/// A Unigram vocabulary of a few pieces.
///
/// # Panics
/// If the importer refuses it.
pub fn unigram() -> Tokenizer {
    let tokens = ["<unk>", "<s>", "</s>", "▁", "▁the", "th", "e", "lo", "w", "l", "o", "an", "a", "n", "é", "日"].map(str::to_owned);
    let scores = (0..tokens.len()).map(|id| -0.5 * id as f64).collect();
    let spaces = UnigramSpaces { add_dummy_prefix: true, collapse_spaces: true, split_at_spaces: true, ..UnigramSpaces::default() };
    let pairs = [("\u{1}", ""), ("\u{3000}", " "), ("e\u{301}", "é"), ("ａ", "a"), ("ﷺ", "the low an")];
    let charmap: Charmap = pairs.map(|(key, replacement)| (key.to_owned(), replacement.to_owned())).into();
    let source = Unigram {
        tokens: &tokens,
        scores,
        added: Vec::new(),
        special: SpecialIds { bos: 1, eos: 2, unk: 0 },
        add_bos: false,
        add_eos: true,
        byte_fallback: false,
        charmap,
        spaces,
    };
    source.tokenizer().expect("a valid vocabulary")
}
