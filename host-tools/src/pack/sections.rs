//! The smaller sections: tokenizer, rotary table, generation config, picture front end, metadata.

use std::collections::HashMap;

use attoformer::frontend::pictures::{Pictures, Resize};
use attoformer::image::Metadata;
use attoformer::internals::tokenizer::flags;

use crate::import::tokenizer::AddedToken;
use crate::import::{Checkpoint, GenerationConfig, Piece, Scheme, Tokenizer};

/// Appends the tokenizer section.
pub fn tokenizer(tokenizer: &Tokenizer, out: &mut Vec<u8>) {
    let pieces = &tokenizer.pieces;
    let longest = pieces.iter().map(|piece| piece.bytes.len()).max().unwrap_or(0);
    let mut sorted: Vec<u32> = (0..pieces.len() as u32).collect();
    sorted.sort_by(|&a, &b| pieces[a as usize].bytes.cmp(&pieces[b as usize].bytes));

    let (kind, flags, own) = scheme_fields(tokenizer);
    put_words(out, [kind, pieces.len() as u32, longest as u32, flags, tokenizer.bos, tokenizer.eos, own, tokenizer.unk]);
    let ends = pieces.iter().scan(0, |end, piece| {
        *end += piece.bytes.len() as u32;
        Some(*end)
    });
    put_words(out, std::iter::once(0).chain(ends));
    if let Scheme::SentencePiece { .. } = tokenizer.scheme {
        put_words(out, pieces.iter().map(|piece| piece.score.to_bits()));
    }
    if let Scheme::Unigram { .. } = tokenizer.scheme {
        put_scores(tokenizer, out);
    }
    put_words(out, sorted);
    put_added(tokenizer, out);
    if let Scheme::ByteBpe { .. } = tokenizer.scheme {
        put_pairs(tokenizer, out);
    }
    put_charmap(tokenizer, out);
    out.extend(pieces.iter().flat_map(|piece| &piece.bytes));
}

/// Whether a Unigram score needs more precision than f32.
fn is_wide(tokenizer: &Tokenizer) -> bool {
    tokenizer.scores.iter().any(|&score| f64::from(score as f32) != score)
}

/// Appends the scores of a Unigram: as f32 if that is exact, otherwise as f64.
fn put_scores(tokenizer: &Tokenizer, out: &mut Vec<u8>) {
    let padding = std::iter::repeat(0.0); // for a token table longer than the vocabulary
    let scores = tokenizer.scores.iter().copied().chain(padding).take(tokenizer.pieces.len());
    if is_wide(tokenizer) {
        out.extend(scores.flat_map(f64::to_le_bytes));
    } else {
        out.extend(scores.flat_map(|score| (score as f32).to_le_bytes()));
    }
}

/// Appends the table of added tokens, sorted by their bytes; nothing without added tokens.
fn put_added(tokenizer: &Tokenizer, out: &mut Vec<u8>) {
    let mut added = tokenizer.added.clone();
    added.sort_by_key(|added| &tokenizer.pieces[added.token as usize].bytes);
    if added.is_empty() {
        return;
    }
    put_words(out, [added.len() as u32]);
    let properties = |added: &AddedToken| {
        bits([
            (flags::added::SPECIAL, added.special),
            (flags::added::LSTRIP, added.lstrip),
            (flags::added::RSTRIP, added.rstrip),
            (flags::added::NORMALIZED, added.normalized),
        ])
    };
    put_words(out, added.iter().flat_map(|added| [added.token, properties(added)]));
}

/// Appends the tables of byte-level BPE: the token of each byte, the first pair of each left token, and for each pair the right token, the merge
/// rank and the merged token.
fn put_pairs(tokenizer: &Tokenizer, out: &mut Vec<u8>) {
    let is_added = |token: usize| tokenizer.added.iter().any(|added| added.token as usize == token);
    let of_byte = |byte: u8| tokenizer.pieces.iter().enumerate().position(|(id, piece)| piece.bytes == [byte] && !is_added(id));
    put_words(out, (0..=255).map(|byte| of_byte(byte).map_or(flags::byte_bpe::ABSENT, |token| token as u32)));
    let mut pairs: Vec<(u32, u32, u32, u32)> =
        tokenizer.merges.iter().zip(0..).map(|(merge, rank)| (merge.left, merge.right, rank, merge.merged)).collect();
    pairs.sort_unstable();
    let starts = (0..=tokenizer.pieces.len() as u32).map(|left| pairs.partition_point(|pair| pair.0 < left) as u32);
    put_words(out, starts);
    put_words(out, pairs.iter().flat_map(|&(_, right, rank, merged)| [right, rank, merged]));
}

/// Appends the character map (charsmap): rows of a key (40 bits, first byte most significant) and the offset of its replacement (24 bits), then the
/// replacements; nothing without a map.
fn put_charmap(tokenizer: &Tokenizer, out: &mut Vec<u8>) {
    let charmap = &tokenizer.charmap;
    if charmap.is_empty() {
        return;
    }
    let mut strings = String::new();
    let mut starts: HashMap<&str, usize> = HashMap::new();
    let mut rows: Vec<u64> = Vec::new();
    for (key, replacement) in charmap {
        let start = *starts.entry(replacement).or_insert_with(|| {
            strings.push_str(replacement);
            strings.push(flags::unigram::CHARSMAP_END);
            strings.len() - replacement.len() - 1
        });
        let key = (0..flags::unigram::CHARSMAP_KEY_BYTES)
            .fold(0, |bytes, at| bytes << 8 | u64::from(key.as_bytes().get(at).copied().unwrap_or(0)));
        rows.push(key << flags::unigram::CHARSMAP_START_BITS | start as u64);
    }
    put_words(out, [rows.len() as u32]);
    out.extend(rows.into_iter().flat_map(u64::to_le_bytes));
    put_words(out, [strings.len() as u32]);
    out.extend(strings.bytes());
}

/// The bits of the flags that are set.
fn bits<const N: usize>(flags: [(u32, bool); N]) -> u32 {
    flags.iter().filter(|(_, set)| *set).fold(0, |bits, (bit, _)| bits | bit)
}

/// The kind, the flags and the kind-specific header field of a tokenizer.
fn scheme_fields(tokenizer: &Tokenizer) -> (u32, u32, u32) {
    let Tokenizer { add_bos, add_eos, .. } = *tokenizer;
    let added = bits([(flags::ADDED_TOKENS, !tokenizer.added.is_empty())]);
    match tokenizer.scheme {
        Scheme::SentencePiece { first_byte, spaces } => {
            let space_after_start = |piece: &Piece| piece.bytes.iter().skip(1).any(|&byte| byte == b' ');
            let own = bits([
                (flags::bpe::ADD_DUMMY_PREFIX, spaces.add_dummy_prefix),
                (flags::bpe::SPACE_ONLY_FIRST, !tokenizer.pieces.iter().any(space_after_start)),
                (flags::bpe::NO_BOS, !add_bos),
                (flags::bpe::ADD_EOS, add_eos),
                (flags::bpe::METASPACE, spaces.metaspace_is_space),
                (flags::bpe::PREFIX_FIRST, spaces.start_of_text_only),
                (flags::bpe::PREFIX_UNLESS_SPACE, spaces.unless_present),
            ]);
            (flags::KIND_BPE, own | added, first_byte)
        }
        Scheme::WordPiece { clean_text, handle_chinese_chars, strip_accents, lowercase, max_word_characters } => {
            let own = bits([
                (flags::wordpiece::CLEAN_TEXT, clean_text),
                (flags::wordpiece::HANDLE_CHINESE_CHARS, handle_chinese_chars),
                (flags::wordpiece::STRIP_ACCENTS, strip_accents),
                (flags::wordpiece::LOWERCASE, lowercase),
            ]);
            (flags::KIND_WORDPIECE, own, max_word_characters)
        }
        Scheme::ByteBpe { split, nfc, ignore_merges } => {
            let own = bits([
                (flags::byte_bpe::ADD_BOS, add_bos),
                (flags::byte_bpe::ADD_EOS, add_eos),
                (flags::byte_bpe::IGNORE_MERGES, ignore_merges),
                (flags::byte_bpe::NFC, nfc),
            ]);
            (flags::KIND_BYTE_BPE, own | added, split as u32)
        }
        Scheme::Unigram { first_byte, spaces } => {
            let own = bits([
                (flags::unigram::ADD_BOS, add_bos),
                (flags::unigram::ADD_EOS, add_eos),
                (flags::unigram::BYTE_FALLBACK, first_byte.is_some()),
                (flags::unigram::WIDE_SCORES, is_wide(tokenizer)),
                (flags::unigram::CHARSMAP, !tokenizer.charmap.is_empty()),
                (flags::unigram::STRIP, spaces.strip),
                (flags::unigram::TRIM_END, spaces.trim_end),
                (flags::unigram::COLLAPSE_SPACES, spaces.collapse_spaces),
                (flags::unigram::COLLAPSE_TO_SPACE, spaces.collapse_to_plain_space),
                (flags::unigram::SPLIT_WHITESPACE, spaces.split_whitespace),
                (flags::unigram::ADD_DUMMY_PREFIX, spaces.add_dummy_prefix),
                (flags::unigram::PREFIX_FIRST, spaces.first_word_only),
                (flags::unigram::SPLIT_AT_SPACES, spaces.split_at_spaces),
            ]);
            (flags::KIND_UNIGRAM, own | added, first_byte.unwrap_or(0))
        }
    }
}

/// Appends the rotary (RoPE) section: the angle per token of each pair, from radians to a fraction of a turn.
pub fn rotary(radians: &[f64], out: &mut Vec<u8>) {
    const TURN: f64 = 18_446_744_073_709_551_616.0; // 2^64
    for radians in radians {
        out.extend(((radians / std::f64::consts::TAU * TURN) as u64).to_le_bytes());
    }
}

/// Appends the generation config section of a Whisper model.
pub fn decoding(decoding: &GenerationConfig, out: &mut Vec<u8>) {
    let lists = [&decoding.prompt, &decoding.suppress_tokens, &decoding.begin_suppress_tokens, &decoding.languages];
    put_words(out, lists.map(|list| list.len() as u32));
    put_words(out, [decoding.transcribe, decoding.translate, decoding.no_timestamps, decoding.max_initial_timestamp]);
    put_words(out, lists.into_iter().flatten().copied());
}

/// Appends the picture front-end section.
pub fn pictures(pictures: &Pictures, out: &mut Vec<u8>) {
    let [height, width] = match pictures.resize {
        Resize::Keep => [0, 0],
        Resize::Shorter(side) => [side, 0],
        Resize::To(height, width) => [height, width],
    };
    put_words(out, [pictures.height, pictures.width, pictures.channels, pictures.patch].map(|count| count as u32));
    put_words(out, std::iter::once(pictures.scale).chain(pictures.mean).chain(pictures.deviation).map(f32::to_bits));
    put_words(out, [height as u32, width as u32, pictures.filter as u32, 0, 0]);
}

/// Appends the metadata section.
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

/// Appends little-endian words.
pub(super) fn put_words(out: &mut Vec<u8>, words: impl IntoIterator<Item = u32>) {
    out.extend(words.into_iter().flat_map(u32::to_le_bytes));
}
