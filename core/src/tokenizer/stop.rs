//! Ending a text at a stop string.

use crate::error::Error;

/// The longest stop string, in bytes. It bounds the work per character, which is quadratic in it at worst.
pub const MAX_STOP_BYTES: usize = 64;

/// Passes a stream of text on up to the first stop string, and holds back what may turn out to be the start of one.
///
/// The first stop string is the one that ends first, and of several that end together the longest; so the result does not depend on how
/// the stream is cut into calls. Nothing is copied: text that is held back is always the start of a stop string, and is kept as that.
///
/// ```
/// # use attoformer::tokenizer::StopMatcher;
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
    /// The longest end of the text so far that is the start of a stop string.
    held: &'s str,
    stopped: bool,
}

impl<'s> StopMatcher<'s> {
    /// A matcher for `stops`. Empty ones are ignored; without any, all text passes.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] when one is longer than [`MAX_STOP_BYTES`].
    pub fn new(stops: &'s [&'s str]) -> Result<Self, Error> {
        match stops.iter().find(|stop| stop.len() > MAX_STOP_BYTES) {
            Some(stop) => Err(Error::BufferTooSmall { need: stop.len(), have: MAX_STOP_BYTES }),
            None => Ok(Self { stops, held: "", stopped: false }),
        }
    }

    /// Takes the next text and returns what is now certain to come before any stop string, in two parts that follow one another (each may
    /// be empty): text held back earlier, then the start of `text`. After a stop string everything is swallowed.
    pub fn push<'t>(&mut self, text: &'t str) -> [&'t str; 2]
    where
        's: 't,
    {
        if self.stopped {
            return ["", ""];
        }
        let before = self.held;
        let mut seen = before.len(); // bytes of `before` and `text` looked at so far
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

    /// Whether a stop string was found.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Ends the stream and returns the text still held back. The matcher is then as good as new.
    pub fn finish(&mut self) -> &'s str {
        self.stopped = false;
        core::mem::take(&mut self.held)
    }

    /// The longest start of a stop string that ends the text after one more character, and whether it is a whole one. A whole one is
    /// preferred to a longer start.
    fn advance(&self, character: char) -> (&'s str, bool) {
        let mut best = ("", false);
        for stop in self.stops {
            for (at, own) in stop.char_indices().filter(|&(_, own)| own == character) {
                let (Some(front), Some(start)) = (stop.get(..at), stop.get(..at.saturating_add(own.len_utf8()))) else { continue };
                let whole = start.len() == stop.len();
                if (whole, start.len()) > (best.1, best.0.len()) && self.held.as_bytes().ends_with(front.as_bytes()) {
                    best = (start, whole);
                }
            }
        }
        best
    }
}
