//! Heads of attention: what queries find among the keys of a cache.

use super::bias::ScoreBias;
use super::kv_cache::{LayerCache, Rows};
use super::linear as linear_attention;
use super::mask::Mask;
use super::softmax_int8::{Int8Head, Run, attend_float};
use super::tile::Tile;
use crate::format::Config;
use crate::kernels::Kernels;
use crate::memory::layout::linear_state_len;
use crate::numeric::LOG2_E;
use crate::probe::{HeadSite, Probe};
use crate::slices::{prefix_mut, rows, rows_mut};
use half::f16;

/// The heads of one attention.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// What products are multiplied with.
    scale: f32,
    /// The same times log2(e): integer scores are powers of two.
    scale_log2: f32,
    pub(super) bias: ScoreBias<'a>,
}

/// Token rows whose first columns are queries.
#[derive(Clone, Copy, Debug)]
pub struct QueryRows<'q> {
    /// `(tokens, width)`.
    pub values: &'q [f32],
    /// Elements from one row to the next, at least `q_dim`.
    pub width: usize,
}

/// Where one row's keys are.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// Position of the row in its sequence.
    pub position: usize,
    /// Place of the sequence's first key in the cache.
    pub first: usize,
    /// Keys of the sequence.
    pub tokens: usize,
}

/// Buffers for one head of one query, or of a tile of them.
#[derive(Debug)]
pub struct HeadScratch<'s> {
    /// `(tile, head_dim)`.
    pub query: &'s mut [i16],
    /// `(tile, head_dim)`.
    pub mixed: &'s mut [i32],
    /// `(tile, context)`.
    pub scores: &'s mut [i32],
    /// `(tile, context)`.
    pub weights: &'s mut [i16],
    /// Scales of the values of two runs of keys, `(context)` under a mask that has two.
    pub scales: &'s mut [f32],
    /// A query behind its feature map, or a normed head, `(head_dim)` where a model has them.
    pub mapped: &'s mut [f32],
}

impl<'a> Heads<'a> {
    /// The heads of this shape.
    pub fn new(config: &Config, bias: ScoreBias<'a>) -> Self {
        Heads {
            heads: config.heads as usize,
            kv_heads: config.kv_heads as usize,
            head_dim: config.head_dim as usize,
            scale: config.score_factor(1.0),
            scale_log2: config.score_factor(LOG2_E),
            bias,
        }
    }

    /// Width of all queries of a token.
    pub fn q_dim(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all keys, or values, of a token.
    pub fn kv_dim(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// One query row, `(q_dim, ..)`, over the keys that it sees; `out` is `(q_dim)`.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that a textbook's attention takes")]
    pub fn attend_row(
        &self,
        kernels: &Kernels,
        queries: &[f32],
        mask: Mask,
        sight: Sight,
        cache: &LayerCache<'_>,
        scratch: &mut HeadScratch<'_>,
        out: &mut [f32],
        layer: u32,
        probe: &mut impl Probe,
    ) {
        let group = (self.heads / self.kv_heads.max(1)).max(1);
        let mut seen = Seen::new(mask, sight, self.bias);
        let per_head = rows(queries, self.head_dim).zip(rows_mut(out, self.head_dim)).enumerate();
        for (head, (query, out)) in per_head {
            let offset = head / group * self.head_dim;
            seen.head = head;
            let site = HeadSite { layer, head, position: sight.position };
            match cache {
                LayerCache::State { sums, .. } => {
                    let state = rows(sums, linear_state_len(self.head_dim)).nth(head / group).unwrap_or_default();
                    linear_attention::read(state, query, scratch.mapped, out);
                }
                LayerCache::F32(rows) => self.attend_float(query, &seen, rows, offset, |x| x, scratch, out, site, probe),
                LayerCache::F16(rows) => {
                    self.attend_float(query, &seen, rows, offset, |x| f16::from_bits(x).to_f32_const(), scratch, out, site, probe);
                }
                LayerCache::Int8 { rows, key_scales, value_scales } => {
                    let head = Int8Head { rows, key_scales, value_scales, offset, factor: self.scale_log2 };
                    head.attend(kernels, query, &seen, scratch, out, site, probe);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one head of a float cache, and what it takes")]
    fn attend_float<T: Copy>(
        &self,
        query: &[f32],
        seen: &Seen<'_>,
        cache: &Rows<'_, T>,
        offset: usize,
        widen: impl Fn(T) -> f32,
        scratch: &mut HeadScratch<'_>,
        out: &mut [f32],
        site: HeadSite,
        probe: &mut impl Probe,
    ) {
        let weights = attend_float(query, self.scale, seen, cache, offset, widen, scratch.scores, out);
        if probe.wants_attention() {
            probe.attention(site, seen.positions().zip(weights.iter().map(|&weight| weight as u32)));
        }
    }
}

/// The keys that one query sees, and the head that looks.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// The query head.
    pub head: usize,
    /// The row.
    pub sight: Sight,
    /// A run of keys apart, before the others, under a mask that has one.
    pub far: Option<Run>,
    /// The run of keys.
    pub near: Run,
    /// Added to the scores.
    pub bias: ScoreBias<'a>,
}

impl<'a> Seen<'a> {
    pub(super) fn new(mask: Mask, sight: Sight, bias: ScoreBias<'a>) -> Self {
        let [far, near] = mask.keys(sight.position, sight.tokens);
        let far = (!far.is_empty()).then(|| Run::new(far, sight.first, 0));
        let at = far.as_ref().map_or(0, |far| far.scores().end.next_multiple_of(4));
        Seen { head: 0, sight, far, near: Run::new(near, sight.first, at), bias }
    }

    /// Its runs of keys, in order.
    pub fn runs(&self) -> impl Iterator<Item = &Run> + Clone {
        self.far.iter().chain(core::iter::once(&self.near))
    }

    /// Positions seen, in order.
    pub fn positions(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.runs().flat_map(|run| run.positions.clone())
    }
}

/// All query rows over the keys that they see: the front of `inner`, `(queries, q_dim)`.
pub struct Attend<'r, 'c> {
    /// The loops that cost time.
    pub kernels: &'r Kernels,
    /// Which keys a query sees.
    pub mask: Mask,
    /// Keys and values.
    pub cache: &'r LayerCache<'c>,
    /// The layer, for a probe.
    pub layer: u32,
}

impl Attend<'_, '_> {
    /// Runs the rows, one after another.
    pub fn rows<'i>(
        &self,
        heads: &Heads<'_>,
        queries: QueryRows<'_>,
        sights: impl Iterator<Item = Sight>,
        scratch: &mut HeadScratch<'_>,
        inner: &'i mut [f32],
        probe: &mut impl Probe,
    ) -> &'i mut [f32] {
        let count = rows(queries.values, queries.width).len();
        let attended = prefix_mut(inner, count * heads.q_dim());
        let mut sights = sights.take(count).peekable();
        let (mut queried, mut out) = (queries.values, &mut *attended);
        while sights.peek().is_some() {
            let mut seen = Tile::new();
            while let Some(next) =
                sights.next_if(|&sight| seen.is_empty() || !probe.wants_attention() && heads.joins(self, &seen, sight, scratch))
            {
                if seen.push(Seen::new(self.mask, next, heads.bias)).is_err() {
                    break;
                }
            }
            let number = seen.len();
            let (rows_now, behind) = queried.split_at_checked(number * queries.width).unwrap_or_default();
            let (out_now, out_behind) = out.split_at_mut_checked(number * heads.q_dim()).unwrap_or_default();
            (queried, out) = (behind, out_behind);
            match (self.cache, &seen[..]) {
                (LayerCache::Int8 { rows, key_scales, value_scales }, [_, _, ..]) => {
                    let caches = Int8Head { rows, key_scales, value_scales, offset: 0, factor: heads.scale_log2 };
                    heads.attend_tile(self.kernels, QueryRows { values: rows_now, ..queries }, &mut seen, caches, scratch, out_now);
                }
                (_, [one]) => {
                    heads.attend_row(self.kernels, rows_now, self.mask, one.sight, self.cache, scratch, out_now, self.layer, probe);
                }
                _ => {}
            }
        }
        attended
    }
}
