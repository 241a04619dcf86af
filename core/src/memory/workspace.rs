//! An arena carved into its parts.

use super::layout::ALIGN;
use super::plan::{Plan, Sizes, arena_bytes};
use crate::error::Error;
use crate::format::Config;
use crate::parallel::{Inline, Parallel};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The arena in its parts. Shapes are maxima: a smaller last block uses the front.
#[derive(Debug)]
pub(crate) struct Workspace<'a> {
    /// Keys and values of the sequence, a place for each layer; one place of an encoder.
    pub kv: &'a mut [u8],
    /// Keys and values of an encoder-decoder's encoder, a place for each layer of the decoder.
    pub cross: &'a mut [u8],
    /// Residual stream, `(block, d_model)`, or of a whole sequence where every token sees all.
    pub x: &'a mut [f32],
    /// Queries of a whole sequence; a decoder's stay in `projected`.
    pub queries: &'a mut [f32],
    /// Normed rows, attended values, the MLP's inner rows or a convolution's inputs, `(block, widest of them)`.
    pub inner: &'a mut [f32],
    /// Queries, keys and values, the MLP's first product, or a layer's output, `(block, max(qkv_dim, mlp_up_dim, d_model))`.
    pub projected: &'a mut [f32],
    /// The attention's output beside a parallel MLP, `(block, d_model)`.
    pub aside: &'a mut [f32],
    /// The first convolution's rows, `(2 * block + 1, d_model)`.
    pub stem: &'a mut [f32],
    /// A matrix's quantized input, `(block, columns)`.
    pub quantized: &'a mut [i16],
    /// Scales of the quantized rows, `(block)`.
    pub row_scales: &'a mut [f32],
    /// Sine and cosine of each rotary pair, `(block, head_dim / 2)`.
    pub turns: &'a mut [[f32; 2]],
    /// One head's quantized query, `(head_dim)`.
    pub query: &'a mut [i16],
    /// One head's weighted sum of values, `(head_dim)`.
    pub mixed: &'a mut [i32],
    /// One head's scores, `(context)`; as f32 with a float cache.
    pub scores: &'a mut [i32],
    /// One head's weights, `(context)`.
    pub weights: &'a mut [i16],
    /// Scales of the values of two runs of keys, `(context)`.
    pub run_scales: &'a mut [f32],
    /// A head behind its feature map or its norm, `(head_dim)`.
    pub mapped: &'a mut [f32],
    /// Tokens fed so far, `(context)`.
    pub tokens: &'a mut [u32],
    /// Logits `(vocab)`, an embedding `(d_model)` or labels.
    pub output: &'a mut [f32],
    /// Who runs halves of the work.
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
            cross: take(rest, sizes).ok_or(too_small)?,
            x: take(rest, sizes).ok_or(too_small)?,
            queries: take(rest, sizes).ok_or(too_small)?,
            inner: take(rest, sizes).ok_or(too_small)?,
            projected: take(rest, sizes).ok_or(too_small)?,
            aside: take(rest, sizes).ok_or(too_small)?,
            stem: take(rest, sizes).ok_or(too_small)?,
            quantized: take(rest, sizes).ok_or(too_small)?,
            row_scales: take(rest, sizes).ok_or(too_small)?,
            turns: take(rest, sizes).ok_or(too_small)?,
            query: take(rest, sizes).ok_or(too_small)?,
            mixed: take(rest, sizes).ok_or(too_small)?,
            scores: take(rest, sizes).ok_or(too_small)?,
            weights: take(rest, sizes).ok_or(too_small)?,
            run_scales: take(rest, sizes).ok_or(too_small)?,
            mapped: take(rest, sizes).ok_or(too_small)?,
            tokens: take(rest, sizes).ok_or(too_small)?,
            output: take(rest, sizes).ok_or(too_small)?,
            parallel: &Inline,
        })
    }
}

/// Takes the next part off the front of `rest`.
fn take<'a, T: FromBytes + IntoBytes + Immutable + KnownLayout>(
    rest: &mut &'a mut [u8],
    sizes: &mut impl Iterator<Item = u64>,
) -> Option<&'a mut [T]> {
    let (part, behind) = core::mem::take(rest).split_at_mut_checked(sizes.next()? as usize)?;
    *rest = behind;
    <[T]>::mut_from_bytes(part).ok()
}
