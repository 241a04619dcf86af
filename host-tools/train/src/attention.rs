//! Causal self-attention as one tensor operation: RoPE, causal mask, softmax and weighted sums fused.
//!
//! Composed of the tensor library's own operations, attention would take most of a training step: each of them writes a tokens x tokens
//! matrix per head. Here one row of it exists at a time, and the backward pass recomputes that row instead of keeping it.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use crate::floats::{floats, list};
use crate::rope::Rope;

/// Causal grouped-query attention over rows of packed texts.
///
/// Takes queries `(tokens, heads * head_dim)`, keys and values `(tokens, kv_heads * head_dim)`, none of them rotated, and returns
/// `(tokens, heads * head_dim)`. `tokens` is a multiple of `row_tokens`.
#[derive(Clone)]
pub(crate) struct Attention {
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) row_tokens: usize,
    /// For each token the index in its row at which its text starts: earlier tokens are masked, and positions count from there.
    pub(crate) text_start: Arc<[usize]>,
    pub(crate) rope: Arc<Rope>,
}

/// One head of one row, transposed to `(head_dim, tokens)`, so that inner loops run along the tokens and vectorize.
pub(crate) struct Side {
    pub(crate) tokens: usize,
    pub(crate) values: Vec<f32>,
}

impl Side {
    pub(crate) fn new(head_dim: usize, tokens: usize) -> Self {
        Self { tokens, values: vec![0.0; head_dim * tokens] }
    }

    fn lanes(&self, from: usize, to: usize) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.tokens).map(move |lane| &lane[from..to])
    }

    fn lanes_mut(&mut self, from: usize, to: usize) -> impl Iterator<Item = &mut [f32]> {
        self.values.chunks_exact_mut(self.tokens).map(move |lane| &mut lane[from..to])
    }
}

/// The block of a head of a row in a `(tokens, width)` tensor.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub(crate) first_token: usize,
    width: usize,
    column: usize,
}

impl Attention {
    /// Computes the output for queries, keys and values.
    pub(crate) fn apply(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, self.clone())
    }

    pub(crate) fn read(&self, tensor: &[f32], block: Block, head_dim: usize, turn: bool) -> Side {
        let tokens = self.row_tokens;
        let mut side = Side::new(head_dim, tokens);
        for token in 0..tokens {
            let at = (block.first_token + token) * block.width + block.column;
            for (lane, &value) in tensor[at..at + head_dim].iter().enumerate() {
                side.values[lane * tokens + token] = value;
            }
        }
        if turn {
            self.turn(&mut side, block.first_token, 1.0);
        }
        side
    }

    pub(crate) fn add_to(&self, tensor: &mut [f32], block: Block, side: &Side) {
        let head_dim = side.values.len() / side.tokens;
        for token in 0..side.tokens {
            let at = (block.first_token + token) * block.width + block.column;
            for (lane, value) in tensor[at..at + head_dim].iter_mut().enumerate() {
                *value += side.values[lane * side.tokens + token];
            }
        }
    }

    /// Rotates every pair of neighboring lanes by the token's angle (RoPE); `sign` -1 inverts the rotation.
    pub(crate) fn turn(&self, side: &mut Side, first_token: usize, sign: f32) {
        let tokens = side.tokens;
        let starts = &self.text_start[first_token..first_token + tokens];
        for (pair, lanes) in side.values.chunks_exact_mut(2 * tokens).enumerate() {
            let (even, odd) = lanes.split_at_mut(tokens);
            for (token, start) in starts.iter().enumerate() {
                let (cos, sin) = self.rope.at(token - start, pair);
                let (a, b) = (even[token], odd[token]);
                even[token] = a * cos - b * sin * sign;
                odd[token] = a * sin * sign + b * cos;
            }
        }
    }

    /// Calls `f` for every head of every row with the blocks of its queries and of its keys.
    pub(crate) fn each_head(&self, head_dim: usize, mut f: impl FnMut(Block, Block)) {
        for row in 0..self.text_start.len() / self.row_tokens {
            let first_token = row * self.row_tokens;
            for head in 0..self.heads {
                let kv_head = head / (self.heads / self.kv_heads);
                let block = |heads: usize, head: usize| Block { first_token, width: heads * head_dim, column: head * head_dim };
                f(block(self.heads, head), block(self.kv_heads, kv_head));
            }
        }
    }

    fn forward(&self, q: &[f32], k: &[f32], v: &[f32], head_dim: usize) -> Vec<f32> {
        let mut out = vec![0.0; q.len()];
        let mut shares = vec![0.0; self.row_tokens];
        self.each_head(head_dim, |own, shared| {
            let queries = self.read(q, own, head_dim, true);
            let keys = self.read(k, shared, head_dim, true);
            let values = self.read(v, shared, head_dim, false);
            let mut sums = Side::new(head_dim, self.row_tokens);
            for token in 0..self.row_tokens {
                let start = self.text_start[own.first_token + token];
                let shares = &mut shares[..token + 1 - start];
                softmax_row(&queries, &keys, token, start, shares);
                let lanes = sums.values.chunks_exact_mut(self.row_tokens);
                for (lane, values) in lanes.zip(values.lanes(start, token + 1)) {
                    lane[token] = dot(shares, values);
                }
            }
            self.add_to(&mut out, own, &sums);
        });
        out
    }

    /// Gradients of queries, keys and values from the gradient of the output.
    fn backward(&self, inputs: [&[f32]; 3], grad: &[f32], head_dim: usize) -> [Vec<f32>; 3] {
        let mut grads = inputs.map(|input| vec![0.0; input.len()]);
        let mut shares = vec![0.0; self.row_tokens];
        let mut slopes = vec![0.0; self.row_tokens];
        let scale = (head_dim as f32).sqrt().recip();
        self.each_head(head_dim, |own, shared| {
            let [q, k, v] = inputs;
            let queries = self.read(q, own, head_dim, true);
            let keys = self.read(k, shared, head_dim, true);
            let values = self.read(v, shared, head_dim, false);
            let grad_out = self.read(grad, own, head_dim, false);
            let [mut grad_q, mut grad_k, mut grad_v] = [(); 3].map(|()| Side::new(head_dim, self.row_tokens));
            for token in 0..self.row_tokens {
                let start = self.text_start[own.first_token + token];
                let end = token + 1;
                let (shares, slopes) = (&mut shares[..end - start], &mut slopes[..end - start]);
                softmax_row(&queries, &keys, token, start, shares);
                slopes.fill(0.0);
                let out = grad_out.lanes(token, end).map(|lane| lane[0]);
                for ((out, values), grad) in out.zip(values.lanes(start, end)).zip(grad_v.lanes_mut(start, end)) {
                    add_scaled(slopes, out, values);
                    add_scaled(grad, out, shares);
                }
                let mean = dot(shares, slopes);
                for (slope, share) in slopes.iter_mut().zip(&*shares) {
                    *slope = share * (*slope - mean) * scale;
                }
                let query = queries.lanes(token, end).map(|lane| lane[0]);
                for (query, grad) in query.zip(grad_k.lanes_mut(start, end)) {
                    add_scaled(grad, query, slopes);
                }
                for (lane, keys) in grad_q.lanes_mut(token, end).zip(keys.lanes(start, end)) {
                    lane[0] = dot(slopes, keys);
                }
            }
            self.turn(&mut grad_q, own.first_token, -1.0);
            self.turn(&mut grad_k, own.first_token, -1.0);
            self.add_to(&mut grads[0], own, &grad_q);
            self.add_to(&mut grads[1], shared, &grad_k);
            self.add_to(&mut grads[2], shared, &grad_v);
        });
        grads
    }
}

/// The softmax weights of one token for the tokens from the start of its text up to itself.
fn softmax_row(queries: &Side, keys: &Side, token: usize, start: usize, shares: &mut [f32]) {
    let scale = ((queries.values.len() / queries.tokens) as f32).sqrt().recip();
    shares.fill(0.0);
    for (query, keys) in queries.lanes(token, token + 1).zip(keys.lanes(start, token + 1)) {
        add_scaled(shares, query[0] * scale, keys);
    }
    let highest = shares.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for share in shares.iter_mut() {
        *share = (*share - highest).exp();
        sum += *share;
    }
    shares.iter_mut().for_each(|share| *share /= sum);
}

pub(crate) fn add_scaled(to: &mut [f32], factor: f32, from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
}

/// A dot product in eight accumulators, so that it vectorizes.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = q_layout.shape().dims2()?;
        let (q, k, v) = (floats(q, q_layout)?, floats(k, k_layout)?, floats(v, v_layout)?);
        let out = self.forward(q, k, v, width / self.heads);
        Ok((CpuStorage::F32(out), q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let inputs = [list(q)?, list(k)?, list(v)?];
        let head_dim = q.dim(1)? / self.heads;
        let grads = self.backward(inputs.each_ref().map(Vec::as_slice), &list(grad)?, head_dim);
        let [grad_q, grad_k, grad_v] = grads;
        let tensor = |grad, like: &Tensor| Tensor::from_vec(grad, like.shape(), like.device());
        Ok((Some(tensor(grad_q, q)?), Some(tensor(grad_k, k)?), Some(tensor(grad_v, v)?)))
    }
}
