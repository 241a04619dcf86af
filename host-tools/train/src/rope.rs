//! RoPE on neighboring pairs, with llama2.c's base.

/// Cosines and sines of the angles of every position.
#[derive(Clone, Debug)]
pub(crate) struct Rope {
    pairs: usize,
    pub(crate) cos: Vec<f32>, // (context, pairs)
    pub(crate) sin: Vec<f32>, // (context, pairs)
}

impl Rope {
    pub(crate) fn new(context: usize, head_dim: usize) -> Self {
        let pairs = head_dim / 2;
        let angle = |at: usize| {
            let (position, pair) = (at / pairs, at % pairs);
            position as f64 * 10_000f64.powf(-((2 * pair) as f64) / head_dim as f64)
        };
        let list = |f: fn(f64) -> f64| (0..context * pairs).map(|at| f(angle(at)) as f32).collect();
        Self { pairs, cos: list(f64::cos), sin: list(f64::sin) }
    }

    pub(crate) fn at(&self, position: usize, pair: usize) -> (f32, f32) {
        let at = position * self.pairs + pair;
        (self.cos[at], self.sin[at])
    }
}
