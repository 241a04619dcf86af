//! Dots of floats and RMSNorm: eight lanes in eight registers. VMLA rounds the product before it adds, so it is the two operations that the
//! specification requires; VFMA rounds once and is never used.

use super::super::views::Matrix;
use super::dsp;
use crate::numeric::Lanes;
use core::arch::asm;
use half::f16;

/// f16 weights: [`crate::kernels::scalar::matmul_f16`].
pub(super) fn matmul_f16(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
    each_dot(matrix, x, out, dot_f16);
}

/// f32 weights: [`crate::kernels::scalar::matmul_f32`].
pub(super) fn matmul_f32(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32]) {
    each_dot(matrix, x, out, |x, weights| match zerocopy::FromBytes::ref_from_bytes(weights) {
        Ok(weights) => dot(x, weights),
        Err(_) => 0.0,
    });
}

/// RMSNorm of one row: [`crate::numeric::rms_norm`].
pub(super) fn rms_norm(x: &[f32], scale: &[f32], eps: f32, out: &mut [f32]) {
    let inverse = 1.0 / dsp::sqrt(dot(x, x) / x.len() as f32 + eps);
    let count = x.len().min(scale.len()).min(out.len());
    let eights = count & !7;
    if eights > 0 {
        let start = x.as_ptr();
        let end = start.wrapping_add(eights);
        // SAFETY: reads `eights` elements, a multiple of eight, of `x` and `scale` and writes as many of `out`; each slice has `count`.
        unsafe {
            asm!(
                "vmov s16, {inverse}",
                "2:",
                "vldm {x}!, {{s0-s7}}",
                "vldm {scale}!, {{s8-s15}}",
                "vmul.f32 s0, s0, s16",
                "vmul.f32 s1, s1, s16",
                "vmul.f32 s2, s2, s16",
                "vmul.f32 s3, s3, s16",
                "vmul.f32 s4, s4, s16",
                "vmul.f32 s5, s5, s16",
                "vmul.f32 s6, s6, s16",
                "vmul.f32 s7, s7, s16",
                "vmul.f32 s0, s0, s8",
                "vmul.f32 s1, s1, s9",
                "vmul.f32 s2, s2, s10",
                "vmul.f32 s3, s3, s11",
                "vmul.f32 s4, s4, s12",
                "vmul.f32 s5, s5, s13",
                "vmul.f32 s6, s6, s14",
                "vmul.f32 s7, s7, s15",
                "vstm {out}!, {{s0-s7}}",
                "cmp {x}, {end}",
                "bne 2b",
                inverse = in(reg) inverse.to_bits(), x = inout(reg) start => _, scale = inout(reg) scale.as_ptr() => _,
                out = inout(reg) out.as_mut_ptr() => _, end = in(reg) end,
                out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _, out("s8") _,
                out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _, out("s15") _, out("s16") _,
                options(nostack),
            );
        }
    }
    for ((out, &x), &scale) in out.iter_mut().zip(x).zip(scale).skip(eights) {
        *out = (x * inverse) * scale;
    }
}

#[inline(always)]
fn each_dot(matrix: &Matrix<'_>, x: &[f32], out: &mut [f32], dot: impl Fn(&[f32], &[u8]) -> f32) {
    for (out, x) in out.chunks_exact_mut(matrix.rows.max(1)).zip(x.chunks_exact(matrix.columns.max(1))) {
        for (row, out) in out.iter_mut().enumerate() {
            let y = dot(x, matrix.row(row));
            *out = matrix.bias_of(row).map_or(y, |bias| y + bias);
        }
    }
}

/// Sum of products in eight lanes: [`crate::numeric::dot`].
fn dot(x: &[f32], weights: &[f32]) -> f32 {
    let eights = x.len().min(weights.len()) / 8;
    let mut lanes = [0u32; 8];
    if eights > 0 {
        let start = x.as_ptr();
        // SAFETY: reads `eights` times eight elements of both slices, which they have, and writes the eight lanes.
        unsafe {
            asm!(
                "vldm {lanes}, {{s0-s7}}",
                "2:",
                "vldm {x}!, {{s8-s15}}",
                "vldm {w}!, {{s16-s23}}",
                "vmla.f32 s0, s8, s16",
                "vmla.f32 s1, s9, s17",
                "vmla.f32 s2, s10, s18",
                "vmla.f32 s3, s11, s19",
                "vmla.f32 s4, s12, s20",
                "vmla.f32 s5, s13, s21",
                "vmla.f32 s6, s14, s22",
                "vmla.f32 s7, s15, s23",
                "cmp {x}, {end}",
                "bne 2b",
                "vstm {lanes}, {{s0-s7}}",
                lanes = in(reg) lanes.as_mut_ptr(), end = in(reg) start.wrapping_add(8 * eights),
                x = inout(reg) start => _, w = inout(reg) weights.as_ptr() => _,
                out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
                out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _, out("s15") _,
                out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _,
                options(nostack),
            );
        }
    }
    let mut lanes = Lanes(lanes.map(f32::from_bits));
    let tail = x.iter().zip(weights).skip(8 * eights);
    lanes.0.iter_mut().zip(tail).for_each(|(lane, (&x, &w))| *lane += x * w);
    lanes.total()
}

/// Sum of products with f16 weights. VCVTB and VCVTT widen exactly, subnormals too (FPSCR.AHP is 0 from reset on).
fn dot_f16(x: &[f32], weights: &[u8]) -> f32 {
    let eights = x.len().min(weights.len() / 2) / 8;
    let mut lanes = [0u32; 8];
    if eights > 0 && dsp::is_word_aligned(weights) {
        let start = x.as_ptr();
        // SAFETY: reads `eights` times eight elements of both slices, which they have, the weights at a word address, and writes the eight lanes.
        unsafe {
            asm!(
                "vldm {lanes}, {{s0-s7}}",
                "2:",
                "vldm {x}!, {{s8-s15}}",
                "vldm {w}!, {{s20-s23}}",
                "vcvtb.f32.f16 s16, s20",
                "vcvtt.f32.f16 s17, s20",
                "vcvtb.f32.f16 s18, s21",
                "vcvtt.f32.f16 s19, s21",
                "vmla.f32 s0, s8, s16",
                "vmla.f32 s1, s9, s17",
                "vmla.f32 s2, s10, s18",
                "vmla.f32 s3, s11, s19",
                "vcvtb.f32.f16 s16, s22",
                "vcvtt.f32.f16 s17, s22",
                "vcvtb.f32.f16 s18, s23",
                "vcvtt.f32.f16 s19, s23",
                "vmla.f32 s4, s12, s16",
                "vmla.f32 s5, s13, s17",
                "vmla.f32 s6, s14, s18",
                "vmla.f32 s7, s15, s19",
                "cmp {x}, {end}",
                "bne 2b",
                "vstm {lanes}, {{s0-s7}}",
                lanes = in(reg) lanes.as_mut_ptr(), end = in(reg) start.wrapping_add(8 * eights),
                x = inout(reg) start => _, w = inout(reg) weights.as_ptr() => _,
                out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
                out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _, out("s15") _,
                out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _,
                options(nostack),
            );
        }
    }
    let done = if dsp::is_word_aligned(weights) { 8 * eights } else { 0 };
    let mut lanes = Lanes(lanes.map(f32::from_bits));
    let (weights, _) = weights.as_chunks::<2>();
    for (k, (&x, &w)) in x.iter().zip(weights).enumerate().skip(done) {
        lanes.0[k % 8] += x * f16::from_le_bytes(w).to_f32_const();
    }
    lanes.total()
}
