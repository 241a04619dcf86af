//! The log: the last lines about what happened, for `atto device logs`.

use heapless::{Deque, String};

/// Bytes of a line at most; the rest of a longer one is dropped.
const LINE: usize = 96;
/// Lines that are kept.
const LINES: usize = 8;

/// The last lines.
pub struct Log(Deque<String<LINE>, LINES>);

impl Log {
    pub const fn new() -> Self {
        Self(Deque::new())
    }

    /// Adds a line; the oldest one goes if there are too many.
    pub fn add(&mut self, line: &str) {
        #[cfg(feature = "defmt")]
        defmt::info!("{=str}", line);
        if self.0.is_full() {
            let _ = self.0.pop_front();
        }
        let mut kept = String::new();
        let _ = kept.push_str(line.get(..line.floor_char_boundary(LINE)).unwrap_or_default());
        let _ = self.0.push_back(kept);
    }

    /// The lines, oldest first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
