//! Ending a text at a stop sequence.

use crate::error::Error;

/// Bytes of the longest stop sequence. It bounds the work per character, which in the worst case is quadratic in it.
pub const MAX_STOP_BYTES: usize = 64;

/// Passes on a stream of text up to the first stop sequence, and holds back what may turn out to be the start of one.
///
/// The first stop sequence is the one that ends first, and of several that end together the longest. So the result does not depend on how the
/// stream is divided into calls. Nothing is copied: text that is held back is always a prefix of a stop sequence, and is kept as that.
///
/// ```
/// # use attoformer::StopMatcher;
/// let mut stop = StopMatcher::new(&["\n\n"])?;
/// assert_eq!(stop.push("The end.\n"), ["", "The end."]);
/// assert_eq!(stop.push("Or"), ["\n", "Or"]);
/// assert_eq!(stop.push(" not?\n\nNo."), ["", " not?"]);
/// assert!(stop.stopped());
/// # Ok::<(), attoformer::Error>(())
/// ```
#[doc(alias = "stop_sequences")]
#[derive(Clone, Copy, Debug)]
pub struct StopMatcher<'s> {
    stops: &'s [&'s str],
    held: Prefix<'s>,
    stopped: bool,
}

/// The longest suffix of the text so far that is a prefix of a stop sequence. Both begin and, after whole characters, end at the same boundary
/// of characters, because UTF-8 is self-synchronizing.
#[derive(Clone, Copy, Debug)]
struct Prefix<'s> {
    stop: &'s str,
    bytes: usize,
}

impl<'s> Prefix<'s> {
    const EMPTY: Self = Prefix { stop: "", bytes: 0 };

    fn is_whole(self) -> bool {
        self.bytes == self.stop.len()
    }

    /// The text of a prefix that ends with a whole character.
    fn text(self) -> &'s str {
        let text = self.stop.get(..self.bytes);
        debug_assert!(text.is_some(), "the texts that were pushed end with whole characters");
        text.unwrap_or_default()
    }
}

impl<'s> StopMatcher<'s> {
    /// A matcher for `stops`. Empty ones are ignored; without any, all text passes.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] if one is longer than [`MAX_STOP_BYTES`].
    pub fn new(stops: &'s [&'s str]) -> Result<Self, Error> {
        match stops.iter().find(|stop| stop.len() > MAX_STOP_BYTES) {
            Some(stop) => Err(Error::BufferTooSmall { need: stop.len(), have: MAX_STOP_BYTES }),
            None => Ok(Self { stops, held: Prefix::EMPTY, stopped: false }),
        }
    }

    /// Takes the next text and returns what is now certain to precede any stop sequence, as two consecutive parts (each may be empty): text
    /// held back earlier, then the start of `text`. Everything after a stop sequence is dropped.
    pub fn push<'t>(&mut self, text: &'t str) -> [&'t str; 2]
    where
        's: 't,
    {
        if self.stopped {
            return ["", ""];
        }
        let before = self.held.text();
        let mut seen = before.len(); // bytes of `before` and `text` that were read
        for &byte in text.as_bytes() {
            seen = seen.saturating_add(1);
            self.advance(byte);
            if self.stopped {
                break;
            }
        }
        let certain = seen.saturating_sub(self.held.bytes);
        if self.stopped {
            self.held = Prefix::EMPTY;
        }
        match certain.checked_sub(before.len()) {
            Some(of_text) => [before, text.get(..of_text).unwrap_or_default()],
            None => [before.get(..certain).unwrap_or_default(), ""],
        }
    }

    /// Whether a stop sequence was found.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Ends the stream and returns the text that is still held back. The matcher is then as new.
    pub fn finish(&mut self) -> &'s str {
        self.stopped = false;
        core::mem::replace(&mut self.held, Prefix::EMPTY).text()
    }

    /// Takes a byte: a stop sequence that ends with it is preferred to a longer prefix of another.
    fn advance(&mut self, byte: u8) {
        let held = self.held.stop.as_bytes().get(..self.held.bytes).unwrap_or_default();
        let mut best = Prefix::EMPTY;
        let mut stopped = false;
        for &stop in self.stops {
            let mut rest = stop.as_bytes();
            // From the longest prefix of this stop sequence to the shortest.
            while let Some((&last, start)) = rest.split_last() {
                let prefix = Prefix { stop, bytes: rest.len() };
                let is_better = (prefix.is_whole(), prefix.bytes) > (stopped, best.bytes);
                if is_better && last == byte && held.ends_with(start) {
                    (best, stopped) = (prefix, prefix.is_whole());
                }
                rest = start;
            }
        }
        (self.held, self.stopped) = (best, stopped);
    }
}
