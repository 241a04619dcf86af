//! Models without files: seeded random weights for any shape, and models that generate a given text. The one builder of models for all tests.
//!
//! The weights equal those of `tests/golden/weights.py`: the upper 16 bits of xorshift32 as a fraction, drawn in the same order.

mod families;
#[path = "../../host-tools/tests/common/llama2c.rs"]
pub mod llama2c;
mod long;
mod tensors;

pub use families::{families, offset_keys};
pub use long::{long_image, long_models};

use std::path::{Path, PathBuf};

use attoformer::image::{Config, KvType};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::{Checkpoint, Piece, Scheme, SentencePieceSpaces, SourceRole, SpecialIds, Tokenizer, rotary_frequencies};
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;

/// Token of byte 0 in every vocabulary of this module.
pub const FIRST_BYTE: u32 = 3;
/// Tokens before the first piece of a vocabulary: three special tokens and 256 bytes.
pub const BASE_TOKENS: u32 = 259;
/// Pieces after the base tokens, with different numbers of characters and bytes; a vocabulary takes as many as fit.
pub const PIECES: [&str; 30] = [
    " ", "a", "b", "c", "d", "e", "h", "l", "n", "o", "r", "t", "w", "é", "日", "th", "the", " th", " the", "an", "and", " a", " and",
    "ow", "low", "er", "lower", "éa", "日日", "ll",
];

/// Every weight format of a matrix.
pub const FORMATS: [Format; 7] = [
    Format::F32,
    Format::F16,
    Format::Int8,
    Format::Int4 { group: 32 },
    Format::Int4 { group: 64 },
    Format::Int4 { group: 128 },
    Format::Int4 { group: 0 },
];
/// Every KV cache type.
pub const KV_TYPES: [KvType; 3] = [KvType::F32, KvType::F16, KvType::Int8];

/// xorshift32 (Marsaglia 2003).
#[derive(Clone, Copy, Debug)]
pub struct Numbers(pub u32);

impl Numbers {
    /// Returns the next 32 bits.
    pub fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// Returns a number in [-1, 1).
    pub fn fraction(&mut self) -> f32 {
        ((self.word() >> 16) as f32 - 32768.0) / 32768.0
    }

    /// Returns an almost uniform number in 0..bound.
    pub fn below(&mut self, bound: usize) -> usize {
        ((self.word() as u64 * bound as u64) >> 32) as usize
    }

    fn row(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.fraction() * scale).collect()
    }
}

/// A shape and the seed of its weights.
#[derive(Clone, Copy, Debug)]
pub struct RandomModel {
    /// The shape; packing replaces `kv`.
    pub config: Config,
    /// Whether projections have biases: all but the output head.
    pub bias: bool,
    /// Whether the output head has a bias.
    pub head_bias: bool,
    /// Whether the table of `PositionKind::LearnedAbsolute` is sines and cosines instead of drawn numbers.
    pub sinusoidal: bool,
    /// Seed of the weights, not 0.
    pub seed: u32,
}

impl RandomModel {
    /// Two layers of the Llama family, with sizes without common divisors and a tokenizer.
    pub fn small() -> Self {
        let config = attoformer::config! {
            d_model: 24,
            d_hidden: 43,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 6,
            vocab: 293,
            context: 40,
            tied_head: true,
            bos: 1,
            eos: 2,
            ..Config::DECODER
        };
        RandomModel { config, bias: false, head_bias: false, sinusoidal: false, seed: 1 }
    }

    /// The checkpoint in memory, with a tokenizer if the vocabulary holds the base tokens.
    pub fn checkpoint(&self) -> Checkpoint {
        let config = self.config;
        Checkpoint {
            sha256: [7; 32],
            rotary: rotary_frequencies(10_000.0, config.rotary_dim()),
            labels: (0..config.labels).map(|label| format!("label {label}")).collect(),
            tokenizer: (config.vocab >= BASE_TOKENS).then(|| tokenizer(&config)),
            ..Checkpoint::new("random", config, tensors::tensors(self))
        }
    }

    /// Packs the model with one format for all matrices.
    pub fn pack(&self, weights: Format, kv: KvType) -> AlignedBytes {
        self.pack_with(&Options { weights, kv, ..Options::reference() })
    }

    /// Packs the model with a different format for each kind of matrix.
    pub fn pack_mixed(&self, kv: KvType) -> AlignedBytes {
        let formats = [
            ("embedding", Format::Int8),
            ("layers.*.qkv", Format::Int4 { group: 0 }),
            ("layers.*.attn_out", Format::F16),
            ("layers.*.mlp_down", Format::Int4 { group: 32 }),
        ];
        let formats = formats.into_iter().filter(|(name, _)| *name != "embedding" || self.config.has_embedding());
        let overrides = formats.map(|(name, format)| (name.to_owned(), format)).collect();
        self.pack_with(&Options { overrides, kv, ..Options::reference() })
    }

    /// Packs the model with these options.
    pub fn pack_with(&self, options: &Options) -> AlignedBytes {
        pack(&self.checkpoint(), options, &Progress::silent()).expect("every random model can be packed").image
    }

    /// Writes `random.bin` and `tokenizer.bin` in llama2.c's formats and returns the path of the first. Only for models of the Llama family.
    pub fn write_llama2c(&self, folder: &Path) -> PathBuf {
        let checkpoint = self.checkpoint();
        let tokenizer = checkpoint.tokenizer.as_ref().expect("llama2.c's vocabularies hold the base tokens");
        let model = folder.join("random.bin");
        std::fs::write(&model, llama2c::checkpoint(&checkpoint)).expect("a file in the test's folder");
        std::fs::write(folder.join("tokenizer.bin"), llama2c::tokenizer(tokenizer)).expect("a file in the test's folder");
        model
    }
}

/// Feature rows `(frames, features)` in [-1, 1), equal to the reference's for this seed.
pub fn feature_rows(config: &Config, frames: usize, seed: u32) -> Vec<f32> {
    Numbers(seed).row(frames * config.features as usize, 1.0)
}

/// A vocabulary of the config's size: special tokens, bytes, [`PIECES`], then combinations of them. An earlier piece has a better merge rank.
pub fn tokenizer(config: &Config) -> Tokenizer {
    let made = (0..).map(|index: usize| format!("{}{}{}", PIECES[1 + index % 12], PIECES[1 + index / 12 % 12], "o".repeat(index / 144)));
    let texts = llama2c::base_pieces().chain(PIECES.map(str::to_owned)).chain(made);
    let pieces = texts.take(config.vocab as usize).enumerate();
    let pieces = pieces.map(|(id, text)| Piece { bytes: text.into_bytes(), score: -(id as f32) }).collect();
    let scheme = Scheme::SentencePiece { first_byte: FIRST_BYTE, spaces: SentencePieceSpaces::LLAMA2C };
    Tokenizer::new(pieces, SpecialIds { bos: config.bos, eos: config.eos, unk: 0 }, scheme)
}

/// A checkpoint that generates exactly `script` after BOS, then EOS: the head's row of each token matches the embedding of the token before it, and
/// the blocks add nothing. Each token may occur once.
pub fn scripted(script: &[u32]) -> Checkpoint {
    let small = RandomModel::small();
    let chain: Vec<u32> = std::iter::once(small.config.bos).chain(script.iter().copied()).chain([small.config.eos]).collect();
    let config = attoformer::config! { d_model: chain.len() as u32, layers: 1, tied_head: false, ..small.config };
    let mut checkpoint = RandomModel { config, ..small }.checkpoint();
    for tensor in &mut checkpoint.tensors {
        let shift = match tensor.role {
            SourceRole::Embedding => 0,
            SourceRole::Head => 1,
            SourceRole::AttnOut | SourceRole::Down => {
                tensor.data.edit(|values| values.fill(0.0));
                continue;
            }
            _ => continue,
        };
        let columns = tensor.columns;
        tensor.data.edit(|values| {
            values.fill(0.0);
            for (column, &token) in chain.iter().skip(shift).enumerate() {
                values[token as usize * columns + column] = 1.0;
            }
        });
    }
    checkpoint
}
