//! Panels: weights of sixteen rows at a time, packed so that a register holds four neighboring columns of each row. A token's four bytes,
//! broadcast to a register, multiply all sixteen rows, and no sum crosses lanes.

use super::super::avx2::Strided;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

/// Rows of a register.
pub const ROWS: usize = 16;
/// Columns that are packed at a time: a panel stays in the second-level cache.
pub const CHUNK: usize = 1536;
/// Registers of rows in a tile of accumulators, at most.
pub const WIDEST: usize = 3;

/// Memory for the weights of `16 * WIDEST` rows and `CHUNK` columns: **73,728 bytes of stack** in the function that has one. Threads that run
/// these kernels need that much on top of what the engine uses elsewhere; a platform's smallest default on x86-64 is many times larger.
pub struct Panel {
    steps: [MaybeUninit<__m512i>; STEPS],
}

/// Registers of a panel.
const STEPS: usize = CHUNK / 4 * WIDEST;
const _: () = assert!(size_of::<Panel>() == 73_728);

impl Panel {
    /// A panel without weights.
    #[inline(always)]
    pub fn new() -> Self {
        Panel { steps: [const { MaybeUninit::uninit() }; STEPS] }
    }

    /// The first register: one per sixteen rows for each step of four columns.
    #[inline(always)]
    pub fn as_ptr(&self) -> *const __m512i {
        self.steps.as_ptr().cast()
    }

    /// Stores register `at`.
    #[inline(always)]
    pub fn put(&mut self, at: usize, weights: __m512i) {
        debug_assert!(at < STEPS);
        if let Some(step) = self.steps.get_mut(at) {
            step.write(weights);
        }
    }
}

/// Bytes `at..at + 16` of sixteen rows: lane j of register i is row 4j + i. Words of four bytes outside the mask are zeros.
///
/// # Safety
/// The mask's words may be read from `at` on in sixteen rows.
#[target_feature(enable = "avx512f,avx512vl,avx512dq")]
#[inline]
pub unsafe fn gather(rows: Strided<u8>, at: usize, mask: u8) -> [__m512i; 4] {
    // Hidden from the compiler, which would keep sixteen addresses through a loop: more than there are registers.
    let rows = Strided { stride: core::hint::black_box(rows.stride), ..rows };
    // SAFETY: rows 0 to 15 are those that the caller lets be read.
    unsafe {
        [every_fourth(rows, 0, at, mask), every_fourth(rows, 1, at, mask), every_fourth(rows, 2, at, mask), every_fourth(rows, 3, at, mask)]
    }
}

/// Rows `row`, `row + 4`, `row + 8` and `row + 12`.
///
/// # Safety
/// The mask's words may be read from `at` on in these rows.
#[target_feature(enable = "avx512f,avx512vl,avx512dq")]
#[inline]
unsafe fn every_fourth(rows: Strided<u8>, row: usize, at: usize, mask: u8) -> __m512i {
    // SAFETY: the caller lets the mask's words of these four rows be read.
    unsafe {
        let a = words(rows.at(row, at), mask);
        let b = words(rows.at(row + 4, at), mask);
        let c = words(rows.at(row + 8, at), mask);
        let d = words(rows.at(row + 12, at), mask);
        let (ab, cd) =
            (_mm256_inserti128_si256::<1>(_mm256_castsi128_si256(a), b), _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(c), d));
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(ab), cd)
    }
}

/// Up to four words; those outside the mask are zeros.
///
/// # Safety
/// The mask's words may be read.
#[target_feature(enable = "avx512f,avx512vl")]
#[inline]
unsafe fn words(from: *const u8, mask: u8) -> __m128i {
    // SAFETY: with all four bits set the caller lets sixteen bytes be read; a masked load touches only the mask's words.
    unsafe { if mask == 0xf { _mm_loadu_si128(from.cast()) } else { _mm_maskz_loadu_epi32(mask, from.cast()) } }
}

/// Transposes four-by-four words in each 128-bit lane: of [`gather`]'s registers, register c gets word c of every row, in the rows' order.
#[target_feature(enable = "avx512f")]
#[inline]
pub fn transpose4x4([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab01, ab23) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd01, cd23) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab01, cd01),
        _mm512_unpackhi_epi64(ab01, cd01),
        _mm512_unpacklo_epi64(ab23, cd23),
        _mm512_unpackhi_epi64(ab23, cd23),
    ]
}
