//! An arena carved into its parts.

use super::layout::ALIGN;
use super::plan::{Plan, Sizes, arena_bytes};
use crate::error::Error;
use crate::format::Config;
use crate::parallel::{Inline, Parallel};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The arena in its parts. Shapes are maxima: a smaller last block uses the front. A part that the model does not need is `None`, or empty
/// as stated.
#[derive(Debug)]
#[cfg_attr(not(feature = "encoder"), expect(dead_code, reason = "bidirectional stacks alone use `queries` and `conv_out`"))]
pub(crate) struct Workspace<'a> {
    /// KV cache of the sequence, one part per layer; a single part for an encoder.
    pub kv: &'a mut [u8],
    /// KV cache of an encoder-decoder's encoder output, one part per decoder layer.
    pub cross: Option<&'a mut [u8]>,
    /// Residual stream, `(block, d_model)`, or `(context, d_model)` where every token attends to its whole sequence.
    pub x: &'a mut [f32],
    /// Queries of a whole sequence, where every token attends to it; a causal decoder's queries stay in `proj`.
    pub queries: Option<&'a mut [f32]>,
    /// Normed rows, attended rows, the MLP's neurons or a convolution's gathered inputs, `(block, widest of them)`.
    pub normed: &'a mut [f32],
    /// Queries, keys and values, the MLP's up projection, or a sublayer's output, `(block, max(qkv_dim, mlp_up_dim, d_model))`.
    pub proj: &'a mut [f32],
    /// The attention's output while a parallel MLP runs, `(block, d_model)`; only for parallel blocks.
    pub attn_out: Option<&'a mut [f32]>,
    /// Rows of the first convolution, `(2 * block + 1, d_model)`; only for models with convolutions.
    pub conv_out: Option<&'a mut [f32]>,
    /// A matrix's quantized input, `(block, columns)`.
    pub quantized: &'a mut [i16],
    /// Scales of the quantized rows, `(block)`.
    pub row_scales: &'a mut [f32],
    /// Sine and cosine of each rotary pair, `(block, head_dim / 2)`.
    pub sin_cos: &'a mut [[f32; 2]],
    /// Quantized queries of one head, `(tile, head_dim)`.
    pub query: &'a mut [i16],
    /// Weighted sums of one head's values, `(tile, head_dim)`.
    pub weighted_sum: &'a mut [i32],
    /// Scores of one head, `(tile, context)`; bits of f32 with a float cache. Empty for linear attention, which has no scores.
    pub scores: &'a mut [i32],
    /// Softmax weights of one head, `(tile, context)`. Empty for linear attention.
    pub weights: &'a mut [i16],
    /// Value scales of two key ranges, `(context)`; only for masks with global tokens.
    pub range_scales: Option<&'a mut [f32]>,
    /// The feature map of a query (linear attention), or a normed head (QK norm), `(head_dim)`; only for models with either.
    pub phi_q: Option<&'a mut [f32]>,
    /// Tokens of the sequence so far, `(context)`.
    pub tokens: &'a mut [u32],
    /// Logits `(vocab)`, an embedding `(d_model)` or labels.
    pub output: &'a mut [f32],
    /// Logits of several rows, `(rows, vocab)`; the caller's own memory, empty unless given.
    pub logit_rows: &'a mut [f32],
    /// The threads.
    pub parallel: &'a dyn Parallel,
}

impl<'a> Workspace<'a> {
    /// Carves the arena as [`arena_bytes`] counted it.
    pub(crate) fn carve(arena: &'a mut [u8], config: &Config, plan: Plan) -> Result<Self, Error> {
        let need = arena_bytes(config, plan);
        let have = arena.len();
        let skip = (arena.as_ptr() as usize).wrapping_neg() % ALIGN;
        let too_small = Error::ArenaTooSmall { need: need.saturating_add(skip), have };
        let rest = &mut arena.get_mut(skip..).filter(|rest| rest.len() >= need).ok_or(too_small)?;
        let sizes = &mut Sizes::new(config, plan).0.into_iter();
        Ok(Workspace {
            kv: take(rest, sizes).ok_or(too_small)?,
            cross: take(rest, sizes).map(some).ok_or(too_small)?,
            x: take(rest, sizes).ok_or(too_small)?,
            queries: take(rest, sizes).map(some).ok_or(too_small)?,
            normed: take(rest, sizes).ok_or(too_small)?,
            proj: take(rest, sizes).ok_or(too_small)?,
            attn_out: take(rest, sizes).map(some).ok_or(too_small)?,
            conv_out: take(rest, sizes).map(some).ok_or(too_small)?,
            quantized: take(rest, sizes).ok_or(too_small)?,
            row_scales: take(rest, sizes).ok_or(too_small)?,
            sin_cos: take(rest, sizes).ok_or(too_small)?,
            query: take(rest, sizes).ok_or(too_small)?,
            weighted_sum: take(rest, sizes).ok_or(too_small)?,
            scores: take(rest, sizes).ok_or(too_small)?,
            weights: take(rest, sizes).ok_or(too_small)?,
            range_scales: take(rest, sizes).map(some).ok_or(too_small)?,
            phi_q: take(rest, sizes).map(some).ok_or(too_small)?,
            tokens: take(rest, sizes).ok_or(too_small)?,
            output: take(rest, sizes).ok_or(too_small)?,
            logit_rows: &mut [],
            parallel: &Inline,
        })
    }
}

/// Splits the next part from the front of `rest`.
fn take<'a, T: FromBytes + IntoBytes + Immutable + KnownLayout>(
    rest: &mut &'a mut [u8],
    sizes: &mut impl Iterator<Item = u64>,
) -> Option<&'a mut [T]> {
    let (part, later) = core::mem::take(rest).split_at_mut_checked(sizes.next()? as usize)?;
    *rest = later;
    <[T]>::mut_from_bytes(part).ok()
}

/// A part that only some models have.
fn some<T>(part: &mut [T]) -> Option<&mut [T]> {
    (!part.is_empty()).then_some(part)
}
