//! Softmax weights of one head's scores.

use super::super::int8_cache;
use super::super::views::SoftmaxNorm;
use super::dsp::is_word_aligned;
use crate::numeric::exp::EXP2_NEG;
use core::arch::naked_asm;

/// Softmax weights of the values: [`int8_cache::softmax_weights`], for scores within 2^31 of the largest.
pub(super) fn softmax_weights(scores: &mut [i32], largest: i32, value_scales: &[f32], out: &mut [i16]) -> SoftmaxNorm {
    let count = scores.len().min(value_scales.len());
    let bits = value_scales.get(..count).unwrap_or_default();
    let top = super::elementwise::largest_bits(bits) >> 23;
    // If the largest scale is positive and at least 2^-96, a scale of zero gets a weight of zero by its exponent alone.
    if count == 0 || scores.len() != count || out.len() < count || !(31..256).contains(&top) || !is_word_aligned(out) {
        return by_scalar(scores, largest, value_scales, out);
    }
    let out = out.as_mut_ptr_range();
    let mut arguments = WeightsArguments {
        scores: scores.as_mut_ptr(),
        scales: bits.as_ptr(),
        largest,
        sum: 0,
        shift: 0,
        exp2: EXP2_NEG,
        top,
        out: out.start,
        count: count as u32,
        out_end: out.end,
    };
    // SAFETY: the checks above found as many scores as scales, at least one, and space for at least as many weights at a word address.
    unsafe { weigh(&mut arguments) };
    SoftmaxNorm { sum: arguments.sum, exponent: arguments.shift as i32 + top as i32 - 141 }
}

/// A function of its own, so that its registers are not saved for every head of every token.
#[cold]
#[inline(never)]
fn by_scalar(scores: &mut [i32], largest: i32, value_scales: &[f32], out: &mut [i16]) -> SoftmaxNorm {
    int8_cache::softmax_weights(scores, largest, value_scales, out)
}

/// The argument block of [`weigh`]; the assembly reads and writes it by offset.
#[repr(C)]
struct WeightsArguments {
    scores: *mut i32,
    scales: *const f32,
    largest: i32,
    /// Out: the sum of all e.
    sum: u32,
    /// Out: the right shift of the products.
    shift: u32,
    exp2: [i32; 6],
    /// Exponent of the largest scale.
    top: u32,
    out: *mut i16,
    count: u32,
    out_end: *mut i16,
}

/// One key: `exp2_neg_q16` of its distance (0 from 2^-17 down), times its scale's mantissa, at the largest scale's exponent.
macro_rules! weigh_one {
    () => {
        "ldr r5, [r0]
        sub.w r5, r2, r5
        usat r12, #5, r5, asr #16
        lsls r5, r5, #16
        eor r5, r5, #0x80000000
        smmla lr, r5, r11, r10
        smmla lr, r5, lr, r9
        smmla lr, r5, lr, r8
        smmla lr, r5, lr, r7
        smmla lr, r5, lr, r6
        lsr lr, lr, r12
        add lr, lr, #0x2000
        lsr lr, lr, #14
        add r3, lr
        ldr r12, [r1], #4
        ubfx r5, r12, #9, #14
        orr r5, r5, #0x4000
        mul lr, lr, r5
        ldr r5, [sp]
        sub r12, r5, r12, lsr #23
        lsr lr, lr, r12
        orr r4, r4, lr
        str lr, [r0], #4"
    };
}

/// Replaces scores by products of e and a scale's mantissa, then stores those as weights, followed by zeros.
///
/// # Safety
/// `count` is at least 1, and as many scores and scales and at least as many outputs exist; `out` is at a multiple of four.
#[unsafe(naked)]
unsafe extern "C" fn weigh(arguments: &mut WeightsArguments) {
    // r0 scores, r1 scales, r2 largest, r3 sum, r4 products or-ed, r5 fraction, r6-r11 polynomial, r12 whole part, lr value.
    // Frame: top, end of scores, arguments. Then r0 products, r1 weights, r2 end of whole groups of four, r3 shift, r4 half, r5-r8 products.
    naked_asm!(
        instructions!(),
        "push {{r4-r11, lr}}",
        "sub sp, #12",
        "str r0, [sp, #8]",
        "ldr r1, [r0]",
        "ldrd r2, r3, [r0, #44]",
        "ldr r12, [r0, #52]",
        "add r1, r1, r12, lsl #2",
        "strd r2, r1, [sp]",
        "ldm.w r0, {{r0, r1, r2, r3, r4, r6, r7, r8, r9, r10, r11}}",
        // Two keys per round; an odd one comes first.
        "lsls r12, r12, #31",
        "bne 3f",
        "2:",
        weigh_one!(),
        "3:",
        weigh_one!(),
        "ldr r5, [sp, #4]",
        "cmp r0, r5",
        "bne 2b",
        // The largest product has as many leading zeros as the OR of all products.
        "clz r4, r4",
        "rsb r4, r4, #20",
        "usat r4, #5, r4",
        "ldr r11, [sp, #8]",
        "strd r3, r4, [r11, #12]",
        "mov r3, r4",
        "movs r4, #1",
        "lsl r4, r3",
        "lsr r4, r4, #1",
        "ldr r0, [r11]",
        "ldr r1, [r11, #48]",
        "ldrd r10, r9, [r11, #52]",
        "bics r2, r10, #3",
        "add r2, r0, r2, lsl #2",
        "beq 5f",
        "4:",
        "ldm r0!, {{r5, r6, r7, r8}}",
        "add r5, r4",
        "add r6, r4",
        "add r7, r4",
        "add r8, r4",
        "lsrs r5, r3",
        "lsrs r6, r3",
        "lsrs r7, r3",
        "lsr r8, r8, r3",
        "pkhbt r5, r5, r6, lsl #16",
        "pkhbt r6, r7, r8, lsl #16",
        "usat16 r5, #12, r5",
        "usat16 r6, #12, r6",
        "strd r5, r6, [r1], #8",
        "cmp r0, r2",
        "bne 4b",
        "5:",
        "ands r10, r10, #3",
        "beq 7f",
        "6:",
        "ldr r5, [r0], #4",
        "add r5, r4",
        "lsrs r5, r3",
        "usat r5, #12, r5",
        "strh r5, [r1], #2",
        "subs r10, r10, #1",
        "bne 6b",
        "7:",
        "movs r5, #0",
        "8:",
        "cmp r1, r9",
        "itt ne",
        "strhne r5, [r1], #2",
        "bne 8b",
        "add sp, #12",
        "pop {{r4-r11, pc}}",
    )
}
