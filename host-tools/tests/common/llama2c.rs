//! Writer of llama2.c checkpoints and tokenizers, for the tests of all crates.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

use attoformer_tools::import::{Checkpoint, Piece, SourceRole, Tokenizer};

/// The special tokens and byte tokens that every llama2.c vocabulary begins with.
pub fn base_pieces() -> impl Iterator<Item = String> {
    let special = ["<unk>", "\n<s>\n", "\n</s>\n"].map(str::to_owned);
    special.into_iter().chain((0..256).map(|byte| format!("<0x{byte:02X}>")))
}

/// The bytes of a checkpoint, version 0: the seven numbers of the header, then the weights.
pub fn file(header: [i32; 7], weights: impl IntoIterator<Item = f32>) -> Vec<u8> {
    let header = header.into_iter().flat_map(i32::to_le_bytes);
    header.chain(weights.into_iter().flat_map(f32::to_le_bytes)).collect()
}

/// The bytes of a checkpoint of the Llama family.
///
/// # Panics
/// If a tensor of the family is missing.
pub fn checkpoint(checkpoint: &Checkpoint) -> Vec<u8> {
    const LAYER: [SourceRole; 9] = [
        SourceRole::AttnNorm,
        SourceRole::Query,
        SourceRole::Key,
        SourceRole::Value,
        SourceRole::AttnOut,
        SourceRole::MlpNorm,
        SourceRole::Gate,
        SourceRole::Down,
        SourceRole::Up,
    ];
    let config = &checkpoint.config;
    let vocab = if config.tied_head { config.vocab as i32 } else { -(config.vocab as i32) };
    let [dim, hidden, layers, heads, kv_heads, context] =
        [config.d_model, config.d_hidden, config.layers, config.heads, config.kv_heads, config.context].map(|size| size as i32);
    let mut weights = Vec::new();
    let mut put = |role: SourceRole, layer: Option<u32>| {
        let tensor = checkpoint.tensor(role, layer).expect("llama2.c's models have this tensor");
        weights.extend_from_slice(&tensor.values());
    };
    put(SourceRole::Embedding, None);
    for role in LAYER {
        (0..config.layers).for_each(|layer| put(role, Some(layer)));
    }
    put(SourceRole::FinalNorm, None);
    // The tables of cosines and sines for older readers, which are not read.
    weights.resize(weights.len() + (config.context * config.head_dim) as usize, 0.0);
    if let Some(head) = checkpoint.tensor(SourceRole::Head, None) {
        weights.extend_from_slice(&head.values());
    }
    file([dim, hidden, layers, heads, kv_heads, vocab, context], weights)
}

/// The bytes of a tokenizer: the length of the longest piece, then score, length and bytes of each piece.
pub fn tokenizer(tokenizer: &Tokenizer) -> Vec<u8> {
    pieces(&tokenizer.pieces)
}

/// The bytes of a tokenizer with these pieces.
pub fn pieces(pieces: &[Piece]) -> Vec<u8> {
    let longest = pieces.iter().map(|piece| piece.bytes.len()).max().unwrap_or(0) as u32;
    let piece = |piece: &Piece| [&piece.score.to_le_bytes()[..], &(piece.bytes.len() as i32).to_le_bytes(), &piece.bytes].concat();
    longest.to_le_bytes().into_iter().chain(pieces.iter().flat_map(piece)).collect()
}
