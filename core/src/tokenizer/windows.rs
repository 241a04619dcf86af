//! Long words in windows, for both kinds of BPE.
//!
//! Looking for the best merge of a whole word after each merge is quadratic, so a long word is merged in windows. That changes nothing: tokens whose
//! neighbours stay apart when the two are merged alone (all inside one window are such) stay apart together, because the first merge across a
//! border would be the next in line for those two alone as well. So windows that overlap by one token, and agree on it, give the whole
//! word's tokens.

/// Symbols of a first window: most words are shorter.
const WINDOW: usize = 128;

/// A rule of merges whose next one, in any part of a word, depends on that part only.
pub(super) trait Merges {
    /// How many of a word's symbols `token` stands for.
    fn width(&self, token: u32) -> usize;

    /// Merges the first `count` tokens of `room` and returns how many are left, still at its start.
    fn merge(&self, room: &mut [u32], count: usize) -> usize;
}

/// Writes the tokens of `word`, given as that of each symbol, to `out`; `None` when it is too short for a window's symbols, or the word's.
pub(super) fn encode(merges: &impl Merges, word: impl Iterator<Item = u32> + Clone, out: &mut [u32]) -> Option<usize> {
    let mut size = WINDOW;
    let mut rest = word.clone(); // the symbols from the last certain token on
    let mut certain = 0_usize; // tokens
    let mut before = 0_usize; // symbols before the last of them
    loop {
        let from = certain.saturating_sub(1);
        let last = if certain > 0 { out.get(from).copied() } else { None };
        let window = out.get_mut(from..)?;
        let mut symbols = rest.clone();
        let spelled = spell(symbols.by_ref().take(size), window)?;
        let at_end = symbols.next().is_none();
        let count = merges.merge(window, spelled);
        let agrees = last.is_none() || window.first().copied() == last;
        if agrees && at_end {
            return Some(from.saturating_add(count));
        }
        if agrees {
            // What the window's end cut off may have merged with its last tokens.
            let kept = settled(merges, window.get(..count)?, size / 4);
            if kept < 2 {
                size = size.saturating_mul(2);
                continue;
            }
            let passed = width(merges, window.get(..kept.saturating_sub(1))?);
            rest.nth(passed.checked_sub(1)?);
            before = before.saturating_add(passed);
            certain = from.saturating_add(kept);
        } else {
            // A token that was thought certain is not. A longer window starts further back; one as long as the word ends this.
            *window.first_mut()? = last?;
            size = size.saturating_mul(2);
            let end = before;
            while certain > 1 && end.saturating_sub(before) < size {
                certain = certain.saturating_sub(1);
                let previous = certain.saturating_sub(1);
                before = before.saturating_sub(width(merges, out.get(previous..certain)?));
            }
            certain = if certain > 1 { certain } else { 0 };
            before = if certain > 0 { before } else { 0 };
            rest = word.clone();
            if let Some(skipped) = before.checked_sub(1) {
                rest.nth(skipped);
            }
        }
    }
}

/// Writes each symbol's token.
fn spell(symbols: impl Iterator<Item = u32>, out: &mut [u32]) -> Option<usize> {
    let mut count = 0_usize;
    for token in symbols {
        *out.get_mut(count)? = token;
        count = count.saturating_add(1);
    }
    Some(count)
}

/// Symbols that tokens stand for.
fn width(merges: &impl Merges, tokens: &[u32]) -> usize {
    tokens.iter().map(|&token| merges.width(token)).sum()
}

/// How many of a window's tokens end at least `margin` symbols before its end.
fn settled(merges: &impl Merges, tokens: &[u32], margin: usize) -> usize {
    let mut kept = tokens;
    let mut symbols = 0_usize;
    while symbols < margin
        && let Some((&last, front)) = kept.split_last()
    {
        symbols = symbols.saturating_add(merges.width(last));
        kept = front;
    }
    kept.len()
}
