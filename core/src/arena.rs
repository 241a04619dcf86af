//! One caller-given buffer for everything that changes while a model runs, carved by a plan that follows from the header.

use crate::error::Error;
use crate::image::header::{Architecture, AttentionKind, Config, Front, KvType, MaskKind};
use crate::layers::attention::state_len;
use crate::parallel::{Inline, Parallel};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Alignment of an arena and of every part of it.
pub const ALIGN: usize = 16;
/// Tokens that a prefill processes together unless the plan says otherwise.
pub const DEFAULT_BLOCK: u32 = 8;
/// Keys that one exact weighted sum may span (rule 7 of the numeric specification).
pub const KEYS_PER_SUM: usize = 4096;

/// How a session will be used: what its memory depends on beside the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Longest sequence, tokens; at most the packed context.
    pub context: u32,
    /// Tokens processed together in a prefill. It changes speed and memory, never results.
    pub block: u32,
}

impl Plan {
    /// The packed context and the default block, or a block of the whole context where that is shorter.
    pub const fn packed(config: &Config) -> Plan {
        let block = if config.context < DEFAULT_BLOCK { config.context } else { DEFAULT_BLOCK };
        Plan { context: config.context, block }
    }

    /// The same plan with another context.
    pub const fn with_context(self, context: u32) -> Plan {
        Plan { context, ..self }
    }

    /// The same plan with another block.
    pub const fn with_block(self, block: u32) -> Plan {
        Plan { block, ..self }
    }
}

/// Bytes that a session needs: exact, and the only source of that number. `usize::MAX` for more than this target can address.
///
/// The arena must start at a multiple of [`ALIGN`]; otherwise the bytes skipped to reach one come on top.
pub const fn arena_bytes(config: &Config, plan: Plan) -> usize {
    let sizes = Sizes::new(config, plan);
    let mut total = 0;
    let mut part = 0;
    while part < sizes.0.len() {
        total += sizes.0[part];
        part += 1;
    }
    if total > usize::MAX as u64 { usize::MAX } else { total as usize }
}

/// Bytes of each part, in the order in which [`Workspace::carve`] takes them; in 64 bits, since a header may ask for more than a
/// microcontroller can address.
struct Sizes([u64; 19]);

impl Sizes {
    const fn new(config: &Config, plan: Plan) -> Sizes {
        let block = plan.block as u64;
        let kept = kept_rows(config, plan) as u64;
        let d_model = config.d_model as u64;
        let head_dim = config.head_dim as u64;
        let layer_dim = config.layer_dim as u64;
        let projected = max(max(max(config.qkv_dim() as u64, config.mlp_up_dim() as u64), d_model), layer_dim);
        let convolves = matches!(config.front, Front::Convolution);
        let taps = if convolves { 3 } else { 1 };
        let gathered = if convolves { 3 * max(config.features as u64, d_model) } else { 0 };
        let attended = max(max(max(max(d_model, config.q_dim() as u64), config.d_hidden as u64), layer_dim), gathered);
        let columns = max(attended, taps * config.features as u64);
        // Two runs of keys each begin at a whole block of four.
        let runs = if matches!(config.mask, MaskKind::Local) { 8 } else { 0 };
        let linear = matches!(config.attention, AttentionKind::Linear);
        // A running state has no scores.
        let seen = if linear { 0 } else { max(plan.context as u64, config.encoder_context as u64).next_multiple_of(4) + runs };
        let mapped = if config.qk_norm || linear { head_dim } else { 0 };
        let tile = tile(plan.block) as u64;
        Sizes([
            kv_bytes(config, plan.context),
            cross_bytes(config),
            aligned(max(block, kept) * d_model * 4),
            aligned(kept * config.q_dim() as u64 * 4),
            aligned(block * attended * 4),
            aligned(block * projected * 4),
            aligned(if config.parallel { block * d_model * 4 } else { 0 }),
            aligned(if convolves { (2 * block + 1) * d_model * 4 } else { 0 }),
            aligned(block * columns.next_multiple_of(4) * 2),
            aligned(block * 4),
            aligned(block * head_dim / 2 * 8),
            aligned(tile * head_dim.next_multiple_of(4) * 2),
            aligned(tile * head_dim * 4),
            aligned(tile * seen * 4),
            aligned(tile * seen * 2),
            aligned(if runs == 0 { 0 } else { seen * 4 }),
            aligned(mapped * 4),
            aligned(plan.context as u64 * 4),
            aligned(config.output_dim(plan.context) * 4),
        ])
    }
}

/// Queries of a head that attention takes together: one in a microcontroller's small blocks.
const fn tile(block: u32) -> u32 {
    let tile = block / 8;
    if tile < 1 {
        1
    } else if tile > 8 {
        8
    } else {
        tile
    }
}

/// Elements of a quantized row of `columns` values: whole groups of four.
pub(crate) const fn quantized_stride(columns: usize) -> usize {
    columns.next_multiple_of(4)
}

/// Rows that wait from one layer to the next, where each token sees the whole sequence.
const fn kept_rows(config: &Config, plan: Plan) -> u32 {
    match (config.architecture, config.mask) {
        (Architecture::Encoder, _) | (Architecture::Decoder, MaskKind::Prefix) => plan.context,
        (Architecture::Decoder, _) => 0,
        (Architecture::EncoderDecoder, _) => config.encoder_context,
    }
}

/// Bytes of the arena that hold keys and values of the sequence itself. An encoder is done with one layer before the next begins.
pub const fn kv_bytes(config: &Config, context: u32) -> u64 {
    let layers = match config.architecture {
        Architecture::Decoder | Architecture::EncoderDecoder => config.layers,
        Architecture::Encoder => 1,
    };
    aligned(layers as u64 * kv_layer_bytes(config, context))
}

/// Bytes of the arena that hold keys and values of the encoder's rows, for each layer of the decoder. The encoder's own layers use the first place.
pub const fn cross_bytes(config: &Config) -> u64 {
    if config.has_cross() { aligned(config.layers as u64 * kv_layer_bytes(config, config.encoder_context)) } else { 0 }
}

/// Bytes of one layer's keys and values: keys, values, then a scale for each token of both (int8); or of its state.
pub(crate) const fn kv_layer_bytes(config: &Config, context: u32) -> u64 {
    let tokens = (context as u64).next_multiple_of(4);
    let row = kv_stride(config) as u64;
    match (config.attention, config.kv) {
        (AttentionKind::Linear, _) => state_len(config.kv_heads as usize, config.head_dim as usize) as u64 * 4,
        (_, KvType::F32) => tokens * row * 8,
        (_, KvType::F16) => tokens * row * 4,
        (_, KvType::Int8) => tokens * row * 2 + tokens * 8,
    }
}

/// Elements of a token's row of keys or values.
pub(crate) const fn kv_stride(config: &Config) -> usize {
    (config.kv_dim() as usize).next_multiple_of(4)
}

const fn max(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

const fn aligned(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGN as u64)
}

/// An arena of `N` bytes at the right alignment, for a `static`.
///
/// ```
/// use attoformer::Arena;
/// let mut arena = Arena::<1024>::new();
/// assert_eq!(arena.bytes().len(), 1024);
/// ```
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Arena<const N: usize>([u8; N]);

impl<const N: usize> Arena<N> {
    /// All zero, so that a static arena costs no flash.
    pub const fn new() -> Self {
        Arena([0; N])
    }

    /// The bytes to hand to a session.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl<const N: usize> Default for Arena<N> {
    fn default() -> Self {
        Self::new()
    }
}

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
