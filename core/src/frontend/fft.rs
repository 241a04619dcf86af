//! The Fourier transform of a real frame, by a complex one of half its length (Cooley and Tukey 1965; the autosorting form of Stockham).

use crate::numeric::sin_cos;
use crate::slices::rows_mut;

/// A complex number: real part, imaginary part.
pub type Complex = [f32; 2];

/// Fills a table of `exp(-2 pi i k / length)` for k below half of `length`.
pub fn turns(length: usize, out: &mut [Complex]) {
    for (k, turn) in out.iter_mut().enumerate() {
        let phase = ((k as u64) << 32).checked_div(length as u64).unwrap_or(0);
        let (sin, cos) = sin_cos(phase as u32);
        *turn = [cos, -sin];
    }
}

/// Whether a frame of this length can be transformed: twice a product of twos and fives.
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

/// Bins 0 to n / 2 of a real frame of n values, which lie in `frame` as n / 2 pairs and are overwritten; `turns` are those of n. Each bin goes to
/// `see(k, bin)`, in no order.
pub fn real<'s>(mut frame: &'s mut [Complex], mut spare: &'s mut [Complex], turns: &[Complex], mut see: impl FnMut(usize, Complex)) {
    let half = turns.len();
    let (mut length, mut stride) = (half, 1);
    while length > 1 {
        let radix = match length {
            _ if length.is_multiple_of(4) => 4,
            _ if length.is_multiple_of(2) => 2,
            _ => 5,
        };
        match radix {
            4 => stage(frame, spare, turns, stride, four),
            2 => stage(frame, spare, turns, stride, |[a, b]| [sum(a, b), difference(a, b)]),
            _ => stage(frame, spare, turns, stride, five),
        }
        (frame, spare) = (spare, frame);
        (length, stride) = (length / radix, stride * radix);
    }
    // The frame's even places were real parts, its odd places imaginary ones: bins k and n / 2 - k hold both spectra.
    let bin = |k: usize| frame.get(if k == half { 0 } else { k }).copied().unwrap_or_default();
    for k in 0..=half / 2 {
        let (a, b) = (bin(k), conjugate(bin(half - k)));
        let (even, odd) = (sum(a, b), difference(a, b));
        let turned = product([odd[1], -odd[0]], turns.get(k).copied().unwrap_or_default());
        see(k, halved(sum(even, turned)));
        see(half - k, halved(conjugate(difference(even, turned))));
    }
}

/// One stage: `stride` interleaved transforms of `R * part` values become `R * stride` of `part` values; `bins` transforms R values.
#[inline(always)]
fn stage<const R: usize>(
    input: &[Complex],
    output: &mut [Complex],
    turns: &[Complex],
    stride: usize,
    bins: impl Fn([Complex; R]) -> [Complex; R],
) {
    let part = input.len() / R;
    // exp(-2 pi i index / (n / 2)), from the table of n.
    let turn = |index: usize| match turns.get(2 * index) {
        Some(&turn) => turn,
        None => turns.get(2 * index - turns.len()).map_or([0.0; 2], |&[re, im]| [-re, -im]),
    };
    for (k, out) in rows_mut(output, R * stride).enumerate() {
        let turned: [Complex; R] = core::array::from_fn(|l| turn(k * l * stride));
        for q in 0..stride {
            let at = k * stride + q;
            let values = bins(core::array::from_fn(|j| input.get(j * part + at).copied().unwrap_or_default()));
            for (l, (value, turn)) in values.into_iter().zip(turned).enumerate() {
                if let Some(place) = out.get_mut(l * stride + q) {
                    *place = if k * l == 0 { value } else { product(value, turn) };
                }
            }
        }
    }
}

/// The transform of four values.
#[inline(always)]
fn four([x0, x1, x2, x3]: [Complex; 4]) -> [Complex; 4] {
    let (p, m) = (sum(x0, x2), difference(x0, x2));
    let (r, n) = (sum(x1, x3), difference(x1, x3));
    // -i times n.
    let n = [n[1], -n[0]];
    [sum(p, r), sum(m, n), difference(p, r), difference(m, n)]
}

/// The transform of five values, by the sums and differences of those at equal distance from the first.
#[inline(always)]
fn five([x0, x1, x2, x3, x4]: [Complex; 5]) -> [Complex; 5] {
    /// Cosine and sine of a fifth and of two fifths of a turn.
    const C1: f32 = 0.309_017;
    const S1: f32 = 0.951_056_5;
    const C2: f32 = -0.809_017;
    const S2: f32 = 0.587_785_25;
    let (p, m) = (sum(x1, x4), difference(x1, x4));
    let (r, n) = (sum(x2, x3), difference(x2, x3));
    let real = |a: f32, b: f32| [x0[0] + (a * p[0] + b * r[0]), x0[1] + (a * p[1] + b * r[1])];
    let turned = |a: f32, b: f32| [a * m[1] + b * n[1], -(a * m[0] + b * n[0])];
    let (a, b) = (real(C1, C2), turned(S1, S2));
    let (c, d) = (real(C2, C1), turned(S2, -S1));
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
