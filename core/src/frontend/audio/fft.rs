//! FFT of a real frame by a complex FFT of half its length (Cooley and Tukey 1965, in Stockham's autosorting form).

use crate::numeric::sin_cos;
use crate::slices::rows_mut;

/// A complex number: real part, imaginary part.
pub type Complex = [f32; 2];

/// Fills a table of twiddle factors, `exp(-2 pi i k / length)` for k below half of `length`.
pub fn fill_twiddles(length: usize, out: &mut [Complex]) {
    for (k, twiddle) in out.iter_mut().enumerate() {
        let phase = ((k as u64) << 32).checked_div(length as u64).unwrap_or(0);
        let (sin, cos) = sin_cos(phase as u32);
        *twiddle = [cos, -sin];
    }
}

/// Whether frames of this length are supported: twice a product of powers of two and five.
#[must_use]
pub const fn is_supported(length: usize) -> bool {
    let mut rest = length / 2;
    while rest > 1 && rest.is_multiple_of(2) {
        rest /= 2;
    }
    while rest > 1 && rest.is_multiple_of(5) {
        rest /= 5;
    }
    rest == 1 && length.is_multiple_of(2)
}

/// Computes bins 0 to n / 2 of a real frame of n values. `frame` holds them as n / 2 pairs and is overwritten; `twiddles` are those of n. Each bin is
/// passed to `on_bin(k, bin)`, in no particular order.
pub fn real<'s>(mut frame: &'s mut [Complex], mut spare: &'s mut [Complex], twiddles: &[Complex], mut on_bin: impl FnMut(usize, Complex)) {
    let half = twiddles.len();
    debug_assert!(frame.len() == half && spare.len() == half);
    let (mut length, mut stride) = (half, 1);
    while length > 1 {
        let radix = match length {
            _ if length.is_multiple_of(4) => 4,
            _ if length.is_multiple_of(2) => 2,
            _ => 5,
        };
        match radix {
            4 => stage(frame, spare, twiddles, stride, four),
            2 => stage(frame, spare, twiddles, stride, |[a, b]| [sum(a, b), difference(a, b)]),
            _ => stage(frame, spare, twiddles, stride, five),
        }
        (frame, spare) = (spare, frame);
        (length, stride) = (length / radix, stride * radix);
    }
    // The frame's even values were the real parts, its odd values the imaginary parts: bins k and n / 2 - k combine both spectra.
    let bin = |k: usize| frame.get(if k == half { 0 } else { k }).copied().unwrap_or_default();
    for k in 0..=half / 2 {
        let (a, b) = (bin(k), conjugate(bin(half - k)));
        let (even, odd) = (sum(a, b), difference(a, b));
        let rotated = product([odd[1], -odd[0]], twiddles.get(k).copied().unwrap_or_default());
        on_bin(k, halved(sum(even, rotated)));
        on_bin(half - k, halved(conjugate(difference(even, rotated))));
    }
}

/// One stage: `stride` interleaved transforms of `R * part` values become `R * stride` of `part` values; `bins` transforms R values.
#[inline(always)]
fn stage<const R: usize>(
    input: &[Complex],
    output: &mut [Complex],
    twiddles: &[Complex],
    stride: usize,
    bins: impl Fn([Complex; R]) -> [Complex; R],
) {
    let part = input.len() / R;
    // exp(-2 pi i index / (n / 2)), from the table of n.
    let twiddle = |index: usize| match twiddles.get(2 * index) {
        Some(&twiddle) => twiddle,
        None => twiddles.get(2 * index - twiddles.len()).map_or([0.0; 2], |&[re, im]| [-re, -im]),
    };
    for (k, out) in rows_mut(output, R * stride).enumerate() {
        let factors: [Complex; R] = core::array::from_fn(|l| twiddle(k * l * stride));
        for q in 0..stride {
            let at = k * stride + q;
            let values = bins(core::array::from_fn(|j| input.get(j * part + at).copied().unwrap_or_default()));
            for (l, (value, factor)) in values.into_iter().zip(factors).enumerate() {
                if let Some(out) = out.get_mut(l * stride + q) {
                    *out = if k * l == 0 { value } else { product(value, factor) };
                }
            }
        }
    }
}

/// The DFT of four values.
#[inline(always)]
fn four([x0, x1, x2, x3]: [Complex; 4]) -> [Complex; 4] {
    let (p, m) = (sum(x0, x2), difference(x0, x2));
    let (r, n) = (sum(x1, x3), difference(x1, x3));
    // -i times n.
    let n = [n[1], -n[0]];
    [sum(p, r), sum(m, n), difference(p, r), difference(m, n)]
}

/// The DFT of five values, by sums and differences of the pairs at equal distance from the first.
#[inline(always)]
fn five([x0, x1, x2, x3, x4]: [Complex; 5]) -> [Complex; 5] {
    // Cosine and sine of one and of two fifths of a turn.
    const C1: f32 = 0.309_017;
    const S1: f32 = 0.951_056_5;
    const C2: f32 = -0.809_017;
    const S2: f32 = 0.587_785_25;
    let (p, m) = (sum(x1, x4), difference(x1, x4));
    let (r, n) = (sum(x2, x3), difference(x2, x3));
    let real = |a: f32, b: f32| [x0[0] + (a * p[0] + b * r[0]), x0[1] + (a * p[1] + b * r[1])];
    let imaginary = |a: f32, b: f32| [a * m[1] + b * n[1], -(a * m[0] + b * n[0])];
    let (a, b) = (real(C1, C2), imaginary(S1, S2));
    let (c, d) = (real(C2, C1), imaginary(S2, -S1));
    [sum(x0, sum(p, r)), sum(a, b), sum(c, d), difference(c, d), difference(a, b)]
}

#[inline(always)]
fn sum(a: Complex, b: Complex) -> Complex {
    [a[0] + b[0], a[1] + b[1]]
}

#[inline(always)]
fn difference(a: Complex, b: Complex) -> Complex {
    [a[0] - b[0], a[1] - b[1]]
}

#[inline(always)]
fn conjugate(a: Complex) -> Complex {
    [a[0], -a[1]]
}

#[inline(always)]
fn halved(a: Complex) -> Complex {
    [0.5 * a[0], 0.5 * a[1]]
}

#[inline(always)]
fn product(a: Complex, b: Complex) -> Complex {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}
