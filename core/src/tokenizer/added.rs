//! Tokens that a text may spell out: matched before it is split into words, as the `tokenizers` crate matches its added tokens.

use super::section::wrong;
use super::vocabulary::{Vocabulary, Words};
use crate::error::Error;
use core::cmp::Ordering;

/// Only [`Tokenizer::encode_parse_special`](super::Tokenizer::encode_parse_special) matches it.
const CONTROL: u32 = 1;
/// It takes the white space before it.
const STRIP_LEFT: u32 = 2;
/// It takes the white space behind it.
const STRIP_RIGHT: u32 = 4;
/// It is matched in what the tokens without this flag leave.
const LATE: u32 = 8;
const ALL_FLAGS: u32 = CONTROL | STRIP_LEFT | STRIP_RIGHT | LATE;

/// One row of the section's table: a token and its flags.
type Row = [[u8; 4]; 2];

/// The added tokens of a vocabulary.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added<'a> {
    /// In the order of their pieces' bytes.
    rows: &'a [Row],
}

/// A part of a text.
pub(super) enum Part<'t> {
    Text(&'t str),
    Token(u32),
}

impl<'a> Added<'a> {
    /// Checks what the section states: ids and flags that it may hold, pieces in order, none empty, none twice.
    pub fn new(words: Words<'a>, vocabulary: &Vocabulary<'_>) -> Result<Self, Error> {
        let (rows, rest) = words.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(wrong("its added tokens are cut"));
        }
        let mut before: &[u8] = &[];
        for row in rows {
            let (token, flags) = read(row);
            let piece = vocabulary.stored(token).ok_or(wrong("an added token is not in the vocabulary"))?;
            if flags & !ALL_FLAGS != 0 {
                return Err(wrong("an added token has a flag this engine does not know"));
            }
            if core::str::from_utf8(piece).is_err() {
                return Err(wrong("an added token is not UTF-8"));
            }
            if piece <= before {
                return Err(wrong("its added tokens are not in the order of their pieces"));
            }
            before = piece;
        }
        Ok(Added { rows })
    }

    /// The begin, end and unknown tokens of a vocabulary without a table of its own, for [`Added::rows`].
    pub fn special_tokens(vocabulary: &Vocabulary<'_>) -> [Row; 3] {
        let mut tokens = [vocabulary.bos, vocabulary.eos, vocabulary.unk];
        tokens.sort_unstable_by_key(|&token| vocabulary.stored(token));
        tokens.map(|token| [token.to_le_bytes(), CONTROL.to_le_bytes()])
    }

    /// A table made by [`Added::special_tokens`].
    pub fn of_special_tokens(rows: &'a [Row]) -> Self {
        Added { rows }
    }

    /// The flags of `token`, if it is one of these.
    fn flags(&self, token: u32, vocabulary: &Vocabulary<'_>) -> Option<u32> {
        let piece = vocabulary.stored(token)?;
        let at = self.rows.partition_point(|row| vocabulary.stored(read(row).0) < Some(piece));
        let (found, flags) = read(self.rows.get(at)?);
        (found == token).then_some(flags)
    }

    /// Whether `token` is one of these.
    pub fn contains(&self, token: u32, vocabulary: &Vocabulary<'_>) -> bool {
        self.flags(token, vocabulary).is_some()
    }

    /// Whether `token` is one of these that text may not spell.
    pub fn is_control(&self, token: u32, vocabulary: &Vocabulary<'_>) -> bool {
        self.flags(token, vocabulary).is_some_and(|flags| flags & CONTROL != 0)
    }

    /// Whether any is matched in what the others leave.
    pub fn any_late(&self) -> bool {
        self.rows.iter().any(|row| read(row).1 & LATE != 0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes the added tokens in `text` to `out`, and what is between them by `encode`: it is given what those that are not late leave, and
    /// of that a part between late ones.
    pub fn encode_parts(
        &self,
        vocabulary: &Vocabulary<'_>,
        text: &str,
        with_control: bool,
        out: &mut [u32],
        encode: impl Fn(&str, &str, &mut [u32]) -> Result<usize, Error>,
    ) -> Result<usize, Error> {
        let have = out.len();
        let mut count = 0_usize;
        let mut put = |whole: &str, part: Part<'_>| {
            let full = Error::BufferTooSmall { need: have.saturating_add(1), have };
            let room = out.get_mut(count..).ok_or(full)?;
            let tokens = match part {
                Part::Token(token) => room.first_mut().map(|first| *first = token).map(|()| 1).ok_or(full)?,
                Part::Text(text) => encode(whole, text, room)?,
            };
            count = count.saturating_add(tokens);
            Ok(())
        };
        for part in self.parts(vocabulary, text, with_control, 0) {
            if let Part::Text(text) = part {
                for part in self.parts(vocabulary, text, with_control, LATE) {
                    put(text, part)?;
                }
            } else {
                put(text, part)?;
            }
        }
        Ok(count)
    }

    fn parts<'t, 'p>(&'p self, vocabulary: &'p Vocabulary<'a>, text: &'t str, with_control: bool, late: u32) -> Parts<'t, 'p, 'a>
    where
        'a: 'p,
    {
        Parts { added: self, vocabulary, text, with_control, late, at: 0, start: 0, token: None }
    }
}

/// A table's row as its token and flags.
fn read(row: &Row) -> (u32, u32) {
    let [token, flags] = row.map(u32::from_le_bytes);
    (token, flags)
}

/// Where a token is spelled.
struct Match {
    from: usize,
    to: usize,
    token: u32,
    flags: u32,
}

/// The parts of a text. Of tokens that start at one place the longest counts; a control token that is not wanted hides what it covers.
struct Parts<'t, 'p, 'a> {
    added: &'p Added<'a>,
    vocabulary: &'p Vocabulary<'a>,
    text: &'t str,
    with_control: bool,
    /// LATE, or 0.
    late: u32,
    /// Where to look on.
    at: usize,
    /// What is before this has been given.
    start: usize,
    /// To be given next.
    token: Option<u32>,
}

impl<'t> Iterator for Parts<'t, '_, '_> {
    type Item = Part<'t>;

    fn next(&mut self) -> Option<Part<'t>> {
        if let Some(token) = self.token.take() {
            return Some(Part::Token(token));
        }
        while let Some(found) = self.next_match() {
            self.at = found.to;
            if found.flags & CONTROL != 0 && !self.with_control {
                continue;
            }
            let (before, behind) = (self.text.get(..found.from)?, self.text.get(found.to..)?);
            let from = if found.flags & STRIP_LEFT != 0 { before.trim_end().len().max(self.start) } else { found.from };
            let stripped = if found.flags & STRIP_RIGHT != 0 { behind.len().saturating_sub(behind.trim_start().len()) } else { 0 };
            let start = core::mem::replace(&mut self.start, found.to.saturating_add(stripped));
            if start < from {
                self.token = Some(found.token);
                return self.text.get(start..from).map(Part::Text);
            }
            return Some(Part::Token(found.token));
        }
        let rest = self.text.get(self.start..).filter(|rest| !rest.is_empty());
        self.start = self.text.len();
        rest.map(Part::Text)
    }
}

impl Parts<'_, '_, '_> {
    /// The next token that is spelled from `at` on.
    fn next_match(&self) -> Option<Match> {
        if self.added.rows.is_empty() {
            return None;
        }
        let text = self.text.as_bytes();
        let mut from = self.at;
        while let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
            if let Some((token, flags, length)) = self.longest(rest) {
                return Some(Match { from, to: from.saturating_add(length), token, flags });
            }
            from = from.saturating_add(1);
        }
        None
    }

    /// The longest token that `text` starts with, and its length.
    fn longest(&self, text: &[u8]) -> Option<(u32, u32, usize)> {
        let piece = |row: &Row| self.vocabulary.stored(read(row).0).unwrap_or_default();
        let mut text = text;
        // As in WordPiece: what lies between a token and `text` in the order shares with `text` what the token does.
        while !text.is_empty() {
            let at = self.added.rows.partition_point(|row| piece(row).cmp(text) != Ordering::Greater);
            let row = self.added.rows.get(at.checked_sub(1)?)?;
            let ((token, flags), piece) = (read(row), piece(row));
            let shared = piece.iter().zip(text).take_while(|(a, b)| a == b).count();
            let whole = shared == piece.len();
            if whole && shared > 0 && flags & LATE == self.late {
                return Some((token, flags, shared));
            }
            text = text.get(..shared.saturating_sub(usize::from(whole)))?;
        }
        None
    }
}
