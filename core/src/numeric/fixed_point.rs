//! Fixed-point multiplication.

/// Upper half of the 64-bit product: SMMUL, `vpmuldq`, `mulh`.
#[inline(always)]
pub(crate) fn mul_high(a: i32, b: i32) -> i32 {
    ((a as i64 * b as i64) >> 32) as i32
}
