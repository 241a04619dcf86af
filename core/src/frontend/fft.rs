//! The Fourier transform of a real frame, by one of half its length (Cooley and Tukey 1965; the autosorting form of Stockham).

use crate::numeric::sin_cos;

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

/// Bins 0 to n / 2 of a real frame of n values, which lie in `frame` as n / 2 pairs and are overwritten; `turns` are those of n. Bin k of the first
/// n / 2 goes to `see(k, bin)`, then bin n / 2.
pub fn real<'s>(mut frame: &'s mut [Complex], mut spare: &'s mut [Complex], turns: &[Complex], mut see: impl FnMut(usize, Complex)) {
    let half = turns.len();
    let turn = |index: usize| turns.get(index).copied().unwrap_or_default();
    // exp(-2 pi i k / half) from the table of twice the length.
    let coarse = |index: usize| if 2 * index < half { turn(2 * index) } else { negative(turn(2 * index - half)) };
    let (mut length, mut stride) = (half, 1);
    while length > 1 {
        let radix = if length.is_multiple_of(2) { 2 } else { 5 };
        let part = length / radix;
        for k in 0..part {
            for q in 0..stride {
                let input = |j: usize| frame.get(q + stride * (k + part * j)).copied().unwrap_or_default();
                let mut put = |l: usize, value: Complex| {
                    if let Some(place) = spare.get_mut(q + stride * (radix * k + l)) {
                        *place = if k * l == 0 { value } else { product(value, coarse(k * l * stride)) };
                    }
                };
                if radix == 2 {
                    let (a, b) = (input(0), input(1));
                    put(0, sum(a, b));
                    put(1, sum(a, negative(b)));
                } else {
                    let bins = five([input(0), input(1), input(2), input(3), input(4)]);
                    bins.into_iter().enumerate().for_each(|(l, bin)| put(l, bin));
                }
            }
        }
        (frame, spare) = (spare, frame);
        (length, stride) = (part, stride * radix);
    }
    for k in 0..=half {
        let a = frame.get(k % half.max(1)).copied().unwrap_or_default();
        let b = conjugate(frame.get((half - k) % half.max(1)).copied().unwrap_or_default());
        let even = sum(a, b);
        let odd = sum(a, negative(b));
        // -i times the odd part, turned.
        let turned = product([odd[1], -odd[0]], if k == half { [-1.0, 0.0] } else { turn(k) });
        see(k, [0.5 * (even[0] + turned[0]), 0.5 * (even[1] + turned[1])]);
    }
}

/// The transform of five values, by the sums and differences of those at equal distance from the first.
fn five([x0, x1, x2, x3, x4]: [Complex; 5]) -> [Complex; 5] {
    /// Cosine and sine of a fifth and of two fifths of a turn.
    const C1: f32 = 0.309_017;
    const S1: f32 = 0.951_056_5;
    const C2: f32 = -0.809_017;
    const S2: f32 = 0.587_785_25;
    let (p, m) = (sum(x1, x4), sum(x1, negative(x4)));
    let (r, n) = (sum(x2, x3), sum(x2, negative(x3)));
    let real = |a: f32, b: f32| [x0[0] + (a * p[0] + b * r[0]), x0[1] + (a * p[1] + b * r[1])];
    let turned = |a: f32, b: f32| [a * m[1] + b * n[1], -(a * m[0] + b * n[0])];
    let (a, b) = (real(C1, C2), turned(S1, S2));
    let (c, d) = (real(C2, C1), turned(S2, -S1));
    [sum(x0, sum(p, r)), sum(a, b), sum(c, d), sum(c, negative(d)), sum(a, negative(b))]
}

fn sum(a: Complex, b: Complex) -> Complex {
    [a[0] + b[0], a[1] + b[1]]
}

fn negative(a: Complex) -> Complex {
    [-a[0], -a[1]]
}

fn conjugate(a: Complex) -> Complex {
    [a[0], -a[1]]
}

fn product(a: Complex, b: Complex) -> Complex {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}
