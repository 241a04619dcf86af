//! The smaller sections: tokenizer, rotary table, golden vector, metadata.

use attoformer::image::metadata::Metadata;

use crate::import::{Checkpoint, Decoding, Piece, Scheme, Tokenizer};

/// The tokenizer section.
pub fn tokenizer(tokenizer: &Tokenizer, out: &mut Vec<u8>) {
    let pieces = &tokenizer.pieces;
    let longest = pieces.iter().map(|piece| piece.bytes.len()).max().unwrap_or(0);
    let mut sorted: Vec<u32> = (0..pieces.len() as u32).collect();
    sorted.sort_by(|&a, &b| pieces[a as usize].bytes.cmp(&pieces[b as usize].bytes));

    let (kind, flags, own) = scheme_fields(tokenizer);
    put_words(out, [kind, pieces.len() as u32, longest as u32, flags, tokenizer.begin, tokenizer.end, own, tokenizer.unknown]);
    let ends = pieces.iter().scan(0, |end, piece| {
        *end += piece.bytes.len() as u32;
        Some(*end)
    });
    put_words(out, std::iter::once(0).chain(ends));
    if let Scheme::SentencePiece { .. } = tokenizer.scheme {
        put_words(out, pieces.iter().map(|piece| piece.score.to_bits()));
    }
    put_words(out, sorted);
    out.extend(pieces.iter().flat_map(|piece| &piece.bytes));
}

/// Kind, flags, and the header's one field that each kind has for itself.
fn scheme_fields(tokenizer: &Tokenizer) -> (u32, u32, u32) {
    const SENTENCEPIECE_BPE: u32 = 1;
    const WORDPIECE: u32 = 2;
    let flags = |flags: &[bool]| flags.iter().rev().fold(0, |bits, &flag| bits << 1 | u32::from(flag));
    match tokenizer.scheme {
        Scheme::SentencePiece { first_byte, space_prefix } => {
            let space_behind = |piece: &Piece| piece.bytes.iter().skip(1).any(|&byte| byte == b' ');
            let only_in_front = !tokenizer.pieces.iter().any(space_behind);
            (SENTENCEPIECE_BPE, flags(&[space_prefix, only_in_front]), first_byte)
        }
        Scheme::WordPiece { clean_text, chinese, strip_accents, lowercase, max_word_characters } => {
            (WORDPIECE, flags(&[clean_text, chinese, strip_accents, lowercase]), max_word_characters)
        }
    }
}

/// The rotary section: what one token adds to each pair, given in radians, as a fraction of a turn.
pub fn rotary(radians: &[f64], out: &mut Vec<u8>) {
    const TURN: f64 = 18_446_744_073_709_551_616.0; // 2^64
    for radians in radians {
        out.extend(((radians / std::f64::consts::TAU * TURN) as u64).to_le_bytes());
    }
}

/// The decoding section.
pub fn decoding(decoding: &Decoding, out: &mut Vec<u8>) {
    let lists = [&decoding.prompt, &decoding.suppressed, &decoding.suppressed_first];
    put_words(out, lists.map(|list| list.len() as u32));
    put_words(out, lists.into_iter().flatten().copied());
}

/// The metadata section.
pub fn metadata(checkpoint: &Checkpoint, out: &mut Vec<u8>) {
    let metadata = Metadata {
        name: &checkpoint.name,
        source: &checkpoint.path.file_name().unwrap_or_default().to_string_lossy(),
        source_sha256: checkpoint.sha256,
        packer: concat!("atto ", env!("CARGO_PKG_VERSION")),
        parameters: checkpoint.parameters(),
    };
    out.extend(postcard::to_stdvec(&metadata).expect("strings and numbers always serialize to memory"));
}

/// Byte of the golden section where its hash stands.
pub const GOLDEN_HASH_AT: usize = 8;

/// What a golden vector feeds.
pub struct GoldenInput {
    /// Tokens to feed.
    pub tokens: Vec<u32>,
    /// `(rows, features)`.
    pub features: Vec<f32>,
    /// Rows of features.
    pub rows: u32,
    /// Tokens to generate.
    pub generate: u32,
}

/// The golden section, its hash still zero.
pub fn golden(input: &GoldenInput, out: &mut Vec<u8>) {
    put_words(out, [input.tokens.len() as u32, input.generate, 0, input.rows]);
    put_words(out, input.tokens.iter().copied());
    put_words(out, input.features.iter().map(|value| value.to_bits()));
}

fn put_words(out: &mut Vec<u8>, words: impl IntoIterator<Item = u32>) {
    out.extend(words.into_iter().flat_map(u32::to_le_bytes));
}
