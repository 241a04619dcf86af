//! Linear attention with a constant state (Katharopoulos et al. 2020). The state sums keys and values, `S = sum phi(k) v^T` and `z = sum
//! phi(k)`; a query reads `phi(q) S / (phi(q) . z)`, with `phi(x) = elu(x) + 1`. Time and memory per token do not depend on the length of
//! the text.
//!
//! The sums are compensated (Kahan 1965): plain sums lose twelve bits if one token occurs 16,384 times, compensated ones none. An output is
//! a mean of values; its error is at most 2^-19.5 of the largest of them, measured over 16,384 tokens in heads of up to 64
//! (`core/tests/linear_attention.rs`), and comes from the query's own sum.

use crate::memory::layout::{linear_state_len as state_len, linear_sums_len as sums_len};
use crate::numeric::{dot, elu_plus_one};
use crate::slices::{prefix_mut, rows, rows_mut, split, split_mut};

/// Adds one token to the state `(kv_heads, state_len)`: `keys` and `values` are `(kv_dim)`. Tokens are added one by one, in order.
pub fn absorb(state: &mut [f32], head_dim: usize, keys: &[f32], values: &[f32]) {
    let heads = rows(keys, head_dim).zip(rows(values, head_dim));
    for (state, (key, value)) in rows_mut(state, state_len(head_dim)).zip(heads) {
        let (sums, excess) = split_mut(state, sums_len(head_dim));
        let (z, s) = split_mut(sums, head_dim);
        let (z_excess, s_excess) = split_mut(excess, head_dim);
        let products = rows_mut(s, head_dim).zip(rows_mut(s_excess, head_dim));
        for (((z, z_excess), (s, s_excess)), &k) in z.iter_mut().zip(z_excess).zip(products).zip(key) {
            let phi = elu_plus_one(k);
            add(z, z_excess, phi);
            s.iter_mut().zip(s_excess).zip(value).for_each(|((s, excess), &v)| add(s, excess, phi * v));
        }
    }
}

/// One step of a Kahan sum. `excess` is how far rounding has made `sum` too large; the next step subtracts it.
#[inline(always)]
fn add(sum: &mut f32, excess: &mut f32, x: f32) {
    let x = x - *excess;
    let next = *sum + x;
    *excess = (next - *sum) - x;
    *sum = next;
}

/// Reads one query `(head_dim)` from its KV head's state; `phi_q` is scratch of as many elements. The rows of S are added in order.
pub fn read(state: &[f32], query: &[f32], phi_q: &mut [f32], out: &mut [f32]) {
    let (z, s) = split(state, query.len());
    let phi_q = prefix_mut(phi_q, query.len());
    phi_q.iter_mut().zip(query).for_each(|(phi, &q)| *phi = elu_plus_one(q));
    out.fill(0.0);
    for (&q, s) in phi_q.iter().zip(rows(s, query.len())) {
        out.iter_mut().zip(s).for_each(|(out, &s)| *out += q * s);
    }
    // phi is never 0, so neither is the denominator.
    let unit = 1.0 / dot(phi_q, z);
    out.iter_mut().for_each(|x| *x *= unit);
}
