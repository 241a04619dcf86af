//! One head over its int8 KV cache: scores before the softmax, weighted sums of values after it.

use super::super::int8_cache;
use super::super::views::{KeyRows, ValueBlocks};
use super::dsp::are_words;
use core::arch::naked_asm;

/// One head's scores: [`int8_cache::scores`]. The assembly needs heads of whole words at word addresses.
pub(super) fn scores(q: &[i16], exponent: i32, keys: &KeyRows<'_>, out: &mut [i32]) -> i32 {
    let headroom = int8_cache::headroom(q.len());
    let shift = 109 + headroom as i32 + exponent;
    let count = out.len().min(keys.scales.len());
    // A few instructions in all, since every head of every token passes them.
    let fits = are_words([q.as_ptr().addr(), keys.values.as_ptr().addr(), q.len(), keys.stride, keys.offset])
        && (1..=keys.stride.min(512)).contains(&q.len())
        && keys.offset <= keys.stride - q.len()
        && (0..256).contains(&shift)
        && count > 0
        && count.checked_mul(keys.stride).is_some_and(|bytes| bytes <= keys.values.len());
    if !fits {
        return scores_by_scalar(q, exponent, keys, out);
    }
    let out = out.as_mut_ptr();
    let arguments = ScoresArguments {
        keys: keys.values.as_ptr().wrapping_add(keys.offset).cast(),
        q: q.as_ptr().cast(),
        scales: keys.scales.as_ptr(),
        out,
        out_end: out.wrapping_add(count),
        groups: q.len() as u32 / 4,
        shift: shift as u32,
        headroom: headroom - 1,
        skip: (keys.stride - q.len()) as u32,
    };
    // SAFETY: the checks above found `count` rows that contain this head, `count` scales and space for `count` scores, all at word addresses.
    unsafe { if q.len() == 8 { score_rows_of_eight(&arguments) } else { score_rows(&arguments) } }
}

/// A function of its own, so that its registers are not saved for every head of every token.
#[cold]
#[inline(never)]
fn scores_by_scalar(q: &[i16], exponent: i32, keys: &KeyRows<'_>, out: &mut [i32]) -> i32 {
    int8_cache::scores(q, exponent, keys, out)
}

/// The argument block of [`score_rows`]; the assembly reads it by offset.
#[repr(C)]
struct ScoresArguments {
    /// The head's first element in the first key's row.
    keys: *const u32,
    /// The query, columns in natural order.
    q: *const u32,
    scales: *const f32,
    out: *mut i32,
    out_end: *mut i32,
    /// Groups of four dimensions, 1 to 128.
    groups: u32,
    /// Right shift of a score whose key scale has exponent 0.
    shift: u32,
    /// Bits by which a dot product can be shifted left without overflow, minus one.
    headroom: u32,
    /// Bytes from the head's end in one row to its start in the next.
    skip: u32,
}

/// Scores of all rows; returns the largest.
///
/// The product of a dot within its contract (|q| at most 2,048) is within the limit of `int8_cache::score` if it is shifted right.
///
/// # Safety
/// All that the arguments name must exist, at addresses that are multiples of four.
#[unsafe(naked)]
unsafe extern "C" fn score_rows(arguments: &ScoresArguments) -> i32 {
    // r0 q, r1 keys, r2 dot, r3 largest, r4-r7 q, r8 and r9 keys, r10 widened, r11 scales, r12 runs left, lr scores.
    // Frame: q, 0, runs, entry | 16: shift, 20: headroom, 24: skip, 28: end of scores, 32: entry after the tail, 36: stack pointer |
    // 40: q interleaved as 0, 2, 1, 3.
    naked_asm!(
        instructions!(),
        "push {{r4-r11, lr}}",
        "mov r12, sp",
        "ldr r1, [r0, #20]",
        "add r2, r1, #6",
        "bic r2, r2, #1",
        "sub.w sp, sp, r2, lsl #3",
        "str.w r12, [sp, #36]",
        "ldm r0!, {{r1, r2, r11, lr}}",
        "ldm r0, {{r3, r4, r5, r6, r7}}",
        "strd r5, r6, [sp, #16]",
        "strd r7, r3, [sp, #24]",
        "add r0, sp, #40",
        "movs r3, #0",
        "strd r0, r3, [sp]",
        "mov r3, r4",
        "1:",
        "ldrd r5, r6, [r2], #8",
        "pkhbt r7, r5, r6, lsl #16",
        "pkhtb r8, r6, r5, asr #16",
        "strd r7, r8, [r0], #8",
        "subs r3, #1",
        "bne 1b",
        // Steps of eight dimensions, 40 bytes each, are unrolled four times; a row starts in the middle of the loop.
        "lsr r7, r4, #1",
        "add r5, r7, #3",
        "lsr r5, r5, #2",
        "rsb r6, r7, #0",
        "and r6, r6, #3",
        "movs r8, #40",
        "adr.w r9, 3f",
        "mla r6, r6, r8, r9",
        "adr.w r9, 4f",
        "cmp r7, #0",
        "it eq",
        "moveq r6, r9",
        "orr r6, r6, #1",
        "str r6, [sp, #32]",
        "adr.w r9, 5f",
        "orr r9, r9, #1",
        "tst r4, #1",
        "it ne",
        "movne r6, r9",
        "strd r5, r6, [sp, #8]",
        "mov r3, #0x80000000",
        "2:",
        "ldm.w sp, {{r0, r2, r12, pc}}",
        ".balign 4",
        "5:",
        "ldrd r4, r5, [r0], #8",
        "ldr r8, [r1], #4",
        "sxtb16 r10, r8",
        "smlad r2, r10, r4, r2",
        "sxtb16 r10, r8, ror #8",
        "smlad r2, r10, r5, r2",
        "ldr.w pc, [sp, #32]",
        ".balign 4",
        "3:",
        ".rept 4",
        "ldm.w r0!, {{r4, r5, r6, r7}}",
        "ldrd r8, r9, [r1], #8",
        "sxtb16 r10, r8",
        "smlad r2, r10, r4, r2",
        "sxtb16 r10, r8, ror #8",
        "smlad r2, r10, r5, r2",
        "sxtb16 r10, r9",
        "smlad r2, r10, r6, r2",
        "sxtb16 r10, r9, ror #8",
        "smlad r2, r10, r7, r2",
        ".endr",
        assert_steps!(4, 40),
        "subs.w r12, r12, #1",
        "bne 3b",
        ".balign 4",
        "4:",
        "ldr r4, [r11], #4",
        "ldrd r5, r6, [sp, #16]",
        "cbz r4, 8f",
        "subs.w r5, r5, r4, lsr #23",
        "lsl.w r4, r4, #8",
        "orr r4, r4, #0x80000000",
        "lsl.w r2, r2, r6",
        // The mantissa's top bit is taken as the sign; adding the other factor corrects for that.
        "smmla r2, r2, r4, r2",
        "bmi 7f",
        "asr.w r2, r2, r5",
        "6:",
        "str r2, [lr], #4",
        "cmp r2, r3",
        "it gt",
        "movgt r3, r2",
        "ldrd r8, r9, [sp, #24]",
        "add r1, r8",
        "cmp lr, r9",
        "bne 2b",
        "mov r0, r3",
        "ldr.w sp, [sp, #36]",
        "pop {{r4-r11, pc}}",
        // A left shift, which saturates.
        "7:",
        "rsb r5, r5, #0",
        "cmp r5, #29",
        "it gt",
        "movgt r5, #29",
        "mov r6, #0x20000000",
        "asr r6, r5",
        "cmp r2, r6",
        "it gt",
        "movgt r2, r6",
        "rsb r6, r6, #0",
        "cmp r2, r6",
        "it lt",
        "movlt r2, r6",
        "lsl.w r2, r2, r5",
        "b 6b",
        "8:",
        "movs r2, #0",
        "b 6b",
    )
}

/// [`score_rows`] for heads of eight dimensions, whose query stays in registers.
///
/// # Safety
/// All that the arguments name must exist, at addresses that are multiples of four, and `groups` is 2.
#[unsafe(naked)]
unsafe extern "C" fn score_rows_of_eight(arguments: &ScoresArguments) -> i32 {
    // r0 shift, r1 keys, r2 dot, r3 largest, r4 widened and scale, r5-r7 and r10 q, r8 and r9 keys, r11 scales, r12 row bytes, lr scores.
    // Frame: end of scores.
    naked_asm!(
        instructions!(),
        "push {{r4-r11, lr}}",
        "sub sp, #4",
        "ldm r0!, {{r1, r2, r11, lr}}",
        "ldm r2, {{r4, r5, r6, r7}}",
        "pkhtb r10, r7, r6, asr #16",
        "pkhbt r7, r6, r7, lsl #16",
        "pkhtb r6, r5, r4, asr #16",
        "pkhbt r5, r4, r5, lsl #16",
        "ldr r3, [r0]",
        "str r3, [sp]",
        "ldr r12, [r0, #16]",
        "add r12, r12, #8",
        "ldr r0, [r0, #8]",
        "mov r3, #0x80000000",
        "2:",
        "ldrd r8, r9, [r1]",
        "add r1, r12",
        "sxtb16 r4, r8",
        "smuad r2, r4, r5",
        "sxtb16 r8, r8, ror #8",
        "smlad r2, r8, r6, r2",
        "sxtb16 r4, r9",
        "smlad r2, r4, r7, r2",
        "sxtb16 r9, r9, ror #8",
        "smlad r2, r9, r10, r2",
        "ldr r4, [r11], #4",
        "cbz r4, 8f",
        "subs.w r8, r0, r4, lsr #23",
        "lsl.w r4, r4, #8",
        "orr r4, r4, #0x80000000",
        // Headroom of eight dimensions: nine bits.
        "lsl.w r2, r2, #8",
        "smmla r2, r2, r4, r2",
        "bmi 7f",
        "asr.w r2, r2, r8",
        "6:",
        "str r2, [lr], #4",
        "cmp r2, r3",
        "bgt 5f",
        "4:",
        "ldr r9, [sp]",
        "cmp lr, r9",
        "bne 2b",
        "mov r0, r3",
        "add sp, #4",
        "pop {{r4-r11, pc}}",
        "5:",
        "mov r3, r2",
        "b 4b",
        "7:",
        "rsb r8, r8, #0",
        "cmp r8, #29",
        "it gt",
        "movgt r8, #29",
        "mov r9, #0x20000000",
        "asr r9, r8",
        "cmp r2, r9",
        "it gt",
        "movgt r2, r9",
        "rsb r9, r9, #0",
        "cmp r2, r9",
        "it lt",
        "movlt r2, r9",
        "lsl.w r2, r2, r8",
        "b 6b",
        "8:",
        "movs r2, #0",
        "b 6b",
    )
}

/// Weighted sums of values: [`int8_cache::weighted_value_sum`]. The assembly needs heads of whole groups of four dimensions.
pub(super) fn weighted_value_sum(weights: &[i16], values: &ValueBlocks<'_>, out: &mut [i32]) {
    let blocks = weights.len() / 4;
    let fits = are_words([weights.as_ptr().addr(), values.values.as_ptr().addr(), weights.len(), out.len()])
        && blocks > 0
        && (1..=values.stride).contains(&out.len())
        && values.offset <= values.stride - out.len()
        && blocks.checked_mul(values.stride).is_some_and(|all| all <= values.values.len());
    if !fits {
        return sum_by_scalar(weights, values, out);
    }
    let (weights, out) = (weights.as_ptr_range(), out.as_mut_ptr_range());
    let arguments = SumsArguments {
        weights: weights.start.cast(),
        values: values.values.as_ptr().wrapping_add(values.offset).cast(),
        row_bytes: 4 * values.stride as u32,
        weights_end: weights.end.cast(),
        out: out.start,
        out_end: out.end,
    };
    // SAFETY: the checks above found a block of `stride` words for every four weights, with the head inside, and all at word addresses.
    unsafe { sum_blocks(&arguments) }
}

/// A function of its own, so that its registers are not saved for every head of every token.
#[cold]
#[inline(never)]
fn sum_by_scalar(weights: &[i16], values: &ValueBlocks<'_>, out: &mut [i32]) {
    int8_cache::weighted_value_sum(weights, values, out);
}

/// The argument block of [`sum_blocks`]; the assembly reads it by offset.
#[repr(C)]
struct SumsArguments {
    weights: *const u32,
    /// The head's first dimension in the first block.
    values: *const u32,
    /// Bytes from one block to the next.
    row_bytes: u32,
    weights_end: *const u32,
    out: *mut i32,
    out_end: *mut i32,
}

/// Four dimensions at a time, each over all blocks of four tokens.
///
/// # Safety
/// All that the arguments name must exist, at addresses that are multiples of four: at least one block, and outputs in whole groups of four.
#[unsafe(naked)]
unsafe extern "C" fn sum_blocks(arguments: &SumsArguments) {
    // r0 weights, r1 values, r2 tokens 0 and 2, r3 row bytes, r4-r7 sums, r8-r11 values, r12 widened, lr tokens 1 and 3.
    // Frame: weights, values, row bytes, end of weights, outputs, their end.
    naked_asm!(
        instructions!(),
        "push {{r4-r11, lr}}",
        "sub sp, #28",
        "ldm r0, {{r1, r2, r3, r4, r5, r6}}",
        "stm.w sp, {{r1, r2, r3, r4, r5, r6}}",
        "1:",
        "ldrd r0, r1, [sp]",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "movs r7, #0",
        "2:",
        "ldrd r12, lr, [r0], #8",
        "ldm.w r1, {{r8, r9, r10, r11}}",
        "pkhbt r2, r12, lr, lsl #16",
        "pkhtb lr, lr, r12, asr #16",
        "add r1, r3",
        "sxtb16 r12, r8",
        "smlad r4, r12, r2, r4",
        "sxtb16 r8, r8, ror #8",
        "smlad r4, r8, lr, r4",
        "sxtb16 r12, r9",
        "smlad r5, r12, r2, r5",
        "sxtb16 r9, r9, ror #8",
        "smlad r5, r9, lr, r5",
        "sxtb16 r12, r10",
        "smlad r6, r12, r2, r6",
        "sxtb16 r10, r10, ror #8",
        "smlad r6, r10, lr, r6",
        "sxtb16 r12, r11",
        "smlad r7, r12, r2, r7",
        "sxtb16 r11, r11, ror #8",
        "smlad r7, r11, lr, r7",
        "ldr r12, [sp, #12]",
        "cmp r0, r12",
        "bne 2b",
        "ldr r1, [sp, #4]",
        "ldrd r0, r2, [sp, #16]",
        "adds r1, #16",
        "stm r0!, {{r4, r5, r6, r7}}",
        "str r1, [sp, #4]",
        "str r0, [sp, #16]",
        "cmp r0, r2",
        "bne 1b",
        "add sp, #28",
        "pop {{r4-r11, pc}}",
    )
}
