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
#[derive(Clone, Copy, Debug)]
pub struct StopMatcher<'s> {
    stops: &'s [&'s str],
    /// The longest suffix of the text so far that is a prefix of a stop sequence.
    held: &'s str,
    stopped: bool,
}

impl<'s> StopMatcher<'s> {
    /// A matcher for `stops`. Empty ones are ignored; without any, all text passes.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] if one is longer than [`MAX_STOP_BYTES`].
    pub fn new(stops: &'s [&'s str]) -> Result<Self, Error> {
        match stops.iter().find(|stop| stop.len() > MAX_STOP_BYTES) {
            Some(stop) => Err(Error::BufferTooSmall { need: stop.len(), have: MAX_STOP_BYTES }),
            None => Ok(Self { stops, held: "", stopped: false }),
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
        let before = self.held;
        let mut seen = before.len(); // bytes of `before` and `text` that were read
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let Some((_, tail)) = rest.split_at_checked(character.len_utf8()) else { break };
            rest = tail;
            seen = seen.saturating_add(character.len_utf8());
            (self.held, self.stopped) = self.advance(character);
            if self.stopped {
                break;
            }
        }
        let certain = seen.saturating_sub(self.held.len());
        if self.stopped {
            self.held = "";
        }
        match certain.checked_sub(before.len()) {
            Some(of_text) => [before, text.get(..of_text).unwrap_or("")],
            None => [before.get(..certain).unwrap_or(""), ""],
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
        core::mem::take(&mut self.held)
    }

    /// The longest prefix of a stop sequence that the text, extended by `character`, ends with, and whether it is a whole one. A whole one is
    /// preferred to a longer prefix.
    fn advance(&self, character: char) -> (&'s str, bool) {
        let mut best = ("", false);
        for stop in self.stops {
            for (at, own) in stop.char_indices().filter(|&(_, own)| own == character) {
                let (Some(prefix), Some(start)) = (stop.get(..at), stop.get(..at.saturating_add(own.len_utf8()))) else {
                    debug_assert!(false, "`char_indices` gives boundaries of characters");
                    continue;
                };
                let whole = start.len() == stop.len();
                if (whole, start.len()) > (best.1, best.0.len()) && self.held.as_bytes().ends_with(prefix.as_bytes()) {
                    best = (start, whole);
                }
            }
        }
        best
    }
}
