//! Hooks that observe and modify activations and attention during a forward pass: the base of the logit lens, ablation, activation patching
//! and calibration.
//!
//! A probe is an argument of [`Session::prefill_probed`](crate::Session::prefill_probed) and
//! [`Session::encode_probed`](crate::Session::encode_probed). The session's other methods run with the probe `()`, whose empty methods
//! leave no code in the program.

use crate::format::Role;

/// The meaning of a probe's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The residual stream before the first layer, `(tokens, d_model)`.
    Embedded,
    /// The outputs of the self-attention's heads before the output projection, `(tokens, heads * head_dim)`.
    Heads,
    /// The rows that the self-attention adds to the residual stream, `(tokens, d_model)`.
    Attention,
    /// The MLP's neurons after their non-linearity (and gate), `(tokens, d_hidden)`.
    Neurons,
    /// The rows that the MLP adds to the residual stream, `(tokens, d_model)`.
    Mlp,
    /// The residual stream after a layer, `(tokens, d_model)`.
    Residual,
    /// The input of the matrix with this role, `(tokens, columns)`, as it is before it is scaled (SmoothQuant) and quantized. The head of a
    /// model with tied embeddings has the role [`Role::Embedding`].
    Input(Role),
    /// The self-attention's keys, `(1, kv_dim)`: after their norm and their rotation, before their offset is subtracted and the cache stores
    /// them. One call per token.
    Keys,
    /// The cross-attention's keys of the encoder's rows, `(1, kv_dim)`. One call per row.
    CrossKeys,
}

/// Where rows were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The layer, numbered as in the image's directory: an encoder-decoder's encoder layers come before its decoder layers. 0 for parts
    /// outside the layers.
    pub layer: u32,
    /// The meaning of the rows.
    pub part: Part,
    /// Position of the first row.
    pub start: usize,
}

/// One query head at one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadSite {
    /// The layer, numbered as in [`Site`].
    pub layer: u32,
    /// The query head.
    pub head: usize,
    /// The query's position.
    pub position: usize,
}

/// Observes a forward pass, and may modify it.
pub trait Probe {
    /// Receives rows of `width` elements after they are computed and before they are used. The model continues with the rows as this method
    /// leaves them. Every part but [`Part::Input`] is passed here.
    fn rows(&mut self, site: Site, width: usize, rows: &mut [f32]) {
        let _ = (site, width, rows);
    }

    /// Receives the input rows of a matrix, `width` columns each, before the product: `site.part` is [`Part::Input`]. Read-only, since the
    /// rows may be the caller's features.
    fn input(&mut self, site: Site, width: usize, rows: &[f32]) {
        let _ = (site, width, rows);
    }

    /// The layer at which a decoder's forward pass begins: 0, or a later one for a probe that writes this layer's input at
    /// [`Part::Embedded`]. A pass that differs from an earlier one only from some layer on need not repeat the layers before it.
    fn first_layer(&self) -> u32 {
        0
    }

    /// Whether [`Probe::attention`] is called.
    fn wants_attention(&self) -> bool {
        false
    }

    /// Receives the attention weights of one query head of the self-attention: the key positions that the mask leaves visible, each with
    /// its weight as a share of the sum of all weights.
    fn attention(&mut self, site: HeadSite, weights: impl Iterator<Item = (usize, u32)>) {
        let _ = (site, weights.count());
    }
}

impl Probe for () {}
