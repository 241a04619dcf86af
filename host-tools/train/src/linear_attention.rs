//! Linear attention as one tensor operation (Katharopoulos et al., 2020): RoPE, the feature map `elu(x) + 1`, and running sums instead of
//! scores.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use crate::attention::{Attention, Block, Side, add_scaled, dot};
use crate::floats::{floats, list};

/// Inputs and outputs as in [`Attention`], with weights `phi(q) . phi(k)` divided by their sum.
#[derive(Clone)]
pub(crate) struct LinearAttention(pub(crate) Attention);

/// One head of one row, token by token: `(tokens, head_dim)`.
struct Head {
    head_dim: usize,
    values: Vec<f32>,
}

impl Head {
    fn zeros(head_dim: usize, tokens: usize) -> Self {
        Self { head_dim, values: vec![0.0; head_dim * tokens] }
    }

    fn of(side: &Side) -> Self {
        let head_dim = side.values.len() / side.tokens;
        let value = |at: usize| side.values[at % head_dim * side.tokens + at / head_dim];
        Self { head_dim, values: (0..side.values.len()).map(value).collect() }
    }

    fn side(&self) -> Side {
        let tokens = self.values.len() / self.head_dim;
        let mut side = Side::new(self.head_dim, tokens);
        for (at, &value) in self.values.iter().enumerate() {
            side.values[at % self.head_dim * tokens + at / self.head_dim] = value;
        }
        side
    }

    fn token(&self, token: usize) -> &[f32] {
        &self.values[token * self.head_dim..][..self.head_dim]
    }

    fn token_mut(&mut self, token: usize) -> &mut [f32] {
        &mut self.values[token * self.head_dim..][..self.head_dim]
    }

    fn mapped(&self) -> Self {
        Self { head_dim: self.head_dim, values: self.values.iter().copied().map(elu_plus_one).collect() }
    }

    /// Converts gradients of the mapped head into gradients of this head.
    fn through_map(&self, mapped: &Self, grads: &mut Self) {
        for ((grad, &x), &mapped) in grads.values.iter_mut().zip(&self.values).zip(&mapped.values) {
            *grad *= if x > 0.0 { 1.0 } else { mapped };
        }
    }
}

/// Always positive, with a slope everywhere.
fn elu_plus_one(x: f32) -> f32 {
    if x > 0.0 { x + 1.0 } else { x.exp() }
}

/// Running sums of one head: outer products `(head_dim, head_dim)` and the normalizer `(head_dim)`.
struct Sums {
    products: Vec<f32>,
    units: Vec<f32>,
}

impl Sums {
    fn new(head_dim: usize) -> Self {
        Self { products: vec![0.0; head_dim * head_dim], units: vec![0.0; head_dim] }
    }

    fn clear(&mut self) {
        self.products.fill(0.0);
        self.units.fill(0.0);
    }

    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.products.chunks_exact(self.units.len())
    }

    /// Adds `left (x) right`, and `unit * left`.
    fn add(&mut self, left: &[f32], right: &[f32], unit: f32) {
        for (row, &left) in self.products.chunks_exact_mut(right.len()).zip(left) {
            add_scaled(row, left, right);
        }
        add_scaled(&mut self.units, unit, left);
    }

    /// `left . products` goes to `out`.
    fn read(&self, left: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        self.rows().zip(left).for_each(|(row, &left)| add_scaled(out, left, row));
    }
}

/// Gradients of each numerator `(tokens, head_dim)` and of each normalizer `(tokens)`.
struct Slopes {
    found: Head,
    wholes: Vec<f32>,
}

impl LinearAttention {
    /// Computes the output for queries, keys and values.
    pub(crate) fn apply(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, self.clone())
    }

    fn head(&self, tensor: &[f32], block: Block, head_dim: usize, turn: bool) -> Head {
        Head::of(&self.0.read(tensor, block, head_dim, turn))
    }

    /// Whether a text starts at this token of the row.
    fn begins(&self, block: Block, token: usize) -> bool {
        self.0.text_start[block.first_token + token] == token
    }

    fn forward(&self, [q, k, v]: [&[f32]; 3], head_dim: usize) -> Vec<f32> {
        let mut out = vec![0.0; q.len()];
        let mut sums = Sums::new(head_dim);
        self.0.each_head(head_dim, |own, shared| {
            let queries = self.head(q, own, head_dim, true).mapped();
            let keys = self.head(k, shared, head_dim, true).mapped();
            let values = self.head(v, shared, head_dim, false);
            let mut found = Head::zeros(head_dim, self.0.row_tokens);
            for token in 0..self.0.row_tokens {
                if self.begins(own, token) {
                    sums.clear();
                }
                sums.add(keys.token(token), values.token(token), 1.0);
                let (query, found) = (queries.token(token), found.token_mut(token));
                sums.read(query, found);
                let whole = dot(query, &sums.units);
                found.iter_mut().for_each(|x| *x /= whole);
            }
            self.0.add_to(&mut out, own, &found.side());
        });
        out
    }

    /// Gradients of queries, keys and values from the gradient of the output.
    fn backward(&self, [q, k, v]: [&[f32]; 3], grad: &[f32], head_dim: usize) -> [Vec<f32>; 3] {
        let mut grads = [q, k, v].map(|input| vec![0.0; input.len()]);
        self.0.each_head(head_dim, |own, shared| {
            let (asked, kept) = (self.head(q, own, head_dim, true), self.head(k, shared, head_dim, true));
            let (queries, keys, values) = (asked.mapped(), kept.mapped(), self.head(v, shared, head_dim, false));
            let mut slopes = Slopes { found: self.head(grad, own, head_dim, false), wholes: vec![0.0; self.0.row_tokens] };
            let mut grad_q = self.look_back(own, [&queries, &keys, &values], &mut slopes);
            let [mut grad_k, grad_v] = self.look_ahead(own, [&queries, &keys, &values], &slopes);
            asked.through_map(&queries, &mut grad_q);
            kept.through_map(&keys, &mut grad_k);
            let [mut grad_q, mut grad_k, grad_v] = [grad_q, grad_k, grad_v].map(|grads| grads.side());
            self.0.turn(&mut grad_q, own.first_token, -1.0);
            self.0.turn(&mut grad_k, own.first_token, -1.0);
            self.0.add_to(&mut grads[0], own, &grad_q);
            self.0.add_to(&mut grads[1], shared, &grad_k);
            self.0.add_to(&mut grads[2], shared, &grad_v);
        });
        grads
    }

    /// Gradients of the mapped queries, by running the sums forward again. `slopes` holds the gradients of the output on entry.
    fn look_back(&self, own: Block, [queries, keys, values]: [&Head; 3], slopes: &mut Slopes) -> Head {
        let head_dim = queries.head_dim;
        let (mut sums, mut found) = (Sums::new(head_dim), vec![0.0; head_dim]);
        let mut grads = Head::zeros(head_dim, slopes.wholes.len());
        for (token, whole) in slopes.wholes.iter_mut().enumerate() {
            if self.begins(own, token) {
                sums.clear();
            }
            sums.add(keys.token(token), values.token(token), 1.0);
            sums.read(queries.token(token), &mut found);
            let unit = dot(queries.token(token), &sums.units).recip();
            let slopes = slopes.found.token_mut(token);
            slopes.iter_mut().for_each(|slope| *slope *= unit);
            *whole = -dot(slopes, &found) * unit;
            for (grad, (row, z)) in grads.token_mut(token).iter_mut().zip(sums.rows().zip(&sums.units)) {
                *grad = dot(row, slopes) + z * *whole;
            }
        }
        grads
    }

    /// Gradients of the mapped keys and of the values: sums over the later queries, run backward.
    fn look_ahead(&self, own: Block, [queries, keys, values]: [&Head; 3], slopes: &Slopes) -> [Head; 2] {
        let head_dim = queries.head_dim;
        let mut sums = Sums::new(head_dim);
        let [mut grad_k, mut grad_v] = [(); 2].map(|()| Head::zeros(head_dim, slopes.wholes.len()));
        for (token, &whole) in slopes.wholes.iter().enumerate().rev() {
            sums.add(queries.token(token), slopes.found.token(token), whole);
            let (value, rows) = (values.token(token), sums.rows().zip(&sums.units));
            for (grad, (row, z)) in grad_k.token_mut(token).iter_mut().zip(rows) {
                *grad = dot(row, value) + z;
            }
            sums.read(keys.token(token), grad_v.token_mut(token));
            if self.begins(own, token) {
                sums.clear();
            }
        }
        [grad_k, grad_v]
    }
}

impl CustomOp3 for LinearAttention {
    fn name(&self) -> &'static str {
        "linear attention"
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
        let inputs = [floats(q, q_layout)?, floats(k, k_layout)?, floats(v, v_layout)?];
        let out = self.forward(inputs, width / self.0.heads);
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
        let head_dim = q.dim(1)? / self.0.heads;
        let [grad_q, grad_k, grad_v] = self.backward(inputs.each_ref().map(Vec::as_slice), &list(grad)?, head_dim);
        let tensor = |grad, like: &Tensor| Tensor::from_vec(grad, like.shape(), like.device());
        Ok((Some(tensor(grad_q, q)?), Some(tensor(grad_k, k)?), Some(tensor(grad_v, v)?)))
    }
}
