//! AVX-512 registers: sixteen f32 or i32. Masked loads and stores do not touch the memory of lanes that are masked off.

use super::super::cpu::Avx512;
use super::super::vector::Vector;
use core::arch::x86_64::*;
use zerocopy::IntoBytes;

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

/// Sixteen floats from `at` on at most, then zeros.
#[target_feature(enable = "avx512f")]
#[inline]
pub fn load_f32_at(x: &[f32], at: usize) -> __m512 {
    debug_assert!(at < x.len());
    let x = x.get(at..).unwrap_or_default();
    // SAFETY: lanes beyond the slice are masked off.
    unsafe { _mm512_maskz_loadu_ps(mask16(x.len()), x.as_ptr()) }
}

/// Sixteen floats from `at` on, as far as `out` has room.
#[target_feature(enable = "avx512f")]
#[inline]
pub fn store_f32_at(out: &mut [f32], at: usize, x: __m512) {
    debug_assert!(at < out.len());
    let out = out.get_mut(at..).unwrap_or_default();
    let mask = mask16(out.len());
    // SAFETY: lanes beyond the slice are masked off.
    unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr(), mask, x) }
}

/// Sixteen integers from `at` on, as far as `out` has room.
#[target_feature(enable = "avx512f")]
#[inline]
pub fn store_i32_at(out: &mut [i32], at: usize, x: __m512i) {
    debug_assert!(at < out.len());
    let out = out.get_mut(at..).unwrap_or_default();
    let mask = mask16(out.len());
    // SAFETY: lanes beyond the slice are masked off.
    unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr(), mask, x) }
}

/// Flips the top bit of all bytes: makes signed bytes unsigned ones that are 128 more, and back.
#[target_feature(enable = "avx512f")]
#[inline]
pub fn flip_sign(bytes: __m512i) -> __m512i {
    _mm512_xor_si512(bytes, _mm512_set1_epi8(i8::MIN))
}

/// The values of a quantized row, for shapes that scalar computes.
pub fn quantized_values(row: &[i16]) -> impl Iterator<Item = i32> {
    let bytes = row.iter().flat_map(|pair| pair.to_le_bytes()).take(row.len());
    bytes.map(|byte| byte as i32 - 128)
}

/// The values of a row of twelve bits, for shapes that scalar computes.
pub fn a12_values(row: &[i16]) -> impl Iterator<Item = i32> {
    let (groups, _) = row.as_bytes().as_chunks::<8>();
    groups.iter().flat_map(|&[a, b, c, d, e, f, g, h]| {
        let value = |high: u8, low: u8| ((high as i32 - 128) << 7) + (low as i32 - 128);
        [value(a, e), value(b, f), value(c, g), value(d, h)]
    })
}

/// Every other of sixteen lanes, from the second on.
const ODD: u16 = 0xaaaa;

/// Upper halves of 64-bit products: even lanes' products, and odd lanes' products, blended.
#[target_feature(enable = "avx512f")]
#[inline]
fn upper_halves(even: __m512i, odd: __m512i) -> __m512i {
    _mm512_mask_mov_epi32(_mm512_srli_epi64::<32>(even), ODD, odd)
}

/// Integers in -127..=127 as bytes that are 128 more.
#[target_feature(enable = "avx512f")]
#[inline]
fn offset_bytes(x: __m512i) -> __m128i {
    _mm_xor_si128(_mm512_cvtepi32_epi8(x), _mm_set1_epi8(i8::MIN))
}

/// Integers in -2,047..=2,047 as `128 * high + low`, bytes with a zero point of 128: the high ones of four columns, then their low ones.
#[target_feature(enable = "avx512f")]
#[inline]
fn high_and_low_bytes(x: __m512i) -> __m256i {
    // Rounded to nearest, high is in -16..=16 and low in -64..=63.
    let high = _mm512_srai_epi32::<7>(_mm512_add_epi32(x, _mm512_set1_epi32(64)));
    let low = offset_bytes(_mm512_sub_epi32(x, _mm512_slli_epi32::<7>(high)));
    let high = offset_bytes(high);
    _mm256_set_m128i(_mm_unpackhi_epi32(high, low), _mm_unpacklo_epi32(high, low))
}

/// Methods that call functions which are compiled for AVX-512 and access registers only.
macro_rules! methods {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $out:ty = $body:expr;)+) => {$(
        #[inline(always)]
        fn $name(self, $($argument: $kind),*) -> $out {
            // SAFETY: `self` is evidence that the CPU has AVX-512, which is all that these functions ask for.
            unsafe { $body }
        }
    )+};
}

/// Methods that load as many elements as `x` has, at most a register, or store as many as `out` has.
macro_rules! memory_methods {
    ($($name:ident($slice:ident: $kind:ty $(, $x:ident: $register:ty)?) $(-> $out:ty)? = $body:expr;)+) => {$(
        #[inline(always)]
        fn $name(self, $slice: $kind $(, $x: $register)?) $(-> $out)? {
            // SAFETY: `self` is evidence that the CPU has AVX-512; whole registers go to arrays of their length, and otherwise lanes beyond
            // the slice are masked off.
            unsafe { $body }
        }
    )+};
}

impl Vector<16> for Avx512 {
    type F32 = __m512;
    type I32 = __m512i;
    type Quantized = u8;

    memory_methods! {
        load_f32(x: &[f32; 16]) -> __m512 = _mm512_loadu_ps(x.as_ptr());
        load_f32_partial(x: &[f32]) -> __m512 = _mm512_maskz_loadu_ps(mask16(x.len()), x.as_ptr());
        store_f32(out: &mut [f32; 16], x: __m512) = _mm512_storeu_ps(out.as_mut_ptr(), x);
        store_f32_partial(out: &mut [f32], x: __m512) = {
            let mask = mask16(out.len());
            _mm512_mask_storeu_ps(out.as_mut_ptr(), mask, x);
        };
        load_i32(x: &[i32; 16]) -> __m512i = _mm512_loadu_si512(x.as_ptr().cast());
        load_i32_partial(x: &[i32]) -> __m512i = _mm512_maskz_loadu_epi32(mask16(x.len()), x.as_ptr());
        store_i32(out: &mut [i32; 16], x: __m512i) = _mm512_storeu_si512(out.as_mut_ptr().cast(), x);
        store_i32_partial(out: &mut [i32], x: __m512i) = {
            let mask = mask16(out.len());
            _mm512_mask_storeu_epi32(out.as_mut_ptr(), mask, x);
        };
        store_i16(out: &mut [i16; 16], x: __m512i) = _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm512_cvtepi32_epi16(x));
        store_i16_partial(out: &mut [i16], x: __m512i) = {
            let mask = mask16(out.len());
            _mm256_mask_storeu_epi16(out.as_mut_ptr(), mask, _mm512_cvtepi32_epi16(x));
        };
        store_quantized(out: &mut [u8; 16], x: __m512i) = _mm_storeu_si128(out.as_mut_ptr().cast(), offset_bytes(x));
        store_quantized_partial(out: &mut [u8], x: __m512i) = {
            let mask = mask16(out.len());
            _mm_mask_storeu_epi8(out.as_mut_ptr().cast(), mask, offset_bytes(x));
        };
        store_a12(out: &mut [i16; 16], x: __m512i) = _mm256_storeu_si256(out.as_mut_ptr().cast(), high_and_low_bytes(x));
        store_a12_partial(out: &mut [i16], x: __m512i) = {
            let mask = mask16(out.len());
            _mm256_mask_storeu_epi16(out.as_mut_ptr(), mask, high_and_low_bytes(x));
        };
    }

    #[inline(always)]
    fn quantized(self, out: &mut [i16]) -> &mut [u8] {
        let count = out.len();
        out.as_mut_bytes().get_mut(..count).unwrap_or_default()
    }

    methods! {
        splat_f32(x: f32) -> __m512 = _mm512_set1_ps(x);
        splat_i32(x: i32) -> __m512i = _mm512_set1_epi32(x);
        to_bits(x: __m512) -> __m512i = _mm512_castps_si512(x);
        float_of_bits(x: __m512i) -> __m512 = _mm512_castsi512_ps(x);
        to_f32(x: __m512i) -> __m512 = _mm512_cvtepi32_ps(x);
        add_f32(a: __m512, b: __m512) -> __m512 = _mm512_add_ps(a, b);
        sub_f32(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps(a, b);
        mul_f32(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps(a, b);
        div_f32(a: __m512, b: __m512) -> __m512 = _mm512_div_ps(a, b);
        max_f32(a: __m512, b: __m512) -> __m512 = _mm512_max_ps(a, b);
        relu(x: __m512) -> __m512 = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, _mm512_setzero_ps()), x);
        select_by_sign(x: __m512, negative: __m512, positive: __m512) -> __m512 =
            _mm512_mask_mov_ps(positive, _mm512_movepi32_mask(_mm512_castps_si512(x)), negative);
        add(a: __m512i, b: __m512i) -> __m512i = _mm512_add_epi32(a, b);
        sub(a: __m512i, b: __m512i) -> __m512i = _mm512_sub_epi32(a, b);
        mul_low(a: __m512i, b: __m512i) -> __m512i = _mm512_mullo_epi32(a, b);
        mul_high(a: __m512i, b: __m512i) -> __m512i =
            upper_halves(_mm512_mul_epi32(a, b), _mm512_mul_epi32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b)));
        mul_high_u32(a: __m512i, b: __m512i) -> __m512i =
            upper_halves(_mm512_mul_epu32(a, b), _mm512_mul_epu32(_mm512_srli_epi64::<32>(a), _mm512_srli_epi64::<32>(b)));
        and(a: __m512i, b: __m512i) -> __m512i = _mm512_and_si512(a, b);
        or(a: __m512i, b: __m512i) -> __m512i = _mm512_or_si512(a, b);
        xor(a: __m512i, b: __m512i) -> __m512i = _mm512_xor_si512(a, b);
        min_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_min_epi32(a, b);
        max_i32(a: __m512i, b: __m512i) -> __m512i = _mm512_max_epi32(a, b);
        min_u32(a: __m512i, b: __m512i) -> __m512i = _mm512_min_epu32(a, b);
        max_u32(a: __m512i, b: __m512i) -> __m512i = _mm512_max_epu32(a, b);
        shl(x: __m512i, bits: u32) -> __m512i = _mm512_sll_epi32(x, _mm_cvtsi32_si128(bits as i32));
        shr(x: __m512i, bits: u32) -> __m512i = _mm512_srl_epi32(x, _mm_cvtsi32_si128(bits as i32));
        sar(x: __m512i, bits: u32) -> __m512i = _mm512_sra_epi32(x, _mm_cvtsi32_si128(bits as i32));
        shl_each(x: __m512i, bits: __m512i) -> __m512i = _mm512_sllv_epi32(x, bits);
        shr_each(x: __m512i, bits: __m512i) -> __m512i = _mm512_srlv_epi32(x, bits);
        sar_each(x: __m512i, bits: __m512i) -> __m512i = _mm512_srav_epi32(x, bits);
        where_nonzero(of: __m512i, x: __m512i) -> __m512i = _mm512_maskz_mov_epi32(_mm512_test_epi32_mask(of, of), x);
        first(count: usize, x: __m512i) -> __m512i = _mm512_maskz_mov_epi32(mask16(count), x);
        largest(x: __m512i) -> i32 = _mm512_reduce_max_epi32(x);
        sum(x: __m512i) -> i32 = _mm512_reduce_add_epi32(x);
    }
}
