//! Whisper's timestamp rules (Radford et al. 2022, sections 2.3 and 3.8, and its published decoder) and the segments that they split a window into.
//!
//! They run on the host and not in the engine because they read every logit once more in f64. The image contains everything that they need.

use std::ops::Range;

use attoformer::image::Config;
use attoformer::image::GenerationConfig;

/// The timestamp tokens of a model and the rules for their order.
#[derive(Clone, Copy, Debug)]
pub struct TimestampRules {
    /// The timestamp of 0 s; all later tokens are timestamps.
    first: u32,
    /// The EOS token; in the vocabulary, words precede it and other special tokens follow it.
    end: u32,
    /// The latest timestamp that a window may start with.
    latest_start: u32,
}

/// A segment of a window: its timestamps, counted from 0 s, and its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentTokens {
    /// Start timestamp.
    pub start: u32,
    /// End timestamp; `None` for the end of the window.
    pub end: Option<u32>,
    /// Its range in the window's tokens.
    pub tokens: Range<usize>,
}

impl TimestampRules {
    /// The rules of a model; `None` if it has no timestamps.
    pub fn of(config: &Config, decoding: &GenerationConfig<'_>) -> Option<Self> {
        let first = decoding.no_timestamps + 1;
        let has_timestamps = decoding.no_timestamps != 0 && first < config.vocab;
        has_timestamps.then_some(TimestampRules {
            first,
            end: config.eos,
            latest_start: first.saturating_add(decoding.first_timestamp_max),
        })
    }

    /// Whether a token is a timestamp.
    pub fn contains(&self, token: u32) -> bool {
        token >= self.first
    }

    /// Masks the logits of tokens that must not follow the window's tokens so far:
    /// a window starts with a timestamp that is not later than a bound; timestamps come in pairs, an end and the next start, except the first and the
    /// last; they never decrease, and no segment has length 0; if all timestamps together are more probable than each word, a timestamp follows.
    pub fn apply(&self, tokens: &[u32], logits: &mut [f32]) {
        let mut mask = |tokens: Range<u32>| {
            let end = (tokens.end as usize).min(logits.len());
            logits[(tokens.start as usize).min(end)..end].fill(f32::MIN);
        };
        let (words, times) = (0..self.first, self.first..u32::MAX);
        mask(self.first - 1..self.first);
        let before = |back: usize| tokens.len().checked_sub(back).map(|at| self.contains(tokens[at]));
        match (before(1), before(2)) {
            (None, _) => {
                mask(words);
                mask(self.latest_start.saturating_add(1)..u32::MAX);
            }
            (Some(true), None | Some(true)) => mask(times),
            // A start timestamp or EOS.
            (Some(true), Some(false)) => mask(0..self.end),
            (Some(false), _) => {}
        }
        if let Some(&last) = tokens.iter().rfind(|&&token| self.contains(token)) {
            let closes = before(1) == Some(true) && before(2) == Some(false);
            mask(self.first..if closes { last } else { last.saturating_add(1) });
        }
        self.prefer_time(logits);
    }

    /// Masks all other tokens if the timestamps together are more probable than the most probable of them.
    fn prefer_time(&self, logits: &mut [f32]) {
        let (words, times) = logits.split_at_mut((self.first as usize).min(logits.len()));
        let likeliest = f64::from(words.iter().copied().fold(f32::MIN, f32::max));
        let allowed = times.iter().filter(|&&logit| logit > f32::MIN);
        // From libm: the system's exponential may differ in the last bit from one PC to the next.
        if allowed.map(|&logit| libm::exp(f64::from(logit) - likeliest)).sum::<f64>() > 1.0 {
            words.fill(f32::MIN);
        }
    }

    /// Splits a window's tokens between the timestamps of each pair. Also returns the timestamp at which the next window starts: the last segment end
    /// if text follows it, otherwise `None` for the end of this window.
    pub fn split_segments(&self, tokens: &[u32]) -> (Vec<SegmentTokens>, Option<u32>) {
        let time = |at: usize| tokens.get(at).filter(|&&token| self.contains(token)).map(|&token| token - self.first);
        let mut ends: Vec<usize> = (1..tokens.len()).filter(|&at| time(at - 1).is_some() && time(at).is_some()).collect();
        let next = match ends.last() {
            None => None,
            // The last segment is complete.
            Some(_) if time(tokens.len() - 1).is_some() && time(tokens.len() - 2).is_none() => None,
            Some(&end) => time(end - 1),
        };
        if next.is_none() {
            ends.push(tokens.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let segment = |(start, end): (usize, usize)| {
            let stated = end.checked_sub(1).filter(|&last| last > start).and_then(time);
            SegmentTokens { start: time(start).unwrap_or(0), end: stated, tokens: start..end }
        };
        (starts.zip(ends.iter().copied()).map(segment).collect(), next)
    }
}

#[cfg(test)]
mod tests {
    use super::{SegmentTokens, TimestampRules};

    /// Words 0 to 3, EOS 4, a special token 5, no-timestamps 6, timestamps 7 to 15.
    const RULES: TimestampRules = TimestampRules { first: 7, end: 4, latest_start: 9 };

    /// The tokens that may follow if all have equal logits except the timestamps, which are far less probable.
    fn allowed(tokens: &[u32]) -> Vec<usize> {
        let mut logits = [[0.0; 7].as_slice(), &[-9.0; 9]].concat();
        RULES.apply(tokens, &mut logits);
        (0..16).filter(|&token| logits[token] > f32::MIN).collect()
    }

    #[test]
    fn timestamps_come_in_ascending_pairs() {
        let words = [0, 1, 2, 3, 4, 5];
        let words_and = |times: std::ops::Range<usize>| words.into_iter().chain(times).collect::<Vec<usize>>();
        assert_eq!(allowed(&[]), [7, 8, 9], "a window starts with a timestamp up to the bound");
        assert_eq!(allowed(&[8]), words, "a word follows the first timestamp");
        assert_eq!(allowed(&[8, 1]), words_and(9..16), "a segment has a positive length");
        assert_eq!(allowed(&[8, 1, 10]), [4, 5, 10, 11, 12, 13, 14, 15], "a start or EOS follows an end");
        assert_eq!(allowed(&[8, 1, 10, 10]), words, "a word follows a pair");
        assert_eq!(allowed(&[8, 1, 10, 12, 2]), words_and(13..16), "times never decrease");
        assert_eq!(allowed(&[8, 1, 15, 15, 2]), words, "no time is left");
    }

    /// By hand: four timestamps of e^-1 each sum to e^0.39, three to e^0.10, two to e^-0.31; the words have e^0.
    #[test]
    fn timestamps_are_compared_by_their_sum() {
        for (likely, wins) in [(4, true), (3, true), (2, false)] {
            let mut logits = [[0.0; 7].as_slice(), &[-1.0; 9]].concat();
            logits[7..16 - likely].fill(-50.0);
            RULES.apply(&[7, 1], &mut logits);
            assert_eq!(logits[0] == f32::MIN, wins, "{likely}");
        }
    }

    #[test]
    fn windows_split_between_the_timestamps_of_a_pair() {
        let cut = |start, end, tokens| SegmentTokens { start, end, tokens };
        let two = vec![cut(0, Some(2), 0..3), cut(3, Some(5), 3..6)];
        assert_eq!(RULES.split_segments(&[7, 1, 9, 10, 2, 12]), (two.clone(), None), "the last segment is complete");
        assert_eq!(
            RULES.split_segments(&[7, 1, 9, 10, 2, 12, 12]),
            (two.clone(), Some(5)),
            "the next window starts at the last segment end"
        );
        assert_eq!(RULES.split_segments(&[7, 1, 9, 10, 2, 12, 12, 3, 3]), (two, Some(5)), "an open segment is decoded again");
        assert_eq!(RULES.split_segments(&[8, 1, 9]), (vec![cut(1, Some(2), 0..3)], None));
        assert_eq!(RULES.split_segments(&[8, 1, 1]), (vec![cut(1, None, 0..3)], None), "the window ends the segment");
        assert_eq!(RULES.split_segments(&[8]), (vec![cut(1, None, 0..1)], None));
        assert_eq!(RULES.split_segments(&[]), (vec![cut(0, None, 0..0)], None));
    }
}
