//! Attention with a constant state (Katharopoulos et al. 2020): keys and values are summed up, `S = sum phi(k) v^T` and `z = sum phi(k)`,
//! and a query reads `phi(q) S / (phi(q) . z)`, with `phi(x) = elu(x) + 1`. Time and memory per token do not depend on the text's length.

use super::{front, rows, rows_mut};
use crate::numeric::{dot, elu_plus_one};

/// Elements of one head's state: z, then S row by row.
pub const fn state_len(head_dim: usize) -> usize {
    head_dim * (head_dim + 1)
}

/// Adds one token: `keys` and `values` are `(kv_dim)`, `state` is `(kv_heads, state_len)`. Tokens are added one after another, in their order.
pub fn absorb(state: &mut [f32], head_dim: usize, keys: &[f32], values: &[f32]) {
    let heads = rows(keys, head_dim).zip(rows(values, head_dim));
    for (state, (key, value)) in rows_mut(state, state_len(head_dim)).zip(heads) {
        let Some((z, s)) = state.split_at_mut_checked(head_dim) else { return };
        for ((z, s), &k) in z.iter_mut().zip(rows_mut(s, head_dim)).zip(key) {
            let mapped = elu_plus_one(k);
            *z += mapped;
            s.iter_mut().zip(value).for_each(|(s, &v)| *s += mapped * v);
        }
    }
}

/// What one query `(head_dim)` reads from its head's state; `mapped` is scratch of as many elements. The row's sum runs over S's rows in order.
pub fn read(state: &[f32], query: &[f32], mapped: &mut [f32], out: &mut [f32]) {
    let Some((z, s)) = state.split_at_checked(query.len()) else { return };
    let mapped = front(mapped, query.len());
    mapped.iter_mut().zip(query).for_each(|(mapped, &q)| *mapped = elu_plus_one(q));
    out.fill(0.0);
    for (&q, s) in mapped.iter().zip(rows(s, query.len())) {
        out.iter_mut().zip(s).for_each(|(out, &s)| *out += q * s);
    }
    let unit = 1.0 / dot(mapped, z);
    out.iter_mut().for_each(|x| *x *= unit);
}
