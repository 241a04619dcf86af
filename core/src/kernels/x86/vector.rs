//! Registers to memory and back, and what several kernels do across a register's lanes.

use core::arch::x86_64::*;

/// Sliding over it gives a register whose first bytes are ones.
static ONES_THEN_ZEROS: [u8; 64] = {
    let mut bytes = [0; 64];
    let mut at = 0;
    while at < 32 {
        bytes[at] = 0xff;
        at += 1;
    }
    bytes
};

/// Ones in the first `bytes` bytes (at most 32), zeros behind.
#[target_feature(enable = "avx2")]
#[inline]
pub fn mask(bytes: usize) -> __m256i {
    let start = 32 - bytes.min(32);
    // SAFETY: `start` is at most 32, so that 32 of the 64 bytes follow.
    unsafe { _mm256_loadu_si256(ONES_THEN_ZEROS.as_ptr().add(start).cast()) }
}

/// Eight floats.
#[target_feature(enable = "avx2")]
#[inline]
pub fn load_f32(x: &[f32; 8]) -> __m256 {
    // SAFETY: the array is as long as the register.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}

/// Eight integers.
#[target_feature(enable = "avx2")]
#[inline]
pub fn load_i32(x: &[i32; 8]) -> __m256i {
    // SAFETY: the array is as long as the register.
    unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
}

/// The first eight floats at most, +0 behind.
#[target_feature(enable = "avx2")]
#[inline]
pub fn load_f32_front(x: &[f32]) -> __m256 {
    // SAFETY: lanes beyond the slice are masked off, and a masked load does not touch their memory.
    unsafe { _mm256_maskload_ps(x.as_ptr(), mask(4 * x.len().min(8))) }
}

/// The first eight integers at most, 0 behind.
#[target_feature(enable = "avx2")]
#[inline]
pub fn load_i32_front(x: &[i32]) -> __m256i {
    // SAFETY: lanes beyond the slice are masked off, and a masked load does not touch their memory.
    unsafe { _mm256_maskload_epi32(x.as_ptr(), mask(4 * x.len().min(8))) }
}

/// Eight floats.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_f32(out: &mut [f32; 8], x: __m256) {
    // SAFETY: the array is as long as the register.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), x) }
}

/// Eight integers.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_i32(out: &mut [i32; 8], x: __m256i) {
    // SAFETY: the array is as long as the register.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), x) }
}

/// As many of the eight floats as there is room for.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_f32_front(out: &mut [f32], x: __m256) {
    let mut all = [0.0; 8];
    store_f32(&mut all, x);
    out.iter_mut().zip(all).for_each(|(out, x)| *out = x);
}

/// As many of the eight integers as there is room for.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_i32_front(out: &mut [i32], x: __m256i) {
    let mut all = [0; 8];
    store_i32(&mut all, x);
    out.iter_mut().zip(all).for_each(|(out, x)| *out = x);
}

/// Eight integers of at most sixteen bits, narrowed.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_i16(out: &mut [i16; 8], x: __m256i) {
    let narrow = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    // SAFETY: the array holds the sixteen bytes of the register.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), narrow) }
}

/// As many of eight integers of at most sixteen bits as there is room for, narrowed.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_i16_front(out: &mut [i16], x: __m256i) {
    let mut all = [0; 8];
    store_i16(&mut all, x);
    out.iter_mut().zip(all).for_each(|(out, x)| *out = x);
}

/// Eight floats from `at` on; zeros where the slice does not have them.
#[target_feature(enable = "avx2")]
#[inline]
pub fn load_f32_at(x: &[f32], at: usize) -> __m256 {
    x.get(at..).and_then(|x| x.first_chunk()).map_or(_mm256_setzero_ps(), |x| load_f32(x))
}

/// Four floats from `at` on, in both halves; zeros where the slice does not have them.
#[target_feature(enable = "avx2")]
#[inline]
pub fn load_f32_twice(x: &[f32], at: usize) -> __m256 {
    match x.get(at..).and_then(|x| x.first_chunk::<4>()) {
        Some(x) => {
            // SAFETY: the array is as long as the register. (`_mm256_broadcast_ps` wants a reference, and so an aligned address.)
            let x = unsafe { _mm_loadu_ps(x.as_ptr()) };
            _mm256_set_m128(x, x)
        }
        None => _mm256_setzero_ps(),
    }
}

/// Eight floats from `at` on, where there is room for all.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_f32_at(out: &mut [f32], at: usize, x: __m256) {
    if let Some(out) = out.get_mut(at..).and_then(|out| out.first_chunk_mut()) {
        store_f32(out, x);
    }
}

/// Eight integers from `at` on, where there is room for all.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_i32_at(out: &mut [i32], at: usize, x: __m256i) {
    if let Some(out) = out.get_mut(at..).and_then(|out| out.first_chunk_mut()) {
        store_i32(out, x);
    }
}

/// The lower four floats from `low` on and the upper four from `high` on, where there is room.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_f32_halves(out: &mut [f32], low: usize, high: usize, x: __m256) {
    for (at, x) in [(low, _mm256_castps256_ps128(x)), (high, _mm256_extractf128_ps::<1>(x))] {
        if let Some(out) = out.get_mut(at..).and_then(|out| out.first_chunk_mut::<4>()) {
            // SAFETY: the array is as long as the register.
            unsafe { _mm_storeu_ps(out.as_mut_ptr(), x) }
        }
    }
}

/// The eight registers of a tile, as one array.
#[target_feature(enable = "avx2")]
#[inline]
pub fn flat_i32<const ROWS: usize, const TOKENS: usize>(tile: [[__m256i; ROWS]; TOKENS]) -> [__m256i; 8] {
    let mut flat = [_mm256_setzero_si256(); 8];
    flat.iter_mut().zip(tile.as_flattened()).for_each(|(flat, &of)| *flat = of);
    flat
}

/// The eight registers of a tile, as one array.
#[target_feature(enable = "avx2")]
#[inline]
pub fn flat_f32<const ROWS: usize, const TOKENS: usize>(tile: [[__m256; ROWS]; TOKENS]) -> [__m256; 8] {
    let mut flat = [_mm256_setzero_ps(); 8];
    flat.iter_mut().zip(tile.as_flattened()).for_each(|(flat, &of)| *flat = of);
    flat
}

/// Sums of eight registers' lanes, in the registers' order.
#[target_feature(enable = "avx2")]
#[inline]
pub fn sums_i32(of: [__m256i; 8]) -> __m256i {
    let [a, b, c, d, e, f, g, h] = of;
    let across = |low, high| _mm256_add_epi32(_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high));
    let pair = |x, y| _mm256_add_epi32(_mm256_unpacklo_epi32(x, y), _mm256_unpackhi_epi32(x, y));
    let (ab, cd) = (pair(across(a, e), across(b, f)), pair(across(c, g), across(d, h)));
    _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd))
}

/// Totals of eight registers in the order of `numeric::Lanes::total`: lanes (0+4), (2+6), then (1+5), (3+7).
#[target_feature(enable = "avx2")]
#[inline]
pub fn totals_f32(of: [__m256; 8]) -> __m256 {
    let [a, b, c, d, e, f, g, h] = of;
    let across = |low, high| _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(low, high), _mm256_permute2f128_ps::<0x31>(low, high));
    let pair = |x, y| _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(x, y), _mm256_unpackhi_ps(x, y)));
    let (ab, cd) = (pair(across(a, e), across(b, f)), pair(across(c, g), across(d, h)));
    _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)), _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)))
}

/// Upper halves of eight 64-bit products: `numeric::mul_high`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn mul_high(a: __m256i, b: __m256i) -> __m256i {
    let even = _mm256_mul_epi32(a, b);
    let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b));
    _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd)
}
