//! Reading the tokenizer section: everything it could lie about is checked here, once.

use super::{Cut, Tokenizer, Words};
use crate::error::Error;

const HEADER_BYTES: usize = 32;
const KIND_SENTENCEPIECE: u32 = 1;
const FLAG_SPACE_IN_FRONT: u32 = 1;
const FLAG_SPACE_ONLY_FIRST: u32 = 2;
const MAX_PIECE_BYTES: usize = 255;

fn wrong(what: &'static str) -> Error {
    Error::Tokenizer { what }
}

/// The section's tables as [`Tokenizer`] keeps them, all contradictions refused.
pub(super) fn read(section: &[u8], vocab: u32) -> Result<Tokenizer<'_>, Error> {
    let (header, rest) = section.split_at_checked(HEADER_BYTES).ok_or(wrong("the section is cut"))?;
    let &[kind, count, longest, flags, begin, end, first_byte, unknown] = header.as_chunks::<4>().0 else {
        return Err(wrong("the section is cut"));
    };
    if u32::from_le_bytes(kind) != KIND_SENTENCEPIECE {
        return Err(wrong("its kind is not one this engine reads"));
    }
    if u32::from_le_bytes(count) != vocab {
        return Err(wrong("its vocabulary differs from the header's"));
    }
    let entries = vocab as usize;
    let (offsets, rest) = words(rest, entries.checked_add(1))?;
    let (scores, rest) = words(rest, Some(entries))?;
    let (sorted, bytes) = words(rest, Some(entries))?;
    let flags = u32::from_le_bytes(flags);
    let tokenizer = Tokenizer {
        offsets,
        scores,
        sorted,
        bytes,
        longest: u32::from_le_bytes(longest) as usize,
        begin: u32::from_le_bytes(begin),
        end: u32::from_le_bytes(end),
        first_byte: u32::from_le_bytes(first_byte),
        unknown: u32::from_le_bytes(unknown),
        space_in_front: flags & FLAG_SPACE_IN_FRONT != 0,
        cut: Cut::Never,
    };
    tokenizer.check_tokens()?;
    tokenizer.check_pieces()?;
    tokenizer.check_order()?;
    if !scores.iter().all(|score| f32::from_le_bytes(*score).is_finite()) {
        return Err(wrong("a score is not finite"));
    }
    Ok(Tokenizer { cut: tokenizer.check_flags(flags)?, ..tokenizer })
}

/// Splits `count` words off the front of `bytes`.
fn words(bytes: &[u8], count: Option<usize>) -> Result<(Words<'_>, &[u8]), Error> {
    let size = count.and_then(|count| count.checked_mul(4)).ok_or(wrong("the section is cut"))?;
    let (front, rest) = bytes.split_at_checked(size).ok_or(wrong("the section is cut"))?;
    Ok((front.as_chunks::<4>().0, rest))
}

impl Tokenizer<'_> {
    fn check_tokens(&self) -> Result<(), Error> {
        let vocab = self.vocab();
        if self.begin >= vocab || self.end >= vocab || self.unknown >= vocab {
            return Err(wrong("its begin, end or unknown token is not in the vocabulary"));
        }
        if self.first_byte.checked_add(256).is_none_or(|end| end > vocab) {
            return Err(wrong("its byte tokens are not in the vocabulary"));
        }
        // Otherwise a byte of text could become a control token.
        if self.byte(self.begin).is_some() || self.byte(self.end).is_some() {
            return Err(wrong("its begin or end token is a byte token"));
        }
        Ok(())
    }

    fn check_pieces(&self) -> Result<(), Error> {
        let mut last = 0;
        let mut longest = 0;
        for (index, offset) in self.offsets.iter().enumerate() {
            let offset = u32::from_le_bytes(*offset) as usize;
            if offset < last || (index == 0 && offset != 0) {
                return Err(wrong("its offsets do not ascend from 0"));
            }
            longest = longest.max(offset - last);
            last = offset;
        }
        if last != self.bytes.len() {
            return Err(wrong("its pieces do not end where the section does"));
        }
        if longest > MAX_PIECE_BYTES || longest != self.longest {
            return Err(wrong("its longest piece is not as long as it states, or above 255 bytes"));
        }
        for token in 0..self.vocab() {
            let text = self.stored(token).is_some_and(|piece| core::str::from_utf8(piece).is_ok());
            if !text && self.byte(token).is_none() {
                return Err(wrong("a piece is not UTF-8"));
            }
        }
        Ok(())
    }

    /// As many ids as tokens, all in range and no two equal: then each is there once, without a set to tick them off.
    fn check_order(&self) -> Result<(), Error> {
        let mut before = None;
        for word in self.sorted {
            let token = u32::from_le_bytes(*word);
            let piece = self.stored(token).ok_or(wrong("a sorted id is not in the vocabulary"))?;
            if before.is_some_and(|before| before >= (piece, token)) {
                return Err(wrong("its sorted ids are not in the order of their pieces"));
            }
            before = Some((piece, token));
        }
        Ok(())
    }

    fn check_flags(&self, flags: u32) -> Result<Cut, Error> {
        // A flag of a later version may change the meaning of the rest.
        if flags & !(FLAG_SPACE_IN_FRONT | FLAG_SPACE_ONLY_FIRST) != 0 {
            return Err(wrong("it has a flag this engine does not know"));
        }
        let mut runs = true;
        let mut spaces = true;
        for piece in (0..self.vocab()).filter_map(|token| self.stored(token)) {
            spaces &= !piece.iter().skip(1).any(|&byte| byte == b' ');
            runs &= !piece.iter().skip_while(|&&byte| byte == b' ').any(|&byte| byte == b' ');
        }
        match (flags & FLAG_SPACE_ONLY_FIRST != 0, spaces, runs) {
            (true, false, _) => Err(wrong("a piece holds a space behind its start, its flag 2 denies it")),
            (_, true, _) => Ok(Cut::Spaces),
            (_, _, true) => Ok(Cut::Runs),
            _ => Ok(Cut::Never),
        }
    }
}
