//! The smaller sections: tokenizer, rotary table, golden vector, metadata.

use attoformer::image::metadata::Metadata;

use crate::import::{Checkpoint, Tokenizer};

const SPACE_PREFIX: u32 = 1;
const SPACES_ONLY_IN_FRONT: u32 = 2;

/// The tokenizer section.
pub fn tokenizer(tokenizer: &Tokenizer, out: &mut Vec<u8>) {
    const SENTENCEPIECE_BPE: u32 = 1;
    let pieces = &tokenizer.pieces;
    let longest = pieces.iter().map(|piece| piece.bytes.len()).max().unwrap_or(0);
    let mut sorted: Vec<u32> = (0..pieces.len() as u32).collect();
    sorted.sort_by(|&a, &b| pieces[a as usize].bytes.cmp(&pieces[b as usize].bytes));

    let head = [
        SENTENCEPIECE_BPE,
        pieces.len() as u32,
        longest as u32,
        flags(tokenizer),
        tokenizer.begin,
        tokenizer.end,
        tokenizer.first_byte,
        tokenizer.unknown,
    ];
    put_words(out, head);
    let ends = pieces.iter().scan(0, |end, piece| {
        *end += piece.bytes.len() as u32;
        Some(*end)
    });
    put_words(out, std::iter::once(0).chain(ends));
    put_words(out, pieces.iter().map(|piece| piece.score.to_bits()));
    put_words(out, sorted);
    out.extend(pieces.iter().flat_map(|piece| &piece.bytes));
}

fn flags(tokenizer: &Tokenizer) -> u32 {
    let space_behind = |bytes: &[u8]| bytes.iter().skip(1).any(|&byte| byte == b' ');
    let only_in_front = !tokenizer.pieces.iter().any(|piece| space_behind(&piece.bytes));
    u32::from(tokenizer.space_prefix) * SPACE_PREFIX + u32::from(only_in_front) * SPACES_ONLY_IN_FRONT
}

/// The rotary section: what one token adds to pair i, `base^(-2i / head_dim)` radians, as a fraction of a turn.
pub fn rotary(base: f64, head_dim: u32, out: &mut Vec<u8>) {
    const TURN: f64 = 18_446_744_073_709_551_616.0; // 2^64
    for pair in 0..head_dim / 2 {
        let exponent = -2.0 * pair as f64 / head_dim as f64;
        // libm's pow, because the system's may differ in the last bit from one PC to the next.
        let radians = libm::pow(base, exponent);
        out.extend(((radians / std::f64::consts::TAU * TURN) as u64).to_le_bytes());
    }
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

/// The golden section, its hash still zero.
pub fn golden(fed: &[u32], generate: u32, out: &mut Vec<u8>) {
    put_words(out, [fed.len() as u32, generate, 0, 0]);
    put_words(out, fed.iter().copied());
}

fn put_words(out: &mut Vec<u8>, words: impl IntoIterator<Item = u32>) {
    out.extend(words.into_iter().flat_map(u32::to_le_bytes));
}
