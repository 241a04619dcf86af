//! Reading the tokenizer section: everything it could lie about is checked here and in the kinds' own readers, once.

use super::bpe::Bpe;
use super::vocabulary::{Vocabulary, Words};
use super::wordpiece::WordPiece;
use super::{Kind, Tokenizer};
use crate::error::Error;

const HEADER_BYTES: usize = 32;
const KIND_SENTENCEPIECE: u32 = 1;
const KIND_WORDPIECE: u32 = 2;

pub(super) fn wrong(what: &'static str) -> Error {
    Error::Tokenizer { what }
}

/// The section's tables as [`Tokenizer`] keeps them, all contradictions refused.
pub(super) fn read(section: &[u8], vocab: u32) -> Result<Tokenizer<'_>, Error> {
    let (header, rest) = section.split_at_checked(HEADER_BYTES).ok_or(wrong("the section is cut"))?;
    let &[kind, count, longest, flags, begin, end, own, unknown] = header.as_chunks::<4>().0 else {
        return Err(wrong("the section is cut"));
    };
    let kind = u32::from_le_bytes(kind);
    if kind != KIND_SENTENCEPIECE && kind != KIND_WORDPIECE {
        return Err(wrong("its kind is not one this engine reads"));
    }
    if u32::from_le_bytes(count) != vocab {
        return Err(wrong("its vocabulary differs from the header's"));
    }
    let entries = vocab as usize;
    let (offsets, rest) = words(rest, entries.checked_add(1))?;
    let (scores, rest) = words(rest, Some(if kind == KIND_SENTENCEPIECE { entries } else { 0 }))?;
    let (sorted, bytes) = words(rest, Some(entries))?;
    let (flags, own) = (u32::from_le_bytes(flags), u32::from_le_bytes(own));
    let vocabulary = Vocabulary {
        offsets,
        sorted,
        bytes,
        longest: u32::from_le_bytes(longest) as usize,
        begin: u32::from_le_bytes(begin),
        end: u32::from_le_bytes(end),
        unknown: u32::from_le_bytes(unknown),
    };
    let kind = match kind {
        KIND_SENTENCEPIECE => Kind::Bpe(Bpe::new(vocabulary, scores, own, flags)?),
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
