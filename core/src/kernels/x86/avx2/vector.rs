//! AVX2 registers: eight f32, eight i32 or sixteen i16.

use super::super::cpu::Avx2;
use super::super::vector::Vector;
use core::arch::x86_64::*;

/// A load that starts 32 - n bytes into it returns n bytes of ones, then zeros.
static ONES_THEN_ZEROS: [u8; 64] = {
    let mut bytes = [0; 64];
    let mut at = 0;
    while at < 32 {
        bytes[at] = 0xff;
        at += 1;
    }
    bytes
};

/// Ones in the first `bytes` bytes (at most 32), then zeros.
#[target_feature(enable = "avx2")]
#[inline]
pub fn mask(bytes: usize) -> __m256i {
    let start = 32 - bytes.min(32);
    // SAFETY: `start` is at most 32, so 32 of the 64 bytes follow it.
    unsafe { _mm256_loadu_si256(ONES_THEN_ZEROS.as_ptr().add(start).cast()) }
}

/// Eight floats.
#[target_feature(enable = "avx2")]
#[inline]
pub fn load_f32(x: &[f32; 8]) -> __m256 {
    // SAFETY: the array is as long as the register.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}

/// The first eight floats at most, then +0.
#[target_feature(enable = "avx2")]
#[inline]
pub fn load_f32_partial(x: &[f32]) -> __m256 {
    // SAFETY: lanes beyond the slice are masked off, and a masked load does not touch their memory.
    unsafe { _mm256_maskload_ps(x.as_ptr(), mask(4 * x.len().min(8))) }
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

/// Eight integers of at most sixteen bits, narrowed.
#[target_feature(enable = "avx2")]
#[inline]
fn store_i16(out: &mut [i16; 8], x: __m256i) {
    let narrow = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    // SAFETY: the array has the sixteen bytes of the register.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), narrow) }
}

/// Eight floats from `at` on; zeros unless the slice has all of them.
#[target_feature(enable = "avx2")]
#[inline]
pub fn load_f32_at(x: &[f32], at: usize) -> __m256 {
    debug_assert!(at + 8 <= x.len());
    x.get(at..).and_then(|x| x.first_chunk()).map_or(_mm256_setzero_ps(), |x| load_f32(x))
}

/// Four floats from `at` on, in both halves; zeros unless the slice has all of them.
#[target_feature(enable = "avx2")]
#[inline]
pub fn load_f32_twice(x: &[f32], at: usize) -> __m256 {
    debug_assert!(at + 4 <= x.len());
    match x.get(at..).and_then(|x| x.first_chunk::<4>()) {
        Some(x) => {
            // SAFETY: the array is as long as the register. (`_mm256_broadcast_ps` takes a reference to a register, so an aligned address.)
            let x = unsafe { _mm_loadu_ps(x.as_ptr()) };
            _mm256_set_m128(x, x)
        }
        None => _mm256_setzero_ps(),
    }
}

/// Eight floats from `at` on; nothing unless `out` has room for all of them.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_f32_at(out: &mut [f32], at: usize, x: __m256) {
    debug_assert!(at + 8 <= out.len());
    if let Some(out) = out.get_mut(at..).and_then(|out| out.first_chunk_mut()) {
        store_f32(out, x);
    }
}

/// Eight integers from `at` on; nothing unless `out` has room for all of them.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_i32_at(out: &mut [i32], at: usize, x: __m256i) {
    debug_assert!(at + 8 <= out.len());
    if let Some(out) = out.get_mut(at..).and_then(|out| out.first_chunk_mut()) {
        store_i32(out, x);
    }
}

/// The lower four floats from `low` on and the upper four from `high` on.
#[target_feature(enable = "avx2")]
#[inline]
pub fn store_f32_halves(out: &mut [f32], low: usize, high: usize, x: __m256) {
    debug_assert!(low.max(high) + 4 <= out.len());
    for (at, x) in [(low, _mm256_castps256_ps128(x)), (high, _mm256_extractf128_ps::<1>(x))] {
        if let Some(out) = out.get_mut(at..).and_then(|out| out.first_chunk_mut::<4>()) {
            // SAFETY: the array is as long as the register.
            unsafe { _mm_storeu_ps(out.as_mut_ptr(), x) }
        }
    }
}

/// The eight accumulators of a tile, as one array.
#[target_feature(enable = "avx2")]
#[inline]
pub fn flat_i32<const ROWS: usize, const TOKENS: usize>(tile: [[__m256i; ROWS]; TOKENS]) -> [__m256i; 8] {
    const { assert!(ROWS * TOKENS == 8) }
    let mut flat = [_mm256_setzero_si256(); 8];
    flat.iter_mut().zip(tile.as_flattened()).for_each(|(flat, &of)| *flat = of);
    flat
}

/// The eight accumulators of a tile, as one array.
#[target_feature(enable = "avx2")]
#[inline]
pub fn flat_f32<const ROWS: usize, const TOKENS: usize>(tile: [[__m256; ROWS]; TOKENS]) -> [__m256; 8] {
    const { assert!(ROWS * TOKENS == 8) }
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

/// Upper halves of 64-bit products: even lanes' products, and odd lanes' products, blended.
#[target_feature(enable = "avx2")]
#[inline]
fn upper_halves(even: __m256i, odd: __m256i) -> __m256i {
    _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd)
}

/// The largest of eight lanes.
#[target_feature(enable = "avx2")]
#[inline]
pub fn largest(x: __m256i) -> i32 {
    let x = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    let x = _mm_max_epi32(x, _mm_shuffle_epi32::<0b_01_00_11_10>(x));
    _mm_cvtsi128_si32(_mm_max_epi32(x, _mm_shuffle_epi32::<0b_10_11_00_01>(x)))
}

/// The wrapping sum of eight lanes.
#[target_feature(enable = "avx2")]
#[inline]
fn sum(x: __m256i) -> i32 {
    let x = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    let x = _mm_add_epi32(x, _mm_shuffle_epi32::<0b_01_00_11_10>(x));
    _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32::<0b_10_11_00_01>(x)))
}

/// Methods that call functions which are compiled for AVX2 and access memory through references only.
macro_rules! methods {
    ($($name:ident($($argument:ident: $kind:ty),*) $(-> $out:ty)? = $body:expr;)+) => {$(
        #[inline(always)]
        fn $name(self, $($argument: $kind),*) $(-> $out)? {
            // SAFETY: `self` is evidence that the CPU has AVX2, which is all that these functions ask for.
            unsafe { $body }
        }
    )+};
}

impl Vector<8> for Avx2 {
    type F32 = __m256;
    type I32 = __m256i;
    type Quantized = i16;

    #[inline(always)]
    fn load_i32(self, x: &[i32; 8]) -> __m256i {
        // SAFETY: `self` is evidence of AVX2; the array is as long as the register.
        unsafe { _mm256_loadu_si256(x.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_i32_partial(self, x: &[i32]) -> __m256i {
        // SAFETY: `self` is evidence of AVX2; lanes beyond the slice are masked off, and a masked load does not touch their memory.
        unsafe { _mm256_maskload_epi32(x.as_ptr(), mask(4 * x.len().min(8))) }
    }

    #[inline(always)]
    fn store_f32_partial(self, out: &mut [f32], x: __m256) {
        let mut all = [0.0; 8];
        self.store_f32(&mut all, x);
        out.iter_mut().zip(all).for_each(|(out, x)| *out = x);
    }

    #[inline(always)]
    fn store_i32_partial(self, out: &mut [i32], x: __m256i) {
        let mut all = [0; 8];
        self.store_i32(&mut all, x);
        out.iter_mut().zip(all).for_each(|(out, x)| *out = x);
    }

    #[inline(always)]
    fn store_i16_partial(self, out: &mut [i16], x: __m256i) {
        let mut all = [0; 8];
        self.store_i16(&mut all, x);
        out.iter_mut().zip(all).for_each(|(out, x)| *out = x);
    }

    #[inline(always)]
    fn quantized(self, out: &mut [i16]) -> &mut [i16] {
        out
    }

    #[inline(always)]
    fn store_quantized(self, out: &mut [i16; 8], x: __m256i) {
        self.store_i16(out, x);
    }

    #[inline(always)]
    fn store_quantized_partial(self, out: &mut [i16], x: __m256i) {
        self.store_i16_partial(out, x);
    }

    #[inline(always)]
    fn store_a12(self, out: &mut [i16; 8], x: __m256i) {
        self.store_i16(out, x);
    }

    #[inline(always)]
    fn store_a12_partial(self, out: &mut [i16], x: __m256i) {
        self.store_i16_partial(out, x);
    }

    methods! {
        load_f32(x: &[f32; 8]) -> __m256 = load_f32(x);
        load_f32_partial(x: &[f32]) -> __m256 = load_f32_partial(x);
        store_f32(out: &mut [f32; 8], x: __m256) = store_f32(out, x);
        store_i32(out: &mut [i32; 8], x: __m256i) = store_i32(out, x);
        store_i16(out: &mut [i16; 8], x: __m256i) = store_i16(out, x);
        splat_f32(x: f32) -> __m256 = _mm256_set1_ps(x);
        splat_i32(x: i32) -> __m256i = _mm256_set1_epi32(x);
        to_bits(x: __m256) -> __m256i = _mm256_castps_si256(x);
        float_of_bits(x: __m256i) -> __m256 = _mm256_castsi256_ps(x);
        to_f32(x: __m256i) -> __m256 = _mm256_cvtepi32_ps(x);
        add_f32(a: __m256, b: __m256) -> __m256 = _mm256_add_ps(a, b);
        sub_f32(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps(a, b);
        mul_f32(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps(a, b);
        div_f32(a: __m256, b: __m256) -> __m256 = _mm256_div_ps(a, b);
        max_f32(a: __m256, b: __m256) -> __m256 = _mm256_max_ps(a, b);
        relu(x: __m256) -> __m256 = _mm256_and_ps(x, _mm256_cmp_ps::<_CMP_GT_OQ>(x, _mm256_setzero_ps()));
        select_by_sign(x: __m256, negative: __m256, positive: __m256) -> __m256 = _mm256_blendv_ps(positive, negative, x);
        add(a: __m256i, b: __m256i) -> __m256i = _mm256_add_epi32(a, b);
        sub(a: __m256i, b: __m256i) -> __m256i = _mm256_sub_epi32(a, b);
        mul_low(a: __m256i, b: __m256i) -> __m256i = _mm256_mullo_epi32(a, b);
        mul_high(a: __m256i, b: __m256i) -> __m256i =
            upper_halves(_mm256_mul_epi32(a, b), _mm256_mul_epi32(_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b)));
        mul_high_u32(a: __m256i, b: __m256i) -> __m256i =
            upper_halves(_mm256_mul_epu32(a, b), _mm256_mul_epu32(_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b)));
        and(a: __m256i, b: __m256i) -> __m256i = _mm256_and_si256(a, b);
        or(a: __m256i, b: __m256i) -> __m256i = _mm256_or_si256(a, b);
        xor(a: __m256i, b: __m256i) -> __m256i = _mm256_xor_si256(a, b);
        min_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_min_epi32(a, b);
        max_i32(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epi32(a, b);
        min_u32(a: __m256i, b: __m256i) -> __m256i = _mm256_min_epu32(a, b);
        max_u32(a: __m256i, b: __m256i) -> __m256i = _mm256_max_epu32(a, b);
        shl(x: __m256i, bits: u32) -> __m256i = _mm256_sll_epi32(x, _mm_cvtsi32_si128(bits as i32));
        shr(x: __m256i, bits: u32) -> __m256i = _mm256_srl_epi32(x, _mm_cvtsi32_si128(bits as i32));
        sar(x: __m256i, bits: u32) -> __m256i = _mm256_sra_epi32(x, _mm_cvtsi32_si128(bits as i32));
        shl_each(x: __m256i, bits: __m256i) -> __m256i = _mm256_sllv_epi32(x, bits);
        shr_each(x: __m256i, bits: __m256i) -> __m256i = _mm256_srlv_epi32(x, bits);
        sar_each(x: __m256i, bits: __m256i) -> __m256i = _mm256_srav_epi32(x, bits);
        where_nonzero(of: __m256i, x: __m256i) -> __m256i = _mm256_andnot_si256(_mm256_cmpeq_epi32(of, _mm256_setzero_si256()), x);
        first(count: usize, x: __m256i) -> __m256i = _mm256_and_si256(x, mask(4 * count));
        largest(x: __m256i) -> i32 = largest(x);
        sum(x: __m256i) -> i32 = sum(x);
    }
}
