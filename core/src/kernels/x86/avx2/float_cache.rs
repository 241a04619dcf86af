//! Attention over a float KV cache: scores are a product of keys and queries, values are transposed four tokens at a time.

use super::super::super::float_cache::{FloatElement, FloatKeys, FloatTile, FloatValues, add_values_float, scores_float};
use super::dots::Strided;
use super::float::{Finish, Product};
use super::vector::{load_f32_at, store_f32_at};
use core::arch::x86_64::*;
use core::ops::Range;

/// `float_cache::scores_float`. `T` is u16 where `F16`, else f32.
#[target_feature(enable = "avx2,f16c")]
pub fn scores<const F16: bool, T: FloatElement>(
    queries: &FloatTile<'_>,
    keys: &FloatKeys<'_, T>,
    scale: f32,
    stride: usize,
    out: &mut [f32],
) {
    match keys_by_queries(queries, keys, scale, stride, out) {
        Some(product) => product.run::<F16>(out),
        None => scores_float(queries, keys, scale, stride, out),
    }
}

/// The product that makes the scores; `None` leaves them to scalar.
fn keys_by_queries<'a, T>(queries: &FloatTile<'a>, keys: &FloatKeys<'a, T>, scale: f32, stride: usize, out: &[f32]) -> Option<Product<'a>> {
    let (count, head_dim) = (queries.visible.iter().copied().max()?, keys.head_dim);
    let number = queries.visible.len();
    let has = |len: usize, stride: usize, rows: usize, width: usize| -> Option<bool> {
        Some(width <= stride && (rows - 1).checked_mul(stride)?.checked_add(width)? <= len)
    };
    // A row of f16 is read in whole words.
    let complete = count >= Product::LEAST_ROWS
        && (size_of::<T>() == 4 || head_dim.is_multiple_of(2))
        && has(queries.values.len(), queries.stride, number, head_dim)?
        && has(keys.values.len().checked_sub(keys.offset)?, keys.stride, count, head_dim)?
        && has(out.len(), stride, number, count)?;
    complete.then_some(Product {
        rows: Strided { first: keys.values.as_ptr().wrapping_add(keys.offset).cast(), stride: keys.stride * size_of::<T>() },
        row_count: count,
        tokens: Strided { first: queries.values.as_ptr(), stride: queries.stride },
        token_count: number,
        columns: head_dim,
        out_stride: stride,
        finish: Finish::Scale(scale),
    })
}

/// `float_cache::add_values_float`. `T` is u16 where `F16`, else f32.
#[target_feature(enable = "avx2,f16c")]
pub fn add_values<const F16: bool, T: FloatElement>(weights: &FloatTile<'_>, values: &FloatValues<'_, T>, stride: usize, out: &mut [f32]) {
    match WeightedSum::checked(weights, values, stride, out) {
        Some(sum) => sum.run::<F16>(out),
        None => add_values_float(weights, values, stride, out),
    }
}

/// Operands whose sizes were checked: the pointers below rely on that.
struct WeightedSum<'a> {
    weights: FloatTile<'a>,
    /// The head's first element, as bytes; a block's elements are adjacent by dimension.
    blocks: Strided<u8>,
    /// Place of the first weight's token.
    first: usize,
    /// A multiple of eight.
    head_dim: usize,
    /// Elements from one query's sums to the next.
    stride: usize,
}

impl<'a> WeightedSum<'a> {
    /// `None` leaves the sums to scalar.
    fn checked<T>(weights: &FloatTile<'a>, values: &FloatValues<'a, T>, stride: usize, out: &[f32]) -> Option<Self> {
        let (number, count, head_dim) = (weights.visible.len(), weights.visible.iter().copied().max()?, values.head_dim);
        let blocks = values.first.checked_add(count)?.div_ceil(4);
        let complete = head_dim > 0
            && head_dim.is_multiple_of(8)
            && values.first < 4
            && count <= weights.stride
            && (number - 1).checked_mul(weights.stride)?.checked_add(count)? <= weights.values.len()
            && values.offset.checked_add(head_dim)? <= values.stride
            && blocks.checked_mul(values.stride)? <= values.values.len()
            && head_dim <= stride
            && (number - 1).checked_mul(stride)?.checked_add(head_dim)? <= out.len();
        complete.then_some(WeightedSum {
            weights: *weights,
            blocks: Strided {
                first: values.values.as_ptr().wrapping_add(values.offset).cast(),
                stride: values.stride * size_of::<[T; 4]>(),
            },
            first: values.first,
            head_dim,
            stride,
        })
    }

    /// The tokens that all queries of a tile see are added for all of them at once, the others query by query.
    #[target_feature(enable = "avx2,f16c")]
    fn run<const F16: bool>(&self, out: &mut [f32]) {
        let visible = self.weights.visible;
        let mut query = 0;
        while query < visible.len() {
            match visible.get(query..) {
                Some([a, b, c, d, e, f, g, h, ..]) => {
                    let common = *[a, b, c, d, e, f, g, h].into_iter().min().unwrap_or(a);
                    self.tile::<F16, 8, 1>(query, 0..common, out);
                    (query..query + 8).zip([a, b, c, d, e, f, g, h]).for_each(|(query, &end)| self.one::<F16>(query, common..end, out));
                    query += 8;
                }
                Some([a, b, c, d, ..]) => {
                    let common = *[a, b, c, d].into_iter().min().unwrap_or(a);
                    self.tile::<F16, 4, 2>(query, 0..common, out);
                    (query..query + 4).zip([a, b, c, d]).for_each(|(query, &end)| self.one::<F16>(query, common..end, out));
                    query += 4;
                }
                Some([a, ..]) => {
                    self.one::<F16>(query, 0..*a, out);
                    query += 1;
                }
                _ => return,
            }
        }
    }

    /// Adds weights `tokens` of one query.
    #[target_feature(enable = "avx2,f16c")]
    fn one<const F16: bool>(&self, query: usize, tokens: Range<usize>, out: &mut [f32]) {
        self.tile::<F16, 1, 4>(query, tokens, out);
    }

    /// Adds weights `tokens` of `QUERIES` queries from `query` on, `GROUPS` times eight dimensions at a time.
    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn tile<const F16: bool, const QUERIES: usize, const GROUPS: usize>(&self, query: usize, tokens: Range<usize>, out: &mut [f32]) {
        if tokens.is_empty() {
            return;
        }
        let mut dim = 0;
        while dim + 8 * GROUPS <= self.head_dim {
            self.dimensions::<F16, QUERIES, GROUPS>(query, tokens.clone(), dim, out);
            dim += 8 * GROUPS;
        }
        while dim < self.head_dim {
            self.dimensions::<F16, QUERIES, 1>(query, tokens.clone(), dim, out);
            dim += 8;
        }
    }

    /// Adds weights `tokens` of `QUERIES` queries from `query` on to the dimensions from `dim` on.
    #[target_feature(enable = "avx2,f16c")]
    #[inline]
    fn dimensions<const F16: bool, const QUERIES: usize, const GROUPS: usize>(
        &self,
        query: usize,
        tokens: Range<usize>,
        dim: usize,
        out: &mut [f32],
    ) {
        let places = self.first + tokens.start..self.first + tokens.end;
        // The weight of place p is element p - first of a row.
        let weights = Strided {
            first: self.weights.values.as_ptr().wrapping_add(query * self.weights.stride).wrapping_sub(self.first),
            stride: self.weights.stride,
        };
        let element = if F16 { 2 } else { 4 };
        let blocks = Strided { first: self.blocks.at(0, 4 * element * dim), stride: self.blocks.stride };
        let mut sums = [[_mm256_setzero_ps(); GROUPS]; QUERIES];
        for (query, sums) in (query..).zip(&mut sums) {
            for (group, sum) in sums.iter_mut().enumerate() {
                *sum = even_then_odd(load_f32_at(out, query * self.stride + dim + 8 * group));
            }
        }
        // SAFETY: `checked` found the blocks of all visible tokens with `head_dim` dimensions each, and every query's weights of its visible
        // tokens; `tokens` are visible to all queries of the tile.
        unsafe { add_tokens::<F16, QUERIES, GROUPS>(weights, blocks, places, &mut sums) }
        for (query, sums) in (query..).zip(sums) {
            for (group, sum) in sums.into_iter().enumerate() {
                store_f32_at(out, query * self.stride + dim + 8 * group, in_order(sum));
            }
        }
    }
}

/// Adds weight times value of the tokens at `places` to the sums, whose lanes are even dimensions, then odd ones.
///
/// # Safety
/// The blocks of `places` may be read, `8 * GROUPS` dimensions of four elements each, and each query's weights at `places`.
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn add_tokens<const F16: bool, const QUERIES: usize, const GROUPS: usize>(
    weights: Strided<f32>,
    blocks: Strided<u8>,
    places: Range<usize>,
    sums: &mut [[__m256; GROUPS]; QUERIES],
) {
    let mut at = places.start;
    while at < places.end {
        let start = at & !3;
        let mut values = [[_mm256_setzero_ps(); GROUPS]; 4];
        for group in 0..GROUPS {
            let eight = if F16 { 64 } else { 128 };
            // SAFETY: the block of `at` may be read, and in it this group's eight dimensions.
            let by_token = unsafe { four_tokens::<F16>(blocks.at(start / 4, eight * group)) };
            for (values, token) in values.iter_mut().zip(by_token) {
                if let Some(value) = values.get_mut(group) {
                    *value = token;
                }
            }
        }
        let whole = at == start && start + 4 <= places.end;
        for (place, values) in (start..).zip(values) {
            if whole || places.contains(&place) {
                for (query, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: `place` is one of `places`.
                    let weight = _mm256_set1_ps(unsafe { weights.at(query, place).read() });
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = _mm256_add_ps(*sum, _mm256_mul_ps(weight, value));
                    }
                }
            }
        }
        at = start + 4;
    }
}

/// Eight dimensions of a block of four tokens, token by token; even dimensions, then odd ones.
///
/// # Safety
/// 32 elements may be read.
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn four_tokens<const F16: bool>(block: *const u8) -> [__m256; 4] {
    let mut pairs = [_mm256_setzero_ps(); 4];
    for (pair, two) in pairs.iter_mut().enumerate() {
        // SAFETY: elements `8 * pair..8 * pair + 8` are among the 32.
        *two = unsafe {
            if F16 {
                _mm256_cvtph_ps(_mm_loadu_si128(block.wrapping_add(16 * pair).cast()))
            } else {
                _mm256_loadu_ps(block.wrapping_add(32 * pair).cast())
            }
        };
    }
    // In each half, four dimensions by four tokens.
    let [a, b, c, d] = pairs;
    let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
    let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
    let low = |x, y| _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(x), _mm256_castps_pd(y)));
    let high = |x, y| _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(x), _mm256_castps_pd(y)));
    [low(ab, cd), high(ab, cd), low(ab_high, cd_high), high(ab_high, cd_high)]
}

/// Lanes 0, 2, 4, 6, then 1, 3, 5, 7.
#[target_feature(enable = "avx2")]
#[inline]
fn even_then_odd(x: __m256) -> __m256 {
    _mm256_permutevar8x32_ps(x, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7))
}

/// The inverse of [`even_then_odd`].
#[target_feature(enable = "avx2")]
#[inline]
fn in_order(x: __m256) -> __m256 {
    _mm256_permutevar8x32_ps(x, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
}
