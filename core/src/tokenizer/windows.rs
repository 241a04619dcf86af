//! Merging long words in windows, for both kinds of BPE.
//!
//! Searching the whole word for its best pair after every merge takes quadratic time, so a long word is merged in windows. The result is the
//! same. Let two adjacent tokens be final if they stay separate when their symbols are merged alone; all adjacent tokens of one merged window
//! are. Then they stay separate in the whole word too, because the first merge across their border would also be the next one when the two
//! are merged alone. So windows that overlap by one token and agree on it give the tokens of the whole word.

/// Symbols of the first window. Most words are shorter.
const WINDOW: usize = 128;

/// The merges of a BPE model. The next merge in any part of a word must depend on that part only.
pub trait Merges {
    /// How many symbols of a word `token` covers.
    fn width(&self, token: u32) -> usize;

    /// Merges the first `count` tokens of `buffer` and returns how many are left, still at its start. The elements after `count` are scratch.
    fn merge(&self, buffer: &mut [u32], count: usize) -> usize;
}

/// The symbols of a word, each as its token: characters or bytes.
pub trait Symbols {
    /// Writes the next `count` symbols to `out` without consuming them: how many they are, and whether the word ends after them. `None` if
    /// `out` is too short.
    fn peek(&self, count: usize, out: &mut [u32]) -> Option<(usize, bool)>;

    /// Consumes `count` symbols.
    fn advance(&mut self, count: usize);

    /// Goes back to the start of the word.
    fn rewind(&mut self);
}

/// [`Symbols`] of an iterator.
#[derive(Clone)]
pub struct Word<I> {
    start: I,
    rest: I,
}

impl<I: Iterator<Item = u32> + Clone> Word<I> {
    /// The symbols that `symbols` yields.
    pub fn new(symbols: I) -> Self {
        Word { start: symbols.clone(), rest: symbols }
    }
}

impl<I: Iterator<Item = u32> + Clone> Symbols for Word<I> {
    fn peek(&self, count: usize, out: &mut [u32]) -> Option<(usize, bool)> {
        let mut rest = self.rest.clone();
        let mut written = 0_usize;
        while written < count {
            let Some(token) = rest.next() else { return Some((written, true)) };
            *out.get_mut(written)? = token;
            written = written.saturating_add(1);
        }
        Some((written, rest.next().is_none()))
    }

    fn advance(&mut self, count: usize) {
        if let Some(last) = count.checked_sub(1) {
            self.rest.nth(last);
        }
    }

    fn rewind(&mut self) {
        self.rest = self.start.clone();
    }
}

/// Writes the tokens of `word` to `out`. `None` if `out` is too short for the symbols of the word or of a window.
#[inline(never)]
pub fn encode(merges: &dyn Merges, word: &mut dyn Symbols, out: &mut [u32]) -> Option<usize> {
    let mut size = WINDOW;
    let mut settled = 0_usize; // tokens of `out` that are taken as final; the last one overlaps the next window
    let mut before = 0_usize; // symbols before the last settled token, where `word` is
    loop {
        let from = settled.saturating_sub(1);
        let last = if settled > 0 { out.get(from).copied() } else { None };
        let window = out.get_mut(from..)?;
        let (symbols, at_end) = word.peek(size, window)?;
        let count = merges.merge(window, symbols);
        let agrees = last.is_none() || window.first().copied() == last;
        if agrees && at_end {
            return Some(from.saturating_add(count));
        }
        if agrees {
            // The symbols after the window might have merged with its last tokens.
            let kept = tokens_before_margin(merges, window.get(..count)?, size / 4);
            if kept < 2 {
                size = size.saturating_mul(2);
                continue;
            }
            let passed = width(merges, window.get(..kept.saturating_sub(1))?);
            debug_assert!(passed > 0, "every token covers at least one symbol");
            passed.checked_sub(1)?;
            word.advance(passed);
            before = before.saturating_add(passed);
            settled = from.saturating_add(kept);
        } else {
            // A settled token was not final. Start a longer window further left, in the end at the start of the word.
            *window.first_mut()? = last?;
            size = size.saturating_mul(2);
            let end = before;
            while settled > 1 && end.saturating_sub(before) < size {
                settled = settled.saturating_sub(1);
                let previous = settled.saturating_sub(1);
                before = before.saturating_sub(width(merges, out.get(previous..settled)?));
            }
            if settled <= 1 {
                (settled, before) = (0, 0);
            }
            word.rewind();
            word.advance(before);
        }
    }
}

/// Symbols that `tokens` cover.
fn width(merges: &dyn Merges, tokens: &[u32]) -> usize {
    tokens.iter().map(|&token| merges.width(token)).sum()
}

/// How many tokens of a window end at least `margin` symbols before its end.
fn tokens_before_margin(merges: &dyn Merges, tokens: &[u32], margin: usize) -> usize {
    let mut kept = tokens;
    let mut symbols = 0_usize;
    while symbols < margin
        && let Some((&last, rest)) = kept.split_last()
    {
        symbols = symbols.saturating_add(merges.width(last));
        kept = rest;
    }
    kept.len()
}
