//! Looking inside a run: rows and attention as they are made, and a hand on them.
//!
//! A probe is an argument of [`Session::prefill_probed`](crate::Session::prefill_probed) and
//! [`Session::encode_probed`](crate::Session::encode_probed). `()` is the probe of every other verb: its methods are empty, so that nothing is
//! left of them in the program.

/// What rows hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The residual stream before the first layer, `(tokens, d_model)`.
    Embedded,
    /// The heads' answers before the output projection, `(tokens, heads * head_dim)`.
    Heads,
    /// What the attention adds to the residual stream, `(tokens, d_model)`.
    Attention,
    /// The MLP's neurons behind their non-linearity (and gate), `(tokens, d_hidden)`.
    Neurons,
    /// What the MLP adds to the residual stream, `(tokens, d_model)`.
    Mlp,
    /// The residual stream behind a layer, `(tokens, d_model)`.
    Residual,
}

/// Where rows were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// The layer; 0 for [`Part::Embedded`].
    pub layer: u32,
    /// What the rows hold.
    pub part: Part,
    /// Position of the first row.
    pub start: usize,
}

/// One head's look at one position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadSite {
    /// The layer.
    pub layer: u32,
    /// The query head.
    pub head: usize,
    /// The query's position.
    pub position: usize,
}

/// Sees a run, and may change it.
pub trait Probe {
    /// Rows of `width` elements, just made and not yet used: what is written here is what the model goes on with.
    fn rows(&mut self, site: Site, width: usize, rows: &mut [f32]) {
        let _ = (site, width, rows);
    }

    /// The layer at which a decoder's run begins: 0, or a later one for a probe that writes at [`Part::Embedded`] what that layer reads. A run that
    /// differs from another only from some layer on need not repeat what is before it.
    fn first_layer(&self) -> u32 {
        0
    }

    /// Whether [`Probe::attention`] is to be called.
    fn wants_attention(&self) -> bool {
        false
    }

    /// The keys that a head looked at, by position, each with its weight; the weights count in units of their sum.
    fn attention(&mut self, site: HeadSite, weights: impl Iterator<Item = (usize, u32)>) {
        let _ = (site, weights.count());
    }
}

impl Probe for () {}
