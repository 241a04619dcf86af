//! KV cache: the keys and values of a sequence's tokens, layer by layer, or the state of linear attention.
//!
//! Keys are stored token by token. Values are stored in blocks of four tokens, `(tokens / 4, width, 4)`, so that a weighted sum reads four
//! neighboring tokens of a dimension at once. In an int8 [`KvCache`] each token's keys have one scale over all heads, and so have its values;
//! they are quantized by their absmax.

use super::linear;
use crate::format::{AttentionKind, Config, KvType};
use crate::memory::layout::{kv_layer_bytes, kv_stride};
use crate::numeric::{Quantizer, max_magnitude_bits};
use crate::slices::{rows, rows_mut, split};
use half::f16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Whether linear attention is built in.
pub const LINEAR: bool = cfg!(feature = "linear-attention");
/// Whether float caches are built in.
pub const KV_FLOAT: bool = cfg!(feature = "kv-float");
/// Whether int8 caches are built in.
pub const KV_INT8: bool = cfg!(feature = "kv-int8");

/// The cache of several layers. An encoder's layers share one layer's memory, one after another.
#[derive(Debug)]
pub struct KvCache<'a> {
    bytes: &'a mut [u8],
    layer_bytes: usize,
    shape: Shape,
}

#[derive(Clone, Copy, Debug)]
struct Shape {
    attention: AttentionKind,
    kv: KvType,
    head_dim: usize,
    /// Capacity in tokens: whole blocks of four.
    tokens: usize,
    /// Elements of a row.
    stride: usize,
}

/// One layer's keys and values.
#[derive(Debug)]
pub enum LayerCache<'c> {
    /// The state of linear attention.
    State {
        /// `(kv_heads, state_len)`.
        sums: &'c mut [f32],
        /// Width of a head.
        head_dim: usize,
    },
    /// 32-bit floats.
    F32(Rows<'c, f32>),
    /// Half floats, as bits.
    F16(Rows<'c, u16>),
    /// 8-bit integers with a scale per token.
    Int8 {
        /// Integers.
        rows: Rows<'c, i8>,
        /// Scale of each token's keys.
        #[doc(alias = "kv_scale")]
        key_scales: &'c mut [f32],
        /// Scale of each token's values.
        value_scales: &'c mut [f32],
    },
}

/// Elements of one layer's keys and values.
#[derive(Debug)]
pub struct Rows<'c, T> {
    /// `(tokens, stride)`.
    pub keys: &'c mut [T],
    /// `(tokens / 4, stride, 4)`.
    pub values: &'c mut [[T; 4]],
    /// Elements of a token's row.
    pub stride: usize,
}

impl<'a> KvCache<'a> {
    /// A cache for `context` tokens in its part of the arena.
    pub fn new(bytes: &'a mut [u8], config: &Config, context: u32) -> Self {
        let shape = Shape {
            attention: config.attention,
            kv: config.kv,
            head_dim: config.head_dim as usize,
            tokens: (context as usize).next_multiple_of(4),
            stride: kv_stride(config),
        };
        KvCache { bytes, layer_bytes: kv_layer_bytes(config, context) as usize, shape }
    }

    /// The keys and values of layer `layer`; `None` beyond the last one.
    pub fn layer(&mut self, layer: u32) -> Option<LayerCache<'_>> {
        let Shape { attention, kv, head_dim, tokens, stride } = self.shape;
        let bytes = rows_mut(self.bytes, self.layer_bytes).nth(layer as usize)?;
        Some(match (attention, kv) {
            (AttentionKind::Linear, _) if LINEAR => LayerCache::State { sums: <[f32]>::mut_from_bytes(bytes).ok()?, head_dim },
            (AttentionKind::Softmax, KvType::F32) if KV_FLOAT => LayerCache::F32(Rows::carve(bytes, tokens, stride)?.0),
            (AttentionKind::Softmax, KvType::F16) if KV_FLOAT => LayerCache::F16(Rows::carve(bytes, tokens, stride)?.0),
            (AttentionKind::Softmax, KvType::Int8) if KV_INT8 => {
                let (rows, scales) = Rows::carve(bytes, tokens, stride)?;
                let (key_scales, value_scales) = <[f32]>::mut_from_bytes(scales).ok()?.split_at_mut_checked(tokens)?;
                LayerCache::Int8 { rows, key_scales, value_scales }
            }
            _ => {
                debug_assert!(false, "the image's kind of cache is not built in");
                return None;
            }
        })
    }
}

impl<'c, T: FromBytes + IntoBytes + Immutable + KnownLayout> Rows<'c, T> {
    fn carve(bytes: &'c mut [u8], tokens: usize, stride: usize) -> Option<(Self, &'c mut [u8])> {
        let side = tokens * stride * size_of::<T>();
        let (keys, rest) = bytes.split_at_mut_checked(side)?;
        let (values, rest) = rest.split_at_mut_checked(side)?;
        Some((Rows { keys: <[T]>::mut_from_bytes(keys).ok()?, values: <[[T; 4]]>::mut_from_bytes(values).ok()?, stride }, rest))
    }
}

impl<T> Rows<'_, T> {
    /// Stores one token's key and value row at `index`, converted by `key` and `value`.
    fn store(&mut self, index: usize, keys: &[f32], values: &[f32], key: impl Fn(f32) -> T, value: impl Fn(f32) -> T) {
        let row = rows_mut(self.keys, self.stride).nth(index);
        let block = rows_mut(self.values, self.stride).nth(index / 4);
        debug_assert!(row.is_some() && block.is_some(), "key {index} is outside the cache");
        if let Some(row) = row {
            row.iter_mut().zip(keys).for_each(|(out, &x)| *out = key(x));
        }
        if let Some(block) = block {
            for (lanes, &x) in block.iter_mut().zip(values) {
                if let Some(out) = lanes.get_mut(index % 4) {
                    *out = value(x);
                }
            }
        }
    }
}

impl LayerCache<'_> {
    /// Clears the linear-attention state. Keys and values need no clearing: only stored positions are read.
    pub fn clear(&mut self) {
        if let (true, LayerCache::State { sums, .. }) = (LINEAR, self) {
            sums.fill(0.0);
        }
    }

    /// Stores keys and values, each token's at its index: the last `2 * kv_dim` columns of the rows of `projected` `(tokens, width)`.
    pub fn store_rows(&mut self, indices: impl Iterator<Item = usize>, projected: &[f32], width: usize, kv_dim: usize) {
        for (row, index) in rows(projected, width).zip(indices) {
            let (_, keys_values) = split(row, width.wrapping_sub(2 * kv_dim));
            let (keys, values) = split(keys_values, kv_dim);
            self.store(index, keys, values);
        }
    }

    /// Stores one token's key and value rows, `(kv_dim)` each, at `index`, or adds them to the state.
    fn store(&mut self, index: usize, keys: &[f32], values: &[f32]) {
        match self {
            LayerCache::State { sums, head_dim } if LINEAR => linear::absorb(sums, *head_dim, keys, values),
            LayerCache::F32(rows) if KV_FLOAT => rows.store(index, keys, values, |x| x, |x| x),
            LayerCache::F16(rows) if KV_FLOAT => rows.store(index, keys, values, to_f16, to_f16),
            LayerCache::Int8 { rows, key_scales, value_scales } if KV_INT8 => {
                let key = Quantizer::new(max_magnitude_bits(keys.iter().copied()));
                let value = Quantizer::new(max_magnitude_bits(values.iter().copied()));
                rows.store(index, keys, values, |x| key.quantize(x) as i8, |x| value.quantize(x) as i8);
                if let (Some(key_scale), Some(value_scale)) = (key_scales.get_mut(index), value_scales.get_mut(index)) {
                    *key_scale = key.scale;
                    *value_scale = value.scale;
                }
            }
            _ => debug_assert!(false, "the kind of cache is not built in"),
        }
    }
}

/// The bits of the nearest f16, ties to even; larger magnitudes saturate at the largest finite one.
fn to_f16(x: f32) -> u16 {
    let largest = f16::MAX.to_f32_const();
    let magnitude = f32::from_bits(x.to_bits() & 0x7fff_ffff);
    let magnitude = if magnitude > largest { largest } else { magnitude };
    f16::from_f32_const(magnitude).to_bits() | (x.to_bits() >> 16) as u16 & 0x8000
}
