//! Whisper's rules for timestamps (Radford et al. 2022, sections 2.3 and 3.8; its published decoder), and what they cut a window into.
//!
//! They are the host's and not the engine's: they look at every logit once more in f64. An image carries all that they need to know.

use std::ops::Range;

use attoformer::image::Config;
use attoformer::image::GenerationConfig;

/// Which tokens are timestamps, and which of them may come when.
#[derive(Clone, Copy, Debug)]
pub struct TimestampRules {
    /// The timestamp of 0 s; all tokens from it on are timestamps.
    first: u32,
    /// The token that ends a text; the words lie before it in the vocabulary, other marks behind it.
    end: u32,
    /// The latest timestamp that a window may begin with.
    latest_start: u32,
}

/// A part of a window: two timestamps, counted from 0 s, and the words between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentTokens {
    /// When it begins.
    pub start: u32,
    /// When it ends; `None` with the window.
    pub end: Option<u32>,
    /// Its place among the window's tokens.
    pub tokens: Range<usize>,
}

impl TimestampRules {
    /// Those of a model; `None` where it writes none.
    pub fn of(config: &Config, decoding: &GenerationConfig<'_>) -> Option<Self> {
        let first = decoding.no_timestamps + 1;
        let there = decoding.no_timestamps != 0 && first < config.vocab;
        there.then_some(TimestampRules { first, end: config.eos, latest_start: first.saturating_add(decoding.first_timestamp_max) })
    }

    /// Whether a token is one.
    pub fn contains(&self, token: u32) -> bool {
        token >= self.first
    }

    /// Makes the tokens unlikely that may not follow those of the window so far:
    /// a window begins with a timestamp, not later than a bound; timestamps come in pairs, an end and the next start, but for the first and the last;
    /// they never decrease, and no part has a length of 0; and where all timestamps together are likelier than each word, one of them comes.
    pub fn apply(&self, written: &[u32], logits: &mut [f32]) {
        let mut never = |tokens: Range<u32>| {
            let end = (tokens.end as usize).min(logits.len());
            logits[(tokens.start as usize).min(end)..end].fill(f32::MIN);
        };
        let (words, times) = (0..self.first, self.first..u32::MAX);
        never(self.first - 1..self.first);
        let before = |back: usize| written.len().checked_sub(back).map(|at| self.contains(written[at]));
        match (before(1), before(2)) {
            (None, _) => {
                never(words);
                never(self.latest_start.saturating_add(1)..u32::MAX);
            }
            (Some(true), None | Some(true)) => never(times),
            // A second one, or the text's end.
            (Some(true), Some(false)) => never(0..self.end),
            (Some(false), _) => {}
        }
        if let Some(&last) = written.iter().rfind(|&&token| self.contains(token)) {
            let closes = before(1) == Some(true) && before(2) == Some(false);
            never(self.first..if closes { last } else { last.saturating_add(1) });
        }
        self.prefer_time(logits);
    }

    /// Leaves only timestamps where together they are likelier than the likeliest other token.
    fn prefer_time(&self, logits: &mut [f32]) {
        let (words, times) = logits.split_at_mut((self.first as usize).min(logits.len()));
        let likeliest = f64::from(words.iter().copied().fold(f32::MIN, f32::max));
        let allowed = times.iter().filter(|&&logit| logit > f32::MIN);
        // The machine's own exponential may differ in the last bit from one PC to the next.
        if allowed.map(|&logit| libm::exp(f64::from(logit) - likeliest)).sum::<f64>() > 1.0 {
            words.fill(f32::MIN);
        }
    }

    /// Cuts a window's tokens between the timestamps of each pair, and says at which timestamp the next window begins: at the last end where the
    /// text goes on behind it, and (`None`) behind this window where it does not.
    pub fn split_segments(&self, tokens: &[u32]) -> (Vec<SegmentTokens>, Option<u32>) {
        let time = |at: usize| tokens.get(at).filter(|&&token| self.contains(token)).map(|&token| token - self.first);
        let mut ends: Vec<usize> = (1..tokens.len()).filter(|&at| time(at - 1).is_some() && time(at).is_some()).collect();
        let next = match ends.last() {
            None => None,
            // The last part is complete.
            Some(_) if time(tokens.len() - 1).is_some() && time(tokens.len() - 2).is_none() => None,
            Some(&end) => time(end - 1),
        };
        if next.is_none() {
            ends.push(tokens.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let cut = |(start, end): (usize, usize)| {
            let stated = end.checked_sub(1).filter(|&last| last > start).and_then(time);
            SegmentTokens { start: time(start).unwrap_or(0), end: stated, tokens: start..end }
        };
        (starts.zip(ends.iter().copied()).map(cut).collect(), next)
    }
}

#[cfg(test)]
mod tests {
    use super::{SegmentTokens, TimestampRules};

    /// Words 0 to 3, the end 4, a mark 5, no timestamps 6, timestamps 7 to 15.
    const RULES: TimestampRules = TimestampRules { first: 7, end: 4, latest_start: 9 };

    /// The tokens that may follow when all are alike but timestamps, which are far less likely.
    fn allowed(written: &[u32]) -> Vec<usize> {
        let mut logits = [[0.0; 7].as_slice(), &[-9.0; 9]].concat();
        RULES.apply(written, &mut logits);
        (0..16).filter(|&token| logits[token] > f32::MIN).collect()
    }

    #[test]
    fn timestamps_come_in_ascending_pairs() {
        let words = [0, 1, 2, 3, 4, 5];
        let words_and = |times: std::ops::Range<usize>| words.into_iter().chain(times).collect::<Vec<usize>>();
        assert_eq!(allowed(&[]), [7, 8, 9], "a window begins with a timestamp up to the bound");
        assert_eq!(allowed(&[8]), words, "behind the first one comes a word");
        assert_eq!(allowed(&[8, 1]), words_and(9..16), "a part is longer than nothing");
        assert_eq!(allowed(&[8, 1, 10]), [4, 5, 10, 11, 12, 13, 14, 15], "behind an end comes a start or nothing more");
        assert_eq!(allowed(&[8, 1, 10, 10]), words, "behind a pair comes a word");
        assert_eq!(allowed(&[8, 1, 10, 12, 2]), words_and(13..16), "times never decrease");
        assert_eq!(allowed(&[8, 1, 15, 15, 2]), words, "no time is left");
    }

    /// By hand: four timestamps of e^-1 each are e^0.39 together, three are e^0.10, two are e^-0.31, against words of e^0.
    #[test]
    fn timestamps_count_together() {
        for (likely, wins) in [(4, true), (3, true), (2, false)] {
            let mut logits = [[0.0; 7].as_slice(), &[-1.0; 9]].concat();
            logits[7..16 - likely].fill(-50.0);
            RULES.apply(&[7, 1], &mut logits);
            assert_eq!(logits[0] == f32::MIN, wins, "{likely}");
        }
    }

    #[test]
    fn windows_are_cut_between_the_two_of_a_pair() {
        let cut = |start, end, tokens| SegmentTokens { start, end, tokens };
        let two = vec![cut(0, Some(2), 0..3), cut(3, Some(5), 3..6)];
        assert_eq!(RULES.split_segments(&[7, 1, 9, 10, 2, 12]), (two.clone(), None), "all is said");
        assert_eq!(RULES.split_segments(&[7, 1, 9, 10, 2, 12, 12]), (two.clone(), Some(5)), "more begins where the last part ended");
        assert_eq!(RULES.split_segments(&[7, 1, 9, 10, 2, 12, 12, 3, 3]), (two, Some(5)), "what has no end is heard again");
        assert_eq!(RULES.split_segments(&[8, 1, 9]), (vec![cut(1, Some(2), 0..3)], None));
        assert_eq!(RULES.split_segments(&[8, 1, 1]), (vec![cut(1, None, 0..3)], None), "the window ends it");
        assert_eq!(RULES.split_segments(&[8]), (vec![cut(1, None, 0..1)], None));
        assert_eq!(RULES.split_segments(&[]), (vec![cut(0, None, 0..0)], None));
    }
}
