//! The plan of a session, and the exact size of its arena.

use super::layout::{aligned, cross_bytes, kv_bytes, max};
use crate::format::{Architecture, AttentionKind, Config, InputStem, MaskKind};

/// Tokens that a prefill processes together unless the plan says otherwise.
pub const DEFAULT_BLOCK: u32 = 8;

/// The choices that a session's memory depends on besides the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// Longest sequence, tokens; at most the packed context.
    pub context: u32,
    /// Tokens processed together in a prefill. It changes speed and memory, never results.
    pub block: u32,
}

impl Plan {
    /// The packed context and the default block, or a block of the whole context if that is shorter.
    #[must_use]
    pub const fn packed(config: &Config) -> Plan {
        let block = if config.context < DEFAULT_BLOCK { config.context } else { DEFAULT_BLOCK };
        Plan { context: config.context, block }
    }

    /// The same plan with another context.
    #[must_use]
    pub const fn with_context(self, context: u32) -> Plan {
        Plan { context, ..self }
    }

    /// The same plan with another block.
    #[must_use]
    pub const fn with_block(self, block: u32) -> Plan {
        Plan { block, ..self }
    }
}

/// The exact arena size of a session in bytes, and the only source of that number; `usize::MAX` for more than this target can address.
///
/// The arena must start at a multiple of [`ALIGN`](super::layout::ALIGN); otherwise the bytes skipped to reach one come on top.
#[doc(alias = "arena_size")]
#[must_use]
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

/// Bytes of each part, in the order in which [`Workspace::carve`](super::workspace::Workspace::carve) takes them; in 64 bits, since a header may ask for more than a
/// microcontroller can address.
pub(super) struct Sizes(pub(super) [u64; 19]);

impl Sizes {
    pub(super) const fn new(config: &Config, plan: Plan) -> Sizes {
        let block = plan.block as u64;
        let kept = kept_rows(config, plan) as u64;
        let d_model = config.d_model as u64;
        let head_dim = config.head_dim as u64;
        let layer_dim = config.layer_width() as u64;
        let projected = max(max(max(config.qkv_dim() as u64, config.mlp_up_dim() as u64), d_model), layer_dim);
        let convolves = matches!(config.input_stem, InputStem::Convolution);
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

/// Queries of a head that attention takes together: one in a microcontroller's small blocks; in large blocks a tile for each of several threads.
const fn tile(block: u32) -> u32 {
    let tile = block / 8;
    if tile < 1 {
        1
    } else if tile > 64 {
        64
    } else {
        tile
    }
}

/// Rows that wait from one layer to the next, where each token sees the whole sequence.
const fn kept_rows(config: &Config, plan: Plan) -> u32 {
    match (config.architecture, config.mask) {
        (Architecture::Encoder, _) | (Architecture::Decoder, MaskKind::Prefix) => plan.context,
        (Architecture::Decoder, _) => 0,
        (Architecture::EncoderDecoder, _) => config.encoder_context,
    }
}
