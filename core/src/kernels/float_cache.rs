//! Attention over an f32 or f16 KV cache: the operands, and the scalar kernels, which are the specification (rule 8).

use crate::numeric::{Lanes, exp_neg_q30};
use half::f16;

/// An element of a float cache.
pub trait FloatElement: Copy {
    /// The value as f32; exact.
    fn widen(self) -> f32;
}

impl FloatElement for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }
}

/// The bits of an f16.
impl FloatElement for u16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f16::from_bits(self).to_f32_const()
    }
}

/// Rows of several neighboring queries of one head: the queries, or their softmax weights.
#[derive(Clone, Copy, Debug)]
pub struct FloatTile<'a> {
    /// `(queries, stride)`; the last row may end after its last value.
    pub values: &'a [f32],
    /// Elements from one query to the next.
    pub stride: usize,
    /// Number of keys visible to each query: the first ones.
    pub visible: &'a [usize],
}

impl<'a> FloatTile<'a> {
    /// The first `width` values of each query, with the number of its visible keys.
    #[inline(always)]
    pub fn rows(&self, width: usize) -> impl Iterator<Item = (&'a [f32], usize)> {
        let rows = self.values.chunks(self.stride.max(1)).map(move |row| row.get(..width).unwrap_or_default());
        rows.zip(self.visible.iter().copied())
    }
}

/// One head's view of a layer's float keys in the KV cache.
#[derive(Clone, Copy, Debug)]
pub struct FloatKeys<'a, T> {
    /// `(tokens, stride)`.
    pub values: &'a [T],
    /// Elements from one token to the next.
    pub stride: usize,
    /// The head's first element in a row.
    pub offset: usize,
    /// Elements of the head.
    pub head_dim: usize,
}

/// One head's view of a layer's float values in the KV cache, `(tokens / 4, stride, 4)`.
#[derive(Clone, Copy, Debug)]
pub struct FloatValues<'a, T> {
    /// Whole blocks of four tokens; only visible tokens count.
    pub values: &'a [[T; 4]],
    /// Width of a block: the dimensions of all heads.
    pub stride: usize,
    /// The head's first dimension in a block.
    pub offset: usize,
    /// Dimensions of the head.
    pub head_dim: usize,
    /// Place of the first weight's token in the first block, below four.
    pub first: usize,
}

/// Scores over float keys: dot product in eight lanes times `scale`. `out` is `(queries, stride)`; of a query's row, what follows the scores of its
/// visible keys is left in any state.
pub fn scores_float<T: FloatElement>(queries: &FloatTile<'_>, keys: &FloatKeys<'_, T>, scale: f32, stride: usize, out: &mut [f32]) {
    for ((query, visible), out) in queries.rows(keys.head_dim).zip(out.chunks_mut(stride.max(1))) {
        debug_assert!(visible <= out.len(), "{visible} scores in a row of {}", out.len());
        for (out, key) in out.iter_mut().zip(keys.values.chunks(keys.stride.max(1))).take(visible) {
            let key = key.get(keys.offset..).unwrap_or_default();
            let mut lanes = Lanes::default();
            for (q, k) in query.chunks(8).zip(key.chunks(8)) {
                lanes.0.iter_mut().zip(q).zip(k).for_each(|((lane, &q), &k)| *lane += q * k.widen());
            }
            *out = lanes.total() * scale;
        }
    }
}

/// Replaces one query's scores by `e = exp(score - largest)` in Q30, as floats. Returns the sum of the integers.
pub fn softmax_float(scores: &mut [f32]) -> u64 {
    let largest = scores.iter().fold(f32::NEG_INFINITY, |largest, &score| if score > largest { score } else { largest });
    let mut sum = 0u64;
    for score in scores {
        let e = exp_neg_q30(*score - largest);
        *score = e as f32;
        sum += e as u64;
    }
    sum
}

/// Adds weight times value to `out` for each query, token by token in order, with one accumulator per dimension. `out` is `(queries, stride)`,
/// of which the first `head_dim` elements of a row are used.
pub fn add_values_float<T: FloatElement>(weights: &FloatTile<'_>, values: &FloatValues<'_, T>, stride: usize, out: &mut [f32]) {
    for ((row, &visible), out) in weights.values.chunks(weights.stride.max(1)).zip(weights.visible).zip(out.chunks_mut(stride.max(1))) {
        let out = out.get_mut(..values.head_dim).unwrap_or_default();
        debug_assert!(visible <= row.len() && out.len() == values.head_dim, "{visible} weights of {}, {} dimensions", row.len(), out.len());
        for (place, &weight) in (values.first..).zip(row).take(visible) {
            let start = (place / 4).wrapping_mul(values.stride).wrapping_add(values.offset);
            let block = values.values.get(start..).unwrap_or_default();
            for (out, lanes) in out.iter_mut().zip(block) {
                if let Some(&value) = lanes.get(place % 4) {
                    *out += weight * value.widen();
                }
            }
        }
    }
}
