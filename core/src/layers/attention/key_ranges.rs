//! Attention masks, as ranges of keys: causal mask, sliding window, bidirectional, and local windows with global tokens. Sequences are
//! packed without padding, so there is no padding mask: a query's ranges end with its own sequence.

use crate::format::{Config, MaskKind};
use core::ops::Range;

/// Which keys a query attends to: at most two ranges of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    kind: MaskKind,
    window: usize,
    globals: usize,
}

impl Mask {
    /// Every query attends to its whole sequence.
    pub const BIDIRECTIONAL: Mask = Mask { kind: MaskKind::Bidirectional, window: 0, globals: 0 };

    /// The mask that the header names.
    pub fn new(config: &Config) -> Self {
        Mask { kind: config.mask, window: config.window.unwrap_or(0) as usize, globals: config.globals as usize }
    }

    /// Visible keys of the query at `position` of a sequence of `tokens`; the first range is empty or ends before the second.
    pub fn keys(&self, position: usize, tokens: usize) -> [Range<usize>; 2] {
        let end = position + 1;
        match self.kind {
            MaskKind::Causal | MaskKind::Prefix => [0..0, 0..end],
            MaskKind::Window => [0..0, end.saturating_sub(self.window)..end],
            MaskKind::Bidirectional => [0..0, 0..tokens],
            MaskKind::Local if position < self.globals => [0..0, 0..tokens],
            MaskKind::Local => {
                let near = position.saturating_sub(self.window)..(end + self.window).min(tokens);
                // Ranges that touch are one range.
                if near.start <= self.globals { [0..0, 0..near.end] } else { [0..self.globals, near] }
            }
        }
    }
}

/// A query's position, and its sequence's place in the cache.
#[derive(Clone, Copy, Debug)]
pub struct QueryPos {
    /// Position of the query in its sequence.
    pub pos: usize,
    /// Index of the sequence's first key in the cache.
    pub seq_start: usize,
    /// Keys of the sequence.
    pub seq_len: usize,
}

/// A range of keys in the cache, and where its scores are in a head's buffers. The cache stores values in blocks of four tokens, so scores
/// and weights begin at a whole block; keys of that block before the range get weight 0.
#[derive(Clone, Debug)]
pub struct KeyRange {
    /// Positions in the sequence.
    pub positions: Range<usize>,
    /// Indices in the cache.
    pub keys: Range<usize>,
    /// Cache index at which the range's first block begins.
    pub block: usize,
    /// Index of that block's first score.
    pub block_scores: usize,
}

impl KeyRange {
    /// The range of these positions in a sequence whose first key has cache index `seq_start`.
    fn new(positions: Range<usize>, seq_start: usize, block_scores: usize) -> KeyRange {
        let keys = seq_start + positions.start..seq_start + positions.end;
        KeyRange { positions, block: keys.start & !3, keys, block_scores }
    }

    /// Indices of the range's scores.
    pub fn scores(&self) -> Range<usize> {
        self.block_scores + self.keys.start - self.block..self.block_scores + self.keys.end - self.block
    }
}

/// The keys that one query attends to.
#[derive(Clone, Debug)]
pub struct KeyRanges {
    /// The query.
    pub query: QueryPos,
    /// The range that holds the query's own position, or the whole sequence.
    pub near: KeyRange,
    far: Option<KeyRange>,
}

impl KeyRanges {
    /// The visible keys of a query.
    pub fn new(mask: Mask, query: QueryPos) -> Self {
        let [far, near] = mask.keys(query.pos, query.seq_len);
        let far = (!far.is_empty()).then(|| KeyRange::new(far, query.seq_start, 0));
        let at = far.as_ref().map_or(0, |far| far.scores().end.next_multiple_of(4));
        KeyRanges { query, far, near: KeyRange::new(near, query.seq_start, at) }
    }

    /// The separate range before the other, of masks with global tokens. Only encoders have such masks.
    #[inline]
    pub fn far(&self) -> Option<&KeyRange> {
        if cfg!(feature = "encoder") { self.far.as_ref() } else { None }
    }

    /// The ranges, in order of position.
    pub fn iter(&self) -> impl Iterator<Item = &KeyRange> + Clone {
        self.far().into_iter().chain(core::iter::once(&self.near))
    }

    /// Visible positions, in order.
    pub fn positions(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.iter().flat_map(|range| range.positions.clone())
    }
}
