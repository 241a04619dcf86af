//! Masks: which keys a query sees.

use crate::format::{Config, MaskKind};
use core::ops::Range;

/// Which keys a query sees: at most two runs of neighbouring positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    kind: MaskKind,
    window: usize,
    globals: usize,
}

impl Mask {
    /// Every query sees the whole sequence.
    pub const ALL: Mask = Mask { kind: MaskKind::Bidirectional, window: 0, globals: 0 };

    /// The mask that the header names.
    pub fn new(config: &Config) -> Self {
        Mask { kind: config.mask, window: config.window.unwrap_or(0) as usize, globals: config.globals as usize }
    }

    /// Keys that the query at `position` of a sequence of `tokens` sees; the first run is empty or lies before the second.
    pub fn keys(&self, position: usize, tokens: usize) -> [Range<usize>; 2] {
        let end = position + 1;
        match self.kind {
            MaskKind::Causal | MaskKind::Prefix => [0..0, 0..end],
            MaskKind::Window => [0..0, end.saturating_sub(self.window)..end],
            MaskKind::Bidirectional => [0..0, 0..tokens],
            MaskKind::Local if position < self.globals => [0..0, 0..tokens],
            MaskKind::Local => {
                let near = position.saturating_sub(self.window)..(end + self.window).min(tokens);
                // Runs that touch are one run.
                if near.start <= self.globals { [0..0, 0..near.end] } else { [0..self.globals, near] }
            }
        }
    }
}
