//! Registers to memory and back.

use core::arch::x86_64::*;

/// The lowest `count` of 64 bits.
#[inline(always)]
pub fn mask64(count: usize) -> u64 {
    if count >= 64 { u64::MAX } else { (1 << count) - 1 }
}

/// The lowest `count` of sixteen bits.
#[inline(always)]
pub fn mask16(count: usize) -> u16 {
    if count >= 16 { u16::MAX } else { (1 << count) - 1 }
}

/// Sixteen floats from `at` on at most; zeros where the slice has none.
#[target_feature(enable = "avx512f")]
#[inline]
pub fn load_f32_at(x: &[f32], at: usize) -> __m512 {
    let x = x.get(at..).unwrap_or_default();
    // SAFETY: lanes beyond the slice are masked off, and a masked load does not touch their memory.
    unsafe { _mm512_maskz_loadu_ps(mask16(x.len()), x.as_ptr()) }
}

/// Sixteen floats from `at` on, as far as there is room.
#[target_feature(enable = "avx512f")]
#[inline]
pub fn store_f32_at(out: &mut [f32], at: usize, x: __m512) {
    let out = out.get_mut(at..).unwrap_or_default();
    // SAFETY: lanes beyond the slice are masked off, and a masked store does not touch their memory.
    unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), mask16(out.len()), x) }
}

/// All bits 2^7 of bytes: turns signed bytes into unsigned ones that are 128 more, and back.
#[target_feature(enable = "avx512f")]
#[inline]
pub fn flip_sign(bytes: __m512i) -> __m512i {
    _mm512_xor_si512(bytes, _mm512_set1_epi8(i8::MIN))
}

/// Every other of sixteen lanes, from the second on.
pub const ODD: u16 = 0xaaaa;

/// Upper halves of sixteen 64-bit products: `numeric::mul_high`.
#[target_feature(enable = "avx512f")]
#[inline]
pub fn mul_high(a: __m512i, b: __m512i) -> __m512i {
    let even = _mm512_mul_epi32(a, b);
    let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b));
    _mm512_mask_mov_epi32(_mm512_srli_epi64::<32>(even), ODD, odd)
}

/// Sixteen integers from `at` on at most; zeros where the slice has none.
#[target_feature(enable = "avx512f")]
#[inline]
pub fn load_i32_at(x: &[i32], at: usize) -> __m512i {
    let x = x.get(at..).unwrap_or_default();
    // SAFETY: lanes beyond the slice are masked off, and a masked load does not touch their memory.
    unsafe { _mm512_maskz_loadu_epi32(mask16(x.len()), x.as_ptr()) }
}

/// Sixteen integers from `at` on, as far as there is room.
#[target_feature(enable = "avx512f")]
#[inline]
pub fn store_i32_at(out: &mut [i32], at: usize, x: __m512i) {
    let out = out.get_mut(at..).unwrap_or_default();
    // SAFETY: lanes beyond the slice are masked off, and a masked store does not touch their memory.
    unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr(), mask16(out.len()), x) }
}
