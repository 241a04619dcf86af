//! Checkpoints of llama2.c (version 0: a header of seven numbers, then f32 weights) and its tokenizer files.
//!
//! `atto train` writes models with linear attention in the same form, with a negative number of key/value heads.

use std::path::{Path, PathBuf};

use attoformer::image::{AttentionKind, Config};

use super::checkpoint::{SourceRole, Tensor};
use super::elements::ElementType;
use super::tensor_data::TensorData;
use super::tokenizer::limits::PIECE_BYTES_MAX;
use super::tokenizer::model::{Piece, Scheme, SentencePieceSpaces, SpecialIds, Tokenizer};
use crate::files::FileBytes;

/// Base of the RoPE frequencies of every llama2.c model.
pub const ROTARY_BASE: f64 = 10_000.0;

const HEADER_BYTES: usize = 28;
/// First bytes of the later versions.
const VERSIONED_MAGIC: &[u8] = b"24ka";
const NORM_EPS: f32 = 1e-5;
const UNK: u32 = 0;
/// Begins a text. The model also generates it where a story ends, and llama2.c stops there.
const BOS: u32 = 1;
const FIRST_BYTE: u32 = 3;

/// Reason why a checkpoint cannot be imported.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CheckpointError {
    /// A checkpoint of version 1 or later.
    #[error("llama2.c checkpoint of a later version; export it as version 0")]
    Version,
    /// Less than a header.
    #[error("the file has {0} bytes, less than the {HEADER_BYTES} of a llama2.c header")]
    NoHeader(usize),
    /// A header field that is not a size.
    #[error("not a llama2.c checkpoint: its header states {value} as {field}")]
    Field {
        /// The field.
        field: &'static str,
        /// Its value.
        value: i32,
    },
    /// A width that does not divide into heads of an even width.
    #[error("width {dim} is not divisible into {heads} heads of an even width")]
    HeadWidth {
        /// Width of the model.
        dim: u64,
        /// Attention heads.
        heads: u64,
    },
    /// Query heads that do not form equal groups.
    #[error("{heads} attention heads are not divisible by {kv_heads} key/value heads")]
    HeadGroups {
        /// Attention heads.
        heads: u64,
        /// Key/value heads.
        kv_heads: u64,
    },
    /// A file of another size than its header implies.
    #[error("the header implies {expected} bytes, but the file has {found}; download or export it again")]
    Size {
        /// Bytes that the header implies.
        expected: u128,
        /// Bytes of the file.
        found: usize,
    },
    /// A weight that is NaN or infinite.
    #[error("value {index} of {role:?}{} is {value}; weights must be finite", of_layer(*layer))]
    NotFinite {
        /// Role of the tensor.
        role: SourceRole,
        /// Its layer.
        layer: Option<u32>,
        /// Index of the value.
        index: usize,
        /// The value.
        value: f32,
    },
}

fn of_layer(layer: Option<u32>) -> String {
    layer.map_or_else(String::new, |layer| format!(" of layer {layer}"))
}

/// Reason why a tokenizer file cannot be imported.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TokenizerFileError {
    /// The file ends inside its first field.
    #[error("the file ends before its first piece")]
    NoPieces,
    /// The file ends inside a piece.
    #[error("the file ends in piece {piece}, but the model's vocabulary has {vocab}; name the model's own tokenizer with --tokenizer")]
    Truncated {
        /// Token id.
        piece: u32,
        /// Tokens of the model.
        vocab: u32,
    },
    /// The file has more pieces than the model.
    #[error("the file has more than the {0} pieces of the model's vocabulary; name the model's own tokenizer with --tokenizer")]
    TooManyPieces(u32),
    /// A score that is NaN or infinite.
    #[error("the score of piece {piece} is {score}; scores must be finite")]
    Score {
        /// Token id.
        piece: u32,
        /// Its score.
        score: f32,
    },
    /// A piece that is longer than the file states, or than an image stores.
    #[error("piece {piece} is longer than the {stated} bytes that the file states, or than {PIECE_BYTES_MAX}")]
    PieceLength {
        /// Token id.
        piece: u32,
        /// Longest piece that the file states.
        stated: usize,
    },
    /// A piece that is not UTF-8.
    #[error("piece {0} is not UTF-8")]
    NotUtf8(u32),
    /// A token that is not the byte token of its place.
    #[error("piece {piece} is not the byte token <0x{byte:02X}>")]
    ByteToken {
        /// Token id.
        piece: usize,
        /// The byte.
        byte: u8,
    },
}

/// The seven numbers of the header, checked against each other.
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

/// One part of the file: a tensor of one or all layers, or data without a role.
struct Segment {
    role: Option<SourceRole>,
    layers: Option<u64>,
    rows: u64,
    columns: u64,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Header, CheckpointError> {
        if bytes.starts_with(VERSIONED_MAGIC) {
            return Err(CheckpointError::Version);
        }
        let words = bytes.as_chunks().0;
        if bytes.len() < HEADER_BYTES {
            return Err(CheckpointError::NoHeader(bytes.len()));
        }
        let field = |index: usize| i32::from_le_bytes(words[index]);
        let size = |index: usize, name: &'static str| match field(index) {
            value @ 1.. => Ok(value as u64),
            value => Err(CheckpointError::Field { field: name, value }),
        };
        let (dim, hidden, layers) = (size(0, "width")?, size(1, "MLP width")?, size(2, "number of layers")?);
        let (heads, context) = (size(3, "number of heads")?, size(6, "context")?);
        let linear = field(4) < 0;
        let kv_heads = if linear { field(4).unsigned_abs() as u64 } else { size(4, "number of key/value heads")? };
        let vocab = field(5).unsigned_abs() as u64;
        if vocab == 0 {
            return Err(CheckpointError::Field { field: "vocabulary size", value: 0 });
        }
        if !dim.is_multiple_of(heads) || !(dim / heads).is_multiple_of(2) {
            return Err(CheckpointError::HeadWidth { dim, heads });
        }
        if !heads.is_multiple_of(kv_heads) {
            return Err(CheckpointError::HeadGroups { heads, kv_heads });
        }
        // llama2.c negates the vocabulary size if the embeddings are not tied: the head has weights of its own.
        Ok(Header { dim, hidden, layers, heads, kv_heads, head_dim: dim / heads, vocab, context, tied: field(5) > 0, linear })
    }

    /// The parts of the file after the header, in order.
    fn segments(&self) -> Vec<Segment> {
        let Header { dim, hidden, vocab, .. } = *self;
        let kv_dim = self.kv_heads * self.head_dim;
        let once = |role, rows, columns| Segment { role, layers: None, rows, columns };
        let each = |role, rows, columns| Segment { role: Some(role), layers: Some(self.layers), rows, columns };
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
            // Cosines and sines for older readers; they follow from ROTARY_BASE.
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
            bos: BOS,
            eos: BOS,
            ..Config::DECODER
        }
    }
}

/// Reads the shape and the weights of a checkpoint. Nothing is allocated before the size of the file matches its header.
///
/// # Errors
/// [`CheckpointError`].
pub fn model(file: &FileBytes) -> Result<(Config, Vec<Tensor>), CheckpointError> {
    let header = Header::read(file)?;
    let segments = header.segments();
    let floats = |s: &Segment| s.layers.unwrap_or(1) as u128 * s.rows as u128 * s.columns as u128;
    let expected = HEADER_BYTES as u128 + 4 * segments.iter().map(floats).sum::<u128>();
    if expected != file.len() as u128 {
        return Err(CheckpointError::Size { expected, found: file.len() });
    }
    let mut rest = &file[HEADER_BYTES..];
    let mut tensors = Vec::new();
    for Segment { role, layers, rows, columns } in segments {
        let (rows, columns) = (rows as usize, columns as usize);
        for layer in 0..layers.unwrap_or(1) {
            let (own, after) = rest.split_at(4 * rows * columns);
            rest = after;
            let Some(role) = role else { continue };
            let layer = layers.map(|_| layer as u32);
            tensors.push(Tensor { role, layer, rows, columns, data: finite(file.part(own), role, layer)?, bias: None });
        }
    }
    Ok((header.config(), tensors))
}

/// The values of one tensor, which must be finite.
fn finite(bytes: FileBytes, role: SourceRole, layer: Option<u32>) -> Result<TensorData, CheckpointError> {
    let data = TensorData::stored(bytes, ElementType::F32);
    match data.first_not_finite() {
        None => Ok(data),
        Some((index, value)) => Err(CheckpointError::NotFinite { role, layer, index, value }),
    }
}

/// The tokenizer's file beside a checkpoint, by the names that llama2.c gives it.
pub fn tokenizer_beside(model: &Path, vocab: u32) -> Option<PathBuf> {
    [format!("tok{vocab}.bin"), "tokenizer.bin".to_owned()].into_iter().map(|name| model.with_file_name(name)).find(|path| path.is_file())
}

/// Reads a tokenizer of `vocab` pieces.
///
/// # Errors
/// [`TokenizerFileError`].
pub fn tokenizer(bytes: &[u8], vocab: u32) -> Result<Tokenizer, TokenizerFileError> {
    let mut rest = bytes;
    let longest = word(&mut rest).ok_or(TokenizerFileError::NoPieces)?;
    let longest = u32::from_le_bytes(longest) as usize;
    let mut pieces = Vec::new();
    for piece in 0..vocab {
        let truncated = || TokenizerFileError::Truncated { piece, vocab };
        let score = f32::from_le_bytes(word(&mut rest).ok_or_else(truncated)?);
        let length = i32::from_le_bytes(word(&mut rest).ok_or_else(truncated)?);
        if !score.is_finite() {
            return Err(TokenizerFileError::Score { piece, score });
        }
        let length = usize::try_from(length).ok().filter(|&length| length <= PIECE_BYTES_MAX && length <= longest);
        let length = length.ok_or(TokenizerFileError::PieceLength { piece, stated: longest })?;
        let (bytes, after) = rest.split_at_checked(length).ok_or_else(truncated)?;
        if std::str::from_utf8(bytes).is_err() {
            return Err(TokenizerFileError::NotUtf8(piece));
        }
        rest = after;
        pieces.push(Piece { bytes: bytes.to_vec(), score });
    }
    if !rest.is_empty() {
        return Err(TokenizerFileError::TooManyPieces(vocab));
    }
    check_byte_tokens(&pieces)?;
    let scheme = Scheme::SentencePiece { first_byte: FIRST_BYTE, spaces: SentencePieceSpaces::LLAMA2C };
    Ok(Tokenizer::new(pieces, SpecialIds { bos: BOS, eos: BOS, unk: UNK }, scheme))
}

/// Checks that tokens 3 to 258 are the byte tokens.
fn check_byte_tokens(pieces: &[Piece]) -> Result<(), TokenizerFileError> {
    for byte in 0..=255_u8 {
        let piece = FIRST_BYTE as usize + byte as usize;
        if pieces.get(piece).is_none_or(|piece| piece.bytes != format!("<0x{byte:02X}>").as_bytes()) {
            return Err(TokenizerFileError::ByteToken { piece, byte });
        }
    }
    Ok(())
}

fn word(rest: &mut &[u8]) -> Option<[u8; 4]> {
    let (word, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*word)
}
