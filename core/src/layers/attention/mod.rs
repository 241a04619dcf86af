//! Attention (Vaswani et al. 2017, section 3.2): of a stack to itself, and of a decoder to an encoder's rows.

pub mod bias;
pub mod heads;
pub mod kv_cache;
pub mod linear;
pub mod mask;
pub mod softmax_int8;
pub mod tile;

use super::linear::{Linear, QuantizeScratch};
use super::norm::Norm;
use super::rope::Rotary;
use crate::format::AttentionKind;
use crate::format::Role;
use crate::image::Image;
use crate::kernels::Kernels;
use crate::probe::Probe;
use crate::slices::{prefix_mut, rows, rows_mut};
use bias::ScoreBias;
use heads::{Attend, HeadScratch, Heads, QueryRows, Sight};
use kv_cache::LayerCache;
use mask::Mask;

/// One block's attention to its own sequence.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    qkv: Linear<'a>,
    out: Linear<'a>,
    /// Norms of each query and key head (Henry et al. 2020).
    head_norms: Option<[Norm<'a>; 2]>,
    heads: Heads<'a>,
    mask: Mask,
    kind: AttentionKind,
}

impl<'a> Attention<'a> {
    /// The attention of layer `layer`.
    pub fn new(image: &Image<'a>, layer: u32) -> Self {
        let config = image.config();
        let encodes = config.has_cross() && layer < config.encoder_layers;
        let bias = if encodes { Role::EncoderScoreBias } else { Role::ScoreBias };
        let norms = [Role::QueryNorm, Role::KeyNorm].map(|role| config.qk_norm.then(|| Norm::new(image, role, layer)));
        Attention {
            qkv: Linear::new(image, Role::Qkv, layer),
            out: Linear::new(image, Role::AttnOut, layer),
            head_norms: match norms {
                [Some(query), Some(key)] => Some([query, key]),
                _ => None,
            },
            heads: Heads::new(config, ScoreBias::new(image, bias)),
            mask: if encodes { Mask::ALL } else { Mask::new(config) },
            kind: config.attention,
        }
    }

    /// The same attention, but every query sees the whole sequence.
    pub fn seeing_all(self) -> Self {
        Attention { mask: Mask::ALL, ..self }
    }

    /// Width of all queries of a token.
    pub fn q_dim(&self) -> usize {
        self.heads.q_dim()
    }

    /// Queries, keys and values of the normed rows `x` `(tokens, d_model)`, in the front of `wide` `(tokens, qkv_dim)`: normed and turned.
    pub fn project<'w>(
        &self,
        kernels: &Kernels,
        x: &[f32],
        rotary: Option<Rotary<'_>>,
        wide: &'w mut [f32],
        quantize: &mut QuantizeScratch<'_>,
        mapped: &mut [f32],
    ) -> Projected<'w> {
        let width = self.qkv.matrix().rows;
        let projected = prefix_mut(wide, rows(x, self.qkv.matrix().columns).len() * width);
        self.qkv.apply(kernels, x, quantize, projected);
        let (q_dim, kv_dim) = (self.q_dim(), self.heads.kv_dim());
        if let Some([query, key]) = &self.head_norms {
            for row in rows_mut(projected, width) {
                let (queries, keys) = row.split_at_mut_checked(q_dim).unwrap_or_default();
                query.apply_in_place(kernels, queries, mapped);
                key.apply_in_place(kernels, prefix_mut(keys, kv_dim), mapped);
            }
        }
        if let Some(rotary) = rotary {
            rotary.apply(projected, width, q_dim + kv_dim);
        }
        Projected { values: projected, width }
    }

    /// Keys and values go to the cache, each row's to its place.
    pub fn store(&self, places: impl Iterator<Item = usize>, projected: Projected<'_>, cache: &mut LayerCache<'_>) {
        cache.store_rows(places, projected.values, projected.width, self.heads.kv_dim());
    }

    /// What the queries find in the cache: the front of `inner`, `(queries, q_dim)`.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that a textbook's attention takes")]
    pub fn attend<'i>(
        &self,
        kernels: &Kernels,
        queries: QueryRows<'_>,
        sights: impl Iterator<Item = Sight>,
        cache: &LayerCache<'_>,
        head: &mut HeadScratch<'_>,
        inner: &'i mut [f32],
        layer: u32,
        probe: &mut impl Probe,
    ) -> &'i mut [f32] {
        Attend { kernels, mask: self.mask, cache, layer }.rows(&self.heads, queries, sights, head, inner, probe)
    }

    /// A decoder's rows: each leaves its key and value, then looks for its answer. With softmax all rows of a block may leave theirs first,
    /// since the mask hides what lies behind a query; a running state takes them one by one.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that a textbook's attention takes")]
    pub fn look_back<'i>(
        &self,
        kernels: &Kernels,
        start: usize,
        projected: Projected<'_>,
        cache: &mut LayerCache<'_>,
        head: &mut HeadScratch<'_>,
        inner: &'i mut [f32],
        layer: u32,
        probe: &mut impl Probe,
    ) -> &'i mut [f32] {
        let width = projected.width;
        if self.kind == AttentionKind::Softmax {
            self.store(start.., projected, cache);
            let end = start + rows(projected.values, width).len();
            let sights = (start..end).map(|position| Sight { position, first: 0, tokens: end });
            return self.attend(kernels, QueryRows { values: projected.values, width }, sights, cache, head, inner, layer, probe);
        }
        let attended = prefix_mut(inner, rows(projected.values, width).len() * self.q_dim());
        for ((row, out), position) in rows(projected.values, width).zip(rows_mut(attended, self.q_dim())).zip(start..) {
            self.store(position.., Projected { values: row, width }, cache);
            let sight = Sight { position, first: 0, tokens: position + 1 };
            self.heads.attend_row(kernels, row, self.mask, sight, cache, head, out, layer, probe);
        }
        attended
    }

    /// The attention's output for attended rows, in the front of `wide` as `(tokens, d_model)`.
    pub fn output<'w>(&self, kernels: &Kernels, attended: &[f32], wide: &'w mut [f32], scratch: &mut QuantizeScratch<'_>) -> &'w mut [f32] {
        project_out(&self.out, kernels, attended, wide, scratch)
    }
}

/// Queries, keys and values of some rows.
#[derive(Clone, Copy, Debug)]
pub struct Projected<'w> {
    /// `(tokens, width)`.
    pub values: &'w [f32],
    /// q_dim + 2 kv_dim.
    pub width: usize,
}

/// A decoder block's attention to the encoder's rows (Vaswani et al. 2017, section 3.2.3). Their keys and values are made once per input.
#[derive(Clone, Copy, Debug)]
pub struct CrossAttention<'a> {
    query: Linear<'a>,
    kv: Linear<'a>,
    out: Linear<'a>,
    heads: Heads<'a>,
}

impl<'a> CrossAttention<'a> {
    /// The attention of layer `layer` to the encoder; `None` in stacks that have none.
    pub fn new(image: &Image<'a>, layer: u32) -> Option<Self> {
        let config = image.config();
        (config.has_cross() && layer >= config.encoder_layers).then(|| CrossAttention {
            query: Linear::new(image, Role::CrossQuery, layer),
            kv: Linear::new(image, Role::CrossKv, layer),
            out: Linear::new(image, Role::CrossOut, layer),
            heads: Heads::new(config, ScoreBias::None),
        })
    }

    /// Keys and values of the encoder's rows `x` `(rows, d_model)` go to the cache, from place `first` on; `wide` is scratch.
    pub fn read(
        &self,
        kernels: &Kernels,
        first: usize,
        x: &[f32],
        cache: &mut LayerCache<'_>,
        wide: &mut [f32],
        quantize: &mut QuantizeScratch<'_>,
    ) {
        let matrix = self.kv.matrix();
        let projected = prefix_mut(wide, rows(x, matrix.columns).len() * matrix.rows);
        self.kv.apply(kernels, x, quantize, projected);
        cache.store_rows(first.., projected, matrix.rows, self.heads.kv_dim());
    }

    /// What the decoder's normed rows `(tokens, d_model)` in the front of `inner` find among `source` rows of the encoder; the output lies in the
    /// front of `wide` as `(tokens, d_model)`.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that a textbook's attention takes")]
    pub fn apply<'w>(
        &self,
        kernels: &Kernels,
        tokens: usize,
        start: usize,
        source: usize,
        cache: &LayerCache<'_>,
        inner: &mut [f32],
        wide: &'w mut [f32],
        quantize: &mut QuantizeScratch<'_>,
        head: &mut HeadScratch<'_>,
    ) -> &'w mut [f32] {
        let matrix = self.query.matrix();
        let queries = prefix_mut(wide, tokens * matrix.rows);
        self.query.apply(kernels, prefix_mut(inner, tokens * matrix.columns), quantize, queries);
        let sights = (start..).map(|position| Sight { position, first: 0, tokens: source });
        let queries = QueryRows { values: queries, width: matrix.rows };
        let attend = Attend { kernels, mask: Mask::ALL, cache, layer: 0 };
        let attended = attend.rows(&self.heads, queries, sights, head, inner, &mut ());
        project_out(&self.out, kernels, attended, wide, quantize)
    }
}

fn project_out<'w>(
    out: &Linear<'_>,
    kernels: &Kernels,
    attended: &[f32],
    wide: &'w mut [f32],
    scratch: &mut QuantizeScratch<'_>,
) -> &'w mut [f32] {
    let matrix = out.matrix();
    let projected = prefix_mut(wide, rows(attended, matrix.columns).len() * matrix.rows);
    out.apply(kernels, attended, scratch, projected);
    projected
}
