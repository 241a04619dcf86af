//! Added tokens: matched before a text is split into words, as the `tokenizers` crate matches them. They are
//! special tokens such as `<|endoftext|>`, sentinel tokens such as T5's `<extra_id_0>`, and words that a user added. A text is split into
//! segments of plain text and tokens.

use super::flags::added::{LSTRIP, NORMALIZED, RSTRIP, SPECIAL};
use super::reader::Le32;
use super::unicode::{trim_end, trim_start};
use super::vocabulary::{AddedRow, Vocabulary, compare, shared_prefix};
use core::cmp::Ordering;

/// Plain text between added tokens.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'t> {
    /// The characters, at least one.
    pub text: &'t str,
    /// Whether it starts the whole text.
    pub is_first: bool,
    /// Whether it starts its stretch. A stretch is the text between two added tokens without [`NORMALIZED`]; tokens with it divide a stretch.
    pub starts_stretch: bool,
    /// Whether it ends its stretch.
    pub ends_stretch: bool,
}

/// A span of a text: an added token, or text between them.
#[derive(Clone, Copy, Debug)]
pub enum Fragment<'t> {
    Text(Segment<'t>),
    Token(u32),
}

/// The bytes `from..to` of a text, as an added token or as plain text.
struct Span {
    from: usize,
    to: usize,
    token: Option<u32>,
}

/// Splits texts at the added tokens of a table.
#[derive(Clone, Copy)]
pub struct AddedTokens<'v> {
    pub vocabulary: &'v Vocabulary<'v>,
    /// The table: [`Vocabulary::added`] or [`Vocabulary::special_rows`].
    pub rows: &'v [AddedRow],
    /// Whether tokens with [`SPECIAL`] are matched. Otherwise they stay text, and no other token is matched inside them.
    pub parse_special: bool,
}

impl AddedTokens<'_> {
    /// Passes each fragment of `text` to `emit`, in order, until one call fails.
    pub fn split<E>(&self, text: &str, mut emit: impl FnMut(Fragment<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut outer = Spans::new(self, text, 0);
        while let Some(stretch) = outer.next() {
            if let Some(token) = stretch.token {
                emit(Fragment::Token(token))?;
                continue;
            }
            let whole = text.get(stretch.from..stretch.to).unwrap_or_default();
            let mut inner = Spans::new(self, whole, NORMALIZED);
            while let Some(span) = inner.next() {
                let segment = Segment {
                    text: whole.get(span.from..span.to).unwrap_or_default(),
                    is_first: stretch.from == 0 && span.from == 0,
                    starts_stretch: span.from == 0,
                    ends_stretch: span.to == whole.len(),
                };
                emit(span.token.map_or(Fragment::Text(segment), Fragment::Token))?;
            }
        }
        Ok(())
    }
}

/// A match of an added token.
struct Match {
    from: usize,
    to: usize,
    token: u32,
    flags: u32,
}

/// Iterates over the spans of a text. The leftmost match wins, and of those that start at the same byte the longest.
struct Spans<'t, 'v> {
    added: &'v AddedTokens<'v>,
    text: &'t str,
    /// [`NORMALIZED`], or 0: the tokens that are matched.
    normalized: u32,
    /// Where the search goes on.
    at: usize,
    /// End of the last span.
    start: usize,
    /// A token to emit after the text before it.
    pending: Option<Span>,
}

impl<'t, 'v> Spans<'t, 'v> {
    fn new(added: &'v AddedTokens<'v>, text: &'t str, normalized: u32) -> Self {
        Spans { added, text, normalized, at: 0, start: 0, pending: None }
    }

    /// The next span, never empty.
    fn next(&mut self) -> Option<Span> {
        if let Some(span) = self.pending.take() {
            return Some(span);
        }
        while let Some(found) = self.next_match() {
            self.at = found.to;
            if found.flags & SPECIAL != 0 && !self.added.parse_special {
                continue;
            }
            let (before, after) = (self.text.get(..found.from)?, self.text.get(found.to..)?);
            let from = if found.flags & LSTRIP != 0 { trim_end(before).len().max(self.start) } else { found.from };
            let spaces = if found.flags & RSTRIP != 0 { after.len().saturating_sub(trim_start(after).len()) } else { 0 };
            let to = found.to.saturating_add(spaces);
            let start = core::mem::replace(&mut self.start, to);
            let token = Span { from, to, token: Some(found.token) };
            if start < from {
                self.pending = Some(token);
                return Some(Span { from: start, to: from, token: None });
            }
            return Some(token);
        }
        let from = core::mem::replace(&mut self.start, self.text.len());
        (from < self.text.len()).then_some(Span { from, to: self.text.len(), token: None })
    }

    /// The next match from `at` on.
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

    /// The longest token that `text` starts with: token, flags and bytes.
    fn longest(&self, text: &[u8]) -> Option<(u32, u32, usize)> {
        let vocabulary = self.added.vocabulary;
        let piece = |[id, _]: &[Le32; 2]| vocabulary.piece_of(id);
        let mut text = text;
        // The last row that is at most `text` either is a prefix of `text`, or every prefix of `text` in the table is a prefix of the bytes
        // that the two share.
        while !text.is_empty() {
            let at = self.added.rows.partition_point(|row| compare(piece(row), text, &[]) != Ordering::Greater);
            let row = self.added.rows.get(at.checked_sub(1)?)?;
            let ([token, flags], piece) = (row.map(u32::from_le_bytes), piece(row));
            let shared = shared_prefix(piece, text);
            let is_prefix = shared == piece.len();
            if is_prefix && shared > 0 && flags & NORMALIZED == self.normalized {
                return Some((token, flags, shared));
            }
            text = text.get(..shared.saturating_sub(usize::from(is_prefix)))?;
        }
        None
    }
}
