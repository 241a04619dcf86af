//! Hand-made models with known heads.

use attoformer::image::{Architecture, Config, KvType, MaskKind, NormKind, Pooling, PositionKind};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::{Checkpoint, Piece, Scheme, SentencePieceSpaces, SourceRole, SpecialIds, Tensor, Tokenizer};
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::report::progress::Progress;

use crate::common::Numbers;
use crate::common::llama2c::base_pieces;

/// Layer and head that copy the previous token to the input of the output head.
pub const COPIES: (usize, usize) = (1, 2);
/// Layer and head that attend 24 tokens back: on 25 repeated random tokens, that is the token after the earlier occurrence.
pub const LOOKS_FAR: (usize, usize) = (2, 0);
/// Tokens without a repetition; the answer is the last but one.
pub const PROMPT: [u32; 8] = [1, 5, 9, 4, 12, 7, 16, 3];

const VOCAB: usize = 20;
const CONTEXT: usize = 64;
/// Residual stream: one-hot token, one-hot position, one-hot copied token.
const WIDTH: usize = VOCAB + CONTEXT + VOCAB;
const HEADS: usize = 4;
const HEAD_DIM: usize = CONTEXT;
const LAYERS: usize = 3;
const HIDDEN: usize = 16;

/// Texts that a page must not interpret.
pub const HOSTILE: [&str; 12] = [
    "</script><script>document.title='ALERTED'</script>",
    "<img src=x onerror=\"document.title='ALERTED'\">",
    "<!--",
    "]]>",
    "&lt;b&gt;",
    "http://example.invalid/x",
    "\n\r\t",
    "\u{0}\u{7}\u{1b}[31m",
    "\u{202e}sdrawkcab",
    "\u{2028}\u{2029}\u{feff}",
    "${1+1}`'\"\\",
    "\u{1f469}\u{200d}\u{1f680}",
];
/// Token of the first text.
pub const FIRST_HOSTILE: u32 = 259;

fn tensor(role: SourceRole, layer: Option<u32>, (rows, columns): (usize, usize), value: impl FnMut(usize, usize) -> f32) -> Tensor {
    let mut value = value;
    let values: Vec<f32> = (0..rows * columns).map(|index| value(index / columns, index % columns)).collect();
    Tensor { role, layer, rows, columns, data: values.into(), bias: None }
}

fn packed(checkpoint: &Checkpoint) -> AlignedBytes {
    pack(checkpoint, &Options::reference(), &Progress::silent()).expect("it can be packed").image
}

/// The model with the planted heads.
pub fn image() -> AlignedBytes {
    let config = attoformer::config! {
        norm: NormKind::Rms,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        kv: KvType::F32,
        d_model: WIDTH as u32,
        d_hidden: HIDDEN as u32,
        layers: LAYERS as u32,
        heads: HEADS as u32,
        kv_heads: HEADS as u32,
        head_dim: HEAD_DIM as u32,
        vocab: VOCAB as u32,
        context: CONTEXT as u32,
        bos: 1,
        eos: 2,
        ..Config::DECODER
    };
    let mut numbers = Numbers(7);
    let one = |is: bool, value: f32| if is { value } else { 0.0 };
    let mut tensors = vec![
        tensor(SourceRole::Embedding, None, (VOCAB, WIDTH), |token, column| one(token == column, 1.0)),
        tensor(SourceRole::Positions, None, (CONTEXT, WIDTH), |position, column| one(column == VOCAB + position, 1.0)),
        tensor(SourceRole::FinalNorm, None, (1, WIDTH), |_, _| 1.0),
        tensor(SourceRole::Head, None, (VOCAB, WIDTH), |token, column| one(column == VOCAB + CONTEXT + token, 1.0)),
    ];
    for layer in 0..LAYERS {
        let at = Some(layer as u32);
        let mut noise = || 0.02 * numbers.float();
        let far = |head: usize| match (layer, head) {
            COPIES => Some(1),
            LOOKS_FAR => Some(24),
            _ => None,
        };
        tensors.push(tensor(SourceRole::AttnNorm, at, (1, WIDTH), |_, _| 1.0));
        // Queries match the position this far back, keys hold their own position, values their token.
        let rows = (HEADS * HEAD_DIM, WIDTH);
        tensors.push(tensor(SourceRole::Query, at, rows, |row, column| match far(row / HEAD_DIM) {
            Some(far) => one(column < VOCAB + CONTEXT && column == VOCAB + row % HEAD_DIM + far, 8.0),
            None => noise(),
        }));
        tensors.push(tensor(SourceRole::Key, at, rows, |row, column| match far(row / HEAD_DIM) {
            Some(_) => one(column == VOCAB + row % HEAD_DIM, 8.0),
            None => noise(),
        }));
        tensors.push(tensor(SourceRole::Value, at, rows, |row, column| match far(row / HEAD_DIM) {
            Some(1) => one(column < VOCAB && column == row % HEAD_DIM, 1.0),
            _ => noise(),
        }));
        tensors.push(tensor(SourceRole::AttnOut, at, (WIDTH, HEADS * HEAD_DIM), |row, column| match far(column / HEAD_DIM) {
            Some(1) => one(column % HEAD_DIM < VOCAB && row == VOCAB + CONTEXT + column % HEAD_DIM, 1.0),
            _ => noise(),
        }));
        tensors.push(tensor(SourceRole::MlpNorm, at, (1, WIDTH), |_, _| 1.0));
        tensors.push(tensor(SourceRole::Up, at, (HIDDEN, WIDTH), |_, _| noise()));
        tensors.push(tensor(SourceRole::Down, at, (WIDTH, HIDDEN), |_, _| noise()));
    }
    packed(&Checkpoint::new("planted", config, tensors))
}

/// A model of one layer with noise for weights.
fn noisy(config: Config) -> Checkpoint {
    let config = attoformer::config! {
        gated: false,
        positions: PositionKind::None,
        d_model: 12,
        d_hidden: 8,
        layers: 1,
        heads: 2,
        kv_heads: 2,
        head_dim: 6,
        ..config
    };
    let (vocab, mut numbers) = (config.vocab as usize, Numbers(3));
    let mut draw = |part, layer, shape| tensor(part, layer, shape, |_, _| numbers.float());
    let mut tensors = vec![draw(SourceRole::Embedding, None, (vocab, 12)), draw(SourceRole::FinalNorm, None, (1, 12))];
    for part in [SourceRole::Query, SourceRole::Key, SourceRole::Value, SourceRole::AttnOut] {
        tensors.push(draw(part, Some(0), (12, 12)));
    }
    tensors.extend([draw(SourceRole::AttnNorm, Some(0), (1, 12)), draw(SourceRole::MlpNorm, Some(0), (1, 12))]);
    tensors.extend([draw(SourceRole::Up, Some(0), (8, 12)), draw(SourceRole::Down, Some(0), (12, 8))]);
    Checkpoint::new("planted", attoformer::config! { bos: 1, eos: 2, context: 64, ..config }, tensors)
}

/// An encoder.
pub fn encoder() -> AlignedBytes {
    let config = attoformer::config! { architecture: Architecture::Encoder, mask: MaskKind::Bidirectional, pooling: Pooling::Mean, vocab: 20, ..Config::DECODER };
    packed(&noisy(config))
}

/// A model with a hostile vocabulary.
pub fn hostile() -> AlignedBytes {
    let vocab = FIRST_HOSTILE + HOSTILE.len() as u32;
    let mut checkpoint = noisy(attoformer::config! { tied_head: true, vocab, ..Config::DECODER });
    let texts = base_pieces().chain(HOSTILE.map(str::to_owned));
    let pieces = texts.enumerate().map(|(id, text)| Piece { bytes: text.into_bytes(), score: -(id as f32) }).collect();
    let scheme = Scheme::SentencePiece { first_byte: 3, spaces: SentencePieceSpaces::default() };
    checkpoint.tokenizer = Some(Tokenizer::new(pieces, SpecialIds { bos: 1, eos: 2, unk: 0 }, scheme));
    packed(&checkpoint)
}
