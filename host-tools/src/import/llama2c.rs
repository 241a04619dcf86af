//! Checkpoints of llama2.c (version 0: a header of seven numbers, then f32 weights) and its tokenizer files.
//!
//! `atto train` writes models with linear attention in the same form, the number of key/value heads with a minus sign.

use std::path::{Path, PathBuf};

use attoformer::image::{AttentionKind, Config};

use super::checkpoint::{SourceRole, Tensor};
use super::tokenizer::model::{PIECE_BYTES_MAX, Piece, Scheme, SentencePieceSpaces, Tokenizer};

/// Base of the rotary frequencies of every llama2.c model.
pub const ROTARY_BASE: f64 = 10_000.0;

const HEADER_BYTES: usize = 28;
/// First bytes of the later versions.
const VERSIONED_MAGIC: &[u8] = b"24ka";
const NORM_EPS: f32 = 1e-5;
const UNKNOWN: u32 = 0;
/// Begins a text; the model also writes it where a story ends, and llama2.c stops there.
const BEGIN: u32 = 1;
const FIRST_BYTE: u32 = 3;

/// The seven numbers, checked against each other.
struct Header {
    dim: u64,
    hidden: u64,
    layers: u64,
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    vocab: u64,
    context: u64,
    tied: bool,
    linear: bool,
}

/// One stretch of the file: a part for one or all layers, or nothing that is of use.
struct Stretch {
    role: Option<SourceRole>,
    layers: Option<u64>,
    rows: u64,
    columns: u64,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Header, String> {
        if bytes.starts_with(VERSIONED_MAGIC) {
            return Err("it is a llama2.c checkpoint of a later version; export it as version 0".to_owned());
        }
        if bytes.len() < HEADER_BYTES {
            return Err(format!("it has {} bytes, a llama2.c header alone has {HEADER_BYTES}", bytes.len()));
        }
        let field = |index: usize| i32::from_le_bytes(bytes[4 * index..4 * index + 4].try_into().expect("four bytes"));
        let size = |index: usize, name: &str| match field(index) {
            value @ 1.. => Ok(value as u64),
            value => Err(format!("it is no llama2.c checkpoint: its header states {value} as {name}")),
        };
        let (dim, hidden, layers) = (size(0, "width")?, size(1, "MLP width")?, size(2, "number of layers")?);
        let (heads, context) = (size(3, "number of heads")?, size(6, "context")?);
        let linear = field(4) < 0;
        let kv_heads = if linear { field(4).unsigned_abs() as u64 } else { size(4, "number of key/value heads")? };
        let vocab = field(5).unsigned_abs() as u64;
        if vocab == 0 {
            return Err("it is no llama2.c checkpoint: its header states an empty vocabulary".to_owned());
        }
        if !dim.is_multiple_of(heads) || !(dim / heads).is_multiple_of(2) {
            return Err(format!("a width of {dim} does not divide into {heads} heads of an even width"));
        }
        if !heads.is_multiple_of(kv_heads) {
            return Err(format!("{heads} heads do not share {kv_heads} key/value heads evenly"));
        }
        // llama2.c writes the vocabulary with a minus sign when the head has weights of its own.
        Ok(Header { dim, hidden, layers, heads, kv_heads, head_dim: dim / heads, vocab, context, tied: field(5) > 0, linear })
    }

    /// What follows the header, in order.
    fn stretches(&self) -> Vec<Stretch> {
        let Header { dim, hidden, vocab, .. } = *self;
        let kv_dim = self.kv_heads * self.head_dim;
        let once = |role, rows, columns| Stretch { role, layers: None, rows, columns };
        let each = |role, rows, columns| Stretch { role: Some(role), layers: Some(self.layers), rows, columns };
        let mut all = vec![
            once(Some(SourceRole::Embedding), vocab, dim),
            each(SourceRole::AttnNorm, 1, dim),
            each(SourceRole::Query, dim, dim),
            each(SourceRole::Key, kv_dim, dim),
            each(SourceRole::Value, kv_dim, dim),
            each(SourceRole::AttnOut, dim, dim),
            each(SourceRole::MlpNorm, 1, dim),
            each(SourceRole::Gate, hidden, dim),
            each(SourceRole::Down, dim, hidden),
            each(SourceRole::Up, hidden, dim),
            once(Some(SourceRole::FinalNorm), 1, dim),
            // Cosines and sines of old readers; they follow from ROTARY_BASE.
            once(None, 2 * self.context, self.head_dim / 2),
        ];
        if !self.tied {
            all.push(once(Some(SourceRole::Head), vocab, dim));
        }
        all
    }

    fn config(&self) -> Config {
        attoformer::config! {
            d_model: self.dim as u32,
            d_hidden: self.hidden as u32,
            layers: self.layers as u32,
            heads: self.heads as u32,
            kv_heads: self.kv_heads as u32,
            head_dim: self.head_dim as u32,
            vocab: self.vocab as u32,
            context: self.context as u32,
            norm_eps: NORM_EPS,
            tied_head: self.tied,
            attention: if self.linear { AttentionKind::Linear } else { AttentionKind::Softmax },
            bos: BEGIN,
            eos: BEGIN,
            ..Config::DECODER
        }
    }
}

/// Reads a checkpoint's shape and weights.
///
/// # Errors
/// A sentence's end: what is wrong with the file. Nothing is allocated before the file has the size its header implies.
pub fn model(bytes: &[u8]) -> Result<(Config, Vec<Tensor>), String> {
    let header = Header::read(bytes)?;
    let stretches = header.stretches();
    let floats = |s: &Stretch| s.layers.unwrap_or(1) as u128 * s.rows as u128 * s.columns as u128;
    let need = HEADER_BYTES as u128 + 4 * stretches.iter().map(floats).sum::<u128>();
    if need != bytes.len() as u128 {
        return Err(format!("its header implies {need} bytes, it has {}", bytes.len()));
    }
    let mut rest = &bytes[HEADER_BYTES..];
    let mut tensors = Vec::new();
    for Stretch { role, layers, rows, columns } in stretches {
        let (rows, columns) = (rows as usize, columns as usize);
        for layer in 0..layers.unwrap_or(1) {
            let (own, behind) = rest.split_at(4 * rows * columns);
            rest = behind;
            let Some(role) = role else { continue };
            let layer = layers.map(|_| layer as u32);
            tensors.push(Tensor { role, layer, rows, columns, values: finite(own, role, layer)?, bias: None });
        }
    }
    Ok((header.config(), tensors))
}

/// The floats of one tensor, none of them NaN or infinite.
fn finite(bytes: &[u8], role: SourceRole, layer: Option<u32>) -> Result<Vec<f32>, String> {
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect();
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(at) => {
            let place = layer.map_or(String::new(), |layer| format!(" of layer {layer}"));
            Err(format!("value {at} of {role:?}{place} is {}", values[at]))
        }
    }
}

/// The tokenizer's file beside a checkpoint, by the names llama2.c gives it.
pub fn tokenizer_beside(model: &Path, vocab: u32) -> Option<PathBuf> {
    [format!("tok{vocab}.bin"), "tokenizer.bin".to_owned()].into_iter().map(|name| model.with_file_name(name)).find(|path| path.is_file())
}

/// Reads a tokenizer of `vocab` pieces.
///
/// # Errors
/// A sentence's end: what is wrong with the file.
pub fn tokenizer(bytes: &[u8], vocab: u32) -> Result<Tokenizer, String> {
    let mut rest = bytes;
    let longest = word(&mut rest).ok_or("it ends before its first piece")?;
    let longest = u32::from_le_bytes(longest) as usize;
    let mut pieces = Vec::new();
    for id in 0..vocab {
        let cut = || format!("it ends in piece {id}, the model's vocabulary has {vocab}");
        let score = f32::from_le_bytes(word(&mut rest).ok_or_else(cut)?);
        let len = i32::from_le_bytes(word(&mut rest).ok_or_else(cut)?);
        if !score.is_finite() {
            return Err(format!("the score of piece {id} is {score}"));
        }
        let len = usize::try_from(len).ok().filter(|&len| len <= PIECE_BYTES_MAX && len <= longest);
        let len = len.ok_or_else(|| format!("piece {id} is longer than the stated {longest} bytes, or than {PIECE_BYTES_MAX}"))?;
        let (piece, behind) = rest.split_at_checked(len).ok_or_else(cut)?;
        if std::str::from_utf8(piece).is_err() {
            return Err(format!("piece {id} is not UTF-8"));
        }
        rest = behind;
        pieces.push(Piece { bytes: piece.to_vec(), score });
    }
    if !rest.is_empty() {
        return Err(format!("it holds more than the {vocab} pieces of the model's vocabulary"));
    }
    check_byte_pieces(&pieces)?;
    let scheme = Scheme::SentencePiece { first_byte: FIRST_BYTE, spaces: SentencePieceSpaces::LLAMA2C };
    Ok(Tokenizer::new(pieces, [BEGIN, BEGIN, UNKNOWN], scheme))
}

/// Whether tokens 3 to 258 are the bytes, as their names say.
fn check_byte_pieces(pieces: &[Piece]) -> Result<(), String> {
    for byte in 0..=255_u8 {
        let id = FIRST_BYTE as usize + byte as usize;
        if pieces.get(id).is_none_or(|piece| piece.bytes != format!("<0x{byte:02X}>").as_bytes()) {
            return Err(format!("piece {id} is not the byte <0x{byte:02X}> that llama2.c has there"));
        }
    }
    Ok(())
}

fn word(rest: &mut &[u8]) -> Option<[u8; 4]> {
    let (word, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*word)
}
