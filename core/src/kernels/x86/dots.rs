//! Exact integer dots: eight at a time, of eight rows with one token, or of four rows with two tokens. Their sums stay in registers.

use super::vector::mask;
use core::arch::x86_64::*;

/// A register of partial sums per row and token, tokens outermost.
pub type Sums<const ROWS: usize, const TOKENS: usize> = [[__m256i; ROWS]; TOKENS];

/// Neighbouring rows: where the first one begins, and elements (bytes, for packed ones) from one to the next.
#[derive(Clone, Copy)]
pub struct Strided<T> {
    pub first: *const T,
    pub stride: usize,
}

impl<T> Strided<T> {
    #[inline(always)]
    pub fn at(self, row: usize, element: usize) -> *const T {
        self.first.wrapping_add(row * self.stride + element)
    }
}

/// int8 rows against tokens.
///
/// # Safety
/// `columns` is a multiple of four, and as many elements may be read of `ROWS` rows and of `TOKENS` tokens.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn dots_i8<const ROWS: usize, const TOKENS: usize>(
    rows: Strided<i8>,
    tokens: Strided<i16>,
    columns: usize,
) -> Sums<ROWS, TOKENS> {
    let mut sums = [[_mm256_setzero_si256(); ROWS]; TOKENS];
    let mut at = 0;
    while at + 16 <= columns {
        let mut x = [_mm256_setzero_si256(); TOKENS];
        for (token, x) in x.iter_mut().enumerate() {
            // SAFETY: `at + 16` elements are there.
            *x = unsafe { _mm256_loadu_si256(tokens.at(token, at).cast()) };
        }
        for row in 0..ROWS {
            // SAFETY: `at + 16` elements are there.
            let w = _mm256_cvtepi8_epi16(unsafe { _mm_loadu_si128(rows.at(row, at).cast()) });
            accumulate(&mut sums, row, x, w);
        }
        at += 16;
    }
    if at < columns {
        let rest = columns - at;
        let (w_mask, x_mask) = (_mm256_castsi256_si128(mask(rest)), mask(2 * rest));
        let mut x = [_mm256_setzero_si256(); TOKENS];
        for (token, x) in x.iter_mut().enumerate() {
            // SAFETY: the mask covers what is left; the rest of the memory is not touched.
            *x = unsafe { _mm256_maskload_epi32(tokens.at(token, at).cast(), x_mask) };
        }
        for row in 0..ROWS {
            // SAFETY: the mask covers what is left, a multiple of four bytes; the rest of the memory is not touched.
            let w = _mm256_cvtepi8_epi16(unsafe { _mm_maskload_epi32(rows.at(row, at).cast(), w_mask) });
            accumulate(&mut sums, row, x, w);
        }
    }
    sums
}

/// int4 rows against tokens, each weight times its group's scale: at most 8 * 255, so that sixteen bits hold it.
///
/// `scales` holds the rows' group scales, `groups` each and perhaps those of more rows; a group has `group` columns.
///
/// # Safety
/// Of `ROWS` rows `columns` nibbles may be read, in whole words of four bytes; of `TOKENS` tokens `columns` elements, rounded up to four.
/// `group` is a multiple of 32.
#[target_feature(enable = "avx2")]
#[inline]
pub unsafe fn dots_i4<const ROWS: usize, const TOKENS: usize>(
    rows: Strided<u8>,
    scales: &[u8],
    tokens: Strided<i16>,
    columns: usize,
    group: usize,
) -> Sums<ROWS, TOKENS> {
    let groups = columns.div_ceil(group.max(1));
    let mut sums = [[_mm256_setzero_si256(); ROWS]; TOKENS];
    let mut widened = [[0i16; 16]; ROWS];
    let mut at = 0;
    for index in 0..groups {
        if index % 16 == 0 {
            for (row, widened) in widened.iter_mut().enumerate() {
                widen_scales(scales.get(row * groups + index..).unwrap_or_default(), widened);
            }
        }
        let end = columns.min(at + group);
        while at + 32 <= end {
            let mut x = [[_mm256_setzero_si256(); 2]; TOKENS];
            for (token, [x0, x1]) in x.iter_mut().enumerate() {
                // SAFETY: `at + 32` elements are there.
                (*x0, *x1) =
                    unsafe { (_mm256_loadu_si256(tokens.at(token, at).cast()), _mm256_loadu_si256(tokens.at(token, at + 16).cast())) };
            }
            for (row, scales) in widened.iter().enumerate() {
                // SAFETY: `at + 32` nibbles are there.
                let nibbles = unsafe { _mm_loadu_si128(rows.at(row, at / 2).cast()) };
                accumulate_nibbles(&mut sums, row, &x, nibbles, scales[index % 16]);
            }
            at += 32;
        }
        if at < end {
            let rest = end - at;
            let whole = rest.next_multiple_of(4);
            let load = [mask(2 * whole), mask(2 * whole.saturating_sub(16))];
            let keep = [mask(2 * rest), mask(2 * rest.saturating_sub(16))];
            let w_mask = _mm256_castsi256_si128(mask(4 * rest.div_ceil(8)));
            let mut x = [[_mm256_setzero_si256(); 2]; TOKENS];
            for (token, x) in x.iter_mut().enumerate() {
                for (half, x) in x.iter_mut().enumerate() {
                    // SAFETY: the masks cover what is left, rounded up to four elements; the rest of the memory is not touched.
                    let loaded = unsafe { _mm256_maskload_epi32(tokens.at(token, at + 16 * half).cast(), load[half]) };
                    *x = _mm256_and_si256(loaded, keep[half]);
                }
            }
            for (row, scales) in widened.iter().enumerate() {
                // SAFETY: the mask covers whole words of what is left; the rest of the memory is not touched.
                let nibbles = unsafe { _mm_maskload_epi32(rows.at(row, at / 2).cast(), w_mask) };
                accumulate_nibbles(&mut sums, row, &x, nibbles, scales[index % 16]);
            }
            at = end;
        }
    }
    sums
}

/// The scales of sixteen groups at most, each times 16.
#[target_feature(enable = "avx2")]
#[inline]
fn widen_scales(scales: &[u8], out: &mut [i16; 16]) {
    let mut padded = [0; 16];
    let bytes = scales.first_chunk::<16>().unwrap_or_else(|| {
        padded.iter_mut().zip(scales).for_each(|(padded, &scale)| *padded = scale);
        &padded
    });
    // SAFETY: both arrays are as long as their registers.
    unsafe {
        let scales = _mm256_cvtepu8_epi16(_mm_loadu_si128(bytes.as_ptr().cast()));
        _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm256_slli_epi16::<4>(scales));
    }
}

/// Adds sixteen products to the sums of one row with every token.
#[target_feature(enable = "avx2")]
#[inline]
fn accumulate<const ROWS: usize, const TOKENS: usize>(sums: &mut Sums<ROWS, TOKENS>, row: usize, x: [__m256i; TOKENS], w: __m256i) {
    for (sums, x) in sums.iter_mut().zip(x) {
        if let Some(sum) = sums.get_mut(row) {
            *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(x, w));
        }
    }
}

/// Adds 32 products; `scale` is the group's scale times 16.
#[target_feature(enable = "avx2")]
#[inline]
fn accumulate_nibbles<const ROWS: usize, const TOKENS: usize>(
    sums: &mut Sums<ROWS, TOKENS>,
    row: usize,
    x: &[[__m256i; 2]; TOKENS],
    nibbles: __m128i,
    scale: i16,
) {
    let bytes = _mm256_broadcastsi128_si256(nibbles);
    let widen = |order| {
        // A byte goes to the upper halves of two words; the even column's nibble moves to the top of the first, the odd one's is there already.
        let words = _mm256_mullo_epi16(_mm256_shuffle_epi8(bytes, order), _mm256_set1_epi32(0x0001_0010));
        // 2^12 w * 2^4 scale / 2^16, exact.
        _mm256_mulhi_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0xf000u16 as i16)), _mm256_set1_epi16(scale))
    };
    let (w0, w1) = (widen(spread(0)), widen(spread(8)));
    for (sums, &[x0, x1]) in sums.iter_mut().zip(x) {
        if let Some(sum) = sums.get_mut(row) {
            *sum = _mm256_add_epi32(*sum, _mm256_add_epi32(_mm256_madd_epi16(x0, w0), _mm256_madd_epi16(x1, w1)));
        }
    }
}

/// Sends each of the eight bytes from `first` on to the upper halves of two neighbouring words.
#[target_feature(enable = "avx2")]
#[inline]
fn spread(first: i32) -> __m256i {
    // Per double word: (zero, byte, zero, byte).
    let byte = |offset: i32| (first + offset) * 0x0100_0100 + 0x0080_0080;
    _mm256_setr_epi32(byte(0), byte(1), byte(2), byte(3), byte(4), byte(5), byte(6), byte(7))
}
