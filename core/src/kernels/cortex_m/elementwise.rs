//! Quantization of a row, and the largest magnitude in it (absmax).

use super::super::layout::interleave_index;
use super::dsp::is_word_aligned;
use crate::numeric::quantize::ROUNDER;
use crate::numeric::{LIMIT_8, LIMIT_12, Quantizer, max_magnitude_bits};
use core::arch::asm;

/// Quantizes one row: [`crate::kernels::scalar::quantize`], in this set's order of columns.
pub(super) fn quantize(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    quantize_to(LIMIT_8, x, in_scale, out)
}

/// Quantizes one row to twelve bits: [`crate::kernels::scalar::quantize_a12`], in this set's order of columns.
pub(super) fn quantize_a12(x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    quantize_to(LIMIT_12, x, in_scale, out)
}

#[inline(always)]
fn quantize_to(limit: f32, x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    if in_scale.is_empty() && is_word_aligned(out) {
        return quantize_plain(limit, x, out);
    }
    quantize_scaled(limit, x, in_scale, out)
}

/// Rows with input scales, and rows at other addresses.
#[inline(never)]
fn quantize_scaled(limit: f32, x: &[f32], in_scale: &[f32], out: &mut [i16]) -> f32 {
    // A missing scale counts as 1, which changes no bit.
    let count = if in_scale.is_empty() { x.len() } else { x.len().min(in_scale.len()) };
    let scaled = |(k, &x): (usize, &f32)| x * in_scale.get(k).copied().unwrap_or(1.0);
    let row = || x.iter().enumerate().take(count).map(scaled);
    let quantizer = Quantizer::with_limit(max_magnitude_bits(row()), limit);
    out.fill(0);
    for (k, x) in row().enumerate() {
        if let Some(out) = out.get_mut(interleave_index(k)) {
            *out = quantizer.quantize(x) as i16;
        }
    }
    quantizer.scale
}

fn quantize_plain(limit: f32, x: &[f32], out: &mut [i16]) -> f32 {
    let quantizer = Quantizer::with_limit(largest_magnitude(x), limit);
    let count = x.len().min(out.len()) / 8;
    if quantizer.inverse == 0.0 {
        out.fill(0);
        return quantizer.scale;
    }
    if count > 0 {
        let start = x.as_ptr();
        let end = start.wrapping_add(8 * count);
        // SAFETY: reads and writes `count` chunks of eight elements, which both slices have. VLDM and STM need word addresses: floats have
        // them, and the caller has checked `out`.
        unsafe {
            asm!(
                instructions!(),
                "vmov s8, s9, r2, r3",
                "2:",
                "vldm r0!, {{s0-s7}}",
                "vmul.f32 s0, s0, s8",
                "vmul.f32 s1, s1, s8",
                "vmul.f32 s2, s2, s8",
                "vmul.f32 s3, s3, s8",
                "vmul.f32 s4, s4, s8",
                "vmul.f32 s5, s5, s8",
                "vmul.f32 s6, s6, s8",
                "vmul.f32 s7, s7, s8",
                "vadd.f32 s0, s0, s9",
                "vadd.f32 s1, s1, s9",
                "vadd.f32 s2, s2, s9",
                "vadd.f32 s3, s3, s9",
                "vadd.f32 s4, s4, s9",
                "vadd.f32 s5, s5, s9",
                "vadd.f32 s6, s6, s9",
                "vadd.f32 s7, s7, s9",
                // The rounded integer is in the low mantissa bits; of each four, the even ones go into one word, the odd ones into the next.
                "vmov r2, r3, s0, s1",
                "vmov r4, r5, s2, s3",
                "pkhbt r2, r2, r4, lsl #16",
                "pkhbt r3, r3, r5, lsl #16",
                "vmov r4, r5, s4, s5",
                "vmov r8, r9, s6, s7",
                "pkhbt r4, r4, r8, lsl #16",
                "pkhbt r5, r5, r9, lsl #16",
                "stm r1!, {{r2, r3, r4, r5}}",
                "cmp r0, r10",
                "bne 2b",
                inout("r0") start => _, inout("r1") out.as_mut_ptr() => _, in("r10") end,
                in("r2") quantizer.inverse.to_bits(), in("r3") ROUNDER.to_bits(),
                lateout("r2") _, lateout("r3") _, out("r4") _, out("r5") _, out("r8") _, out("r9") _,
                out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _, out("s8") _, out("s9") _,
                options(nostack),
            );
        }
    }
    let rest = out.get_mut(8 * count..).unwrap_or_default();
    rest.fill(0);
    for (k, &x) in x.get(8 * count..).unwrap_or_default().iter().enumerate() {
        if let Some(out) = rest.get_mut(interleave_index(k)) {
            *out = quantizer.quantize(x) as i16;
        }
    }
    quantizer.scale
}

/// Loops over groups of four floats and keeps the largest bit pattern after the shift. The maximum rarely changes, so its update is conditional.
macro_rules! largest {
    ($x:ident, $largest:ident, $shift:literal) => {{
        let (fours, _) = $x.as_chunks::<4>();
        let ends = fours.as_ptr_range();
        if !fours.is_empty() {
            // SAFETY: reads whole groups of four words from the start of `fours` to its end, at least one; writes no memory.
            unsafe {
                asm!(
                    "2:",
                    "ldm r0!, {{r1, r2, r3, r4}}",
                    concat!("cmp {m}, r1", $shift),
                    "blo 3f",
                    "4:",
                    concat!("cmp {m}, r2", $shift),
                    "blo 5f",
                    "6:",
                    concat!("cmp {m}, r3", $shift),
                    "blo 7f",
                    "8:",
                    concat!("cmp {m}, r4", $shift),
                    "blo 9f",
                    "20:",
                    "cmp r0, {end}",
                    "bne 2b",
                    "b 21f",
                    "3:",
                    concat!("mov {m}, r1", $shift),
                    "b 4b",
                    "5:",
                    concat!("mov {m}, r2", $shift),
                    "b 6b",
                    "7:",
                    concat!("mov {m}, r3", $shift),
                    "b 8b",
                    "9:",
                    concat!("mov {m}, r4", $shift),
                    "b 20b",
                    "21:",
                    inout("r0") ends.start => _, end = in(reg) ends.end, m = inout(reg) $largest,
                    out("r1") _, out("r2") _, out("r3") _, out("r4") _,
                    options(nostack, readonly),
                );
            }
        }
    }};
}

/// Largest magnitude, as bits: [`max_magnitude_bits`].
fn largest_magnitude(x: &[f32]) -> u32 {
    let mut doubled = 0;
    largest!(x, doubled, ", lsl #1");
    let (_, tail) = x.as_chunks::<4>();
    max_magnitude_bits(tail.iter().copied()).max(doubled >> 1)
}

/// Largest of the bits themselves.
pub(super) fn largest_bits(x: &[f32]) -> u32 {
    let mut bits = 0;
    largest!(x, bits, "");
    let (_, tail) = x.as_chunks::<4>();
    tail.iter().fold(bits, |bits, x| bits.max(x.to_bits()))
}
