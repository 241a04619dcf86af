//! Reading the tokenizer section: everything it could lie about is checked here and in the kinds' own readers, once.

use super::bpe::Bpe;
use super::byte_bpe::{ByteBpe, Tables};
use super::unigram::{self, Unigram};
use super::vocabulary::{Vocabulary, Words};
use super::wordpiece::WordPiece;
use super::{Kind, Tokenizer};
use crate::error::Error;

const HEADER_BYTES: usize = 32;
const KIND_SENTENCEPIECE: u32 = 1;
const KIND_WORDPIECE: u32 = 2;
const KIND_BYTE_BPE: u32 = 3;
const KIND_UNIGRAM: u32 = 4;
/// A table of added tokens follows the sorted ids.
const FLAG_ADDED: u32 = 1 << 8;

pub(super) fn wrong(what: &'static str) -> Error {
    Error::Tokenizer { what }
}

/// The section's tables as [`Tokenizer`] keeps them, all contradictions refused.
pub(super) fn read(section: &[u8], vocab: u32) -> Result<Tokenizer<'_>, Error> {
    let (header, rest) = section.split_at_checked(HEADER_BYTES).ok_or(wrong("the section is cut"))?;
    let &[kind, count, longest, flags, bos, eos, own, unk] = header.as_chunks::<4>().0 else {
        return Err(wrong("the section is cut"));
    };
    let [kind, count, longest, flags, bos, eos, own, unk] = [kind, count, longest, flags, bos, eos, own, unk].map(u32::from_le_bytes);
    if !matches!(kind, KIND_SENTENCEPIECE | KIND_WORDPIECE | KIND_BYTE_BPE | KIND_UNIGRAM) {
        return Err(wrong("its kind is not one this engine reads"));
    }
    if count != vocab {
        return Err(wrong("its vocabulary differs from the header's"));
    }
    let entries = vocab as usize;
    let (offsets, rest) = words(rest, entries.checked_add(1))?;
    let scores = match kind {
        KIND_SENTENCEPIECE => Some(entries),
        KIND_UNIGRAM => entries.checked_mul(if flags & unigram::FLAG_WIDE != 0 { 2 } else { 1 }),
        _ => Some(0),
    };
    let (scores, rest) = words(rest, scores)?;
    let (sorted, rest) = words(rest, Some(entries))?;
    let has_added = flags & FLAG_ADDED != 0 && kind != KIND_WORDPIECE;
    let (added, rest) = if has_added { counted_words(rest, 2)? } else { words(rest, Some(0))? };
    let (tables, bytes) = if kind == KIND_BYTE_BPE { byte_bpe_tables(rest, entries)? } else { (Tables::default(), rest) };
    let has_map = kind == KIND_UNIGRAM && flags & unigram::FLAG_MAP != 0;
    let (map, bytes) = if has_map { counted_words(bytes, 2)? } else { words(bytes, Some(0))? };
    let (strings, bytes) = if has_map { counted_bytes(bytes)? } else { (&[][..], bytes) };
    let flags = if has_added { flags & !FLAG_ADDED } else { flags };
    let vocabulary = Vocabulary { offsets, sorted, bytes, longest: longest as usize, bos, eos, unk };
    let kind = match kind {
        KIND_SENTENCEPIECE => Kind::Bpe(Bpe::new(vocabulary, scores, added, own, flags)?),
        KIND_UNIGRAM => Kind::Unigram(Unigram::new(vocabulary, unigram::Tables { scores, map, strings }, added, own, flags)?),
        KIND_BYTE_BPE => Kind::ByteBpe(ByteBpe::new(vocabulary, added, tables, own, flags)?),
        _ => Kind::WordPiece(WordPiece::new(vocabulary, own, flags)?),
    };
    Ok(Tokenizer { kind })
}

/// Splits `count` words off the front of `bytes`.
fn words(bytes: &[u8], count: Option<usize>) -> Result<(Words<'_>, &[u8]), Error> {
    let size = count.and_then(|count| count.checked_mul(4)).ok_or(wrong("the section is cut"))?;
    let (front, rest) = bytes.split_at_checked(size).ok_or(wrong("the section is cut"))?;
    Ok((front.as_chunks::<4>().0, rest))
}

/// Splits a count, and `each` times so many words, off the front of `bytes`.
fn counted_words(bytes: &[u8], each: usize) -> Result<(Words<'_>, &[u8]), Error> {
    let (count, rest) = words(bytes, Some(1))?;
    let count = count.first().map_or(0, |count| u32::from_le_bytes(*count) as usize);
    words(rest, count.checked_mul(each))
}

/// Splits a count and so many bytes off the front of `bytes`.
fn counted_bytes(bytes: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (count, rest) = words(bytes, Some(1))?;
    let count = count.first().map_or(0, |count| u32::from_le_bytes(*count) as usize);
    rest.split_at_checked(count).ok_or(wrong("the section is cut"))
}

/// Splits the tables of byte-level BPE off the front of `bytes`.
fn byte_bpe_tables(bytes: &[u8], entries: usize) -> Result<(Tables<'_>, &[u8]), Error> {
    let (bytes, rest) = words(bytes, Some(256))?;
    let (starts, rest) = words(rest, entries.checked_add(1))?;
    let count = starts.last().map_or(0, |count| u32::from_le_bytes(*count) as usize);
    let (pairs, rest) = words(rest, count.checked_mul(3))?;
    Ok((Tables { bytes, starts, pairs: pairs.as_chunks::<3>().0 }, rest))
}
