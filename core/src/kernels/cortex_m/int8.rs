//! int8 microkernels: SXTB16 widens bytes to halfwords, SMLAD multiplies and adds two of them.
//!
//! Whole functions are in assembly, because a step needs thirteen registers, loads of four words and no spills. Each loop is unrolled and is
//! entered in the middle if the row is not a whole number of rounds. The stack frame holds a row's initial state, so that one LDM sets pointers
//! and accumulators and jumps to the entry.

use core::arch::naked_asm;

/// The argument block: one or two tokens with some rows of a matrix. The assembly reads it by offset.
#[repr(C)]
pub(super) struct Arguments {
    /// First row, or pair of rows.
    pub weights: *const u32,
    /// First token's row, eight bytes per four columns.
    pub x: *const u32,
    /// Row scales.
    pub scales: *const f32,
    /// First token's outputs: a whole number of bundles (pairs, or single rows in [`rows_by_two_tokens`]), at least one.
    pub out: *mut f32,
    /// End of the first token's outputs.
    pub out_end: *mut f32,
    /// Groups of four columns, at least one.
    pub groups: u32,
    /// Bytes from one portable row to the next.
    pub row_bytes: u32,
    /// First token's scale.
    pub token_scale: f32,
    /// Second token's row.
    pub second_x: *const u32,
    /// Second token's outputs.
    pub second_out: *mut f32,
    /// Second token's scale.
    pub second_scale: f32,
}

/// Pairs of rows in the cortex-m-dsp layout, one token; at most 128 groups.
///
/// `m` collects both rows (`256 * odd + even`), `l` the even one: three instructions for four products. `m - l` is 256 times the odd row's
/// sum, exactly, and VCVT converts it as a number with eight fraction bits.
///
/// # Safety
/// All that the arguments name must exist, at addresses that are multiples of four.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn pairs_by_token(arguments: &Arguments) {
    // r0 x, r1 weights, r2 m, r3 l, r4-r7 x, r8-r11 weights, r12 runs left, lr outputs.
    // Frame: x, 0, 0, runs, entry | scales - outputs, end of outputs, entry after the tail.
    naked_asm!(
        instructions!(),
        "push {{r4-r11, lr}}",
        "sub sp, #36",
        "vldr s15, [r0, #28]",
        "ldm r0, {{r1, r2, r3, r4, r5, r6}}",
        "mov lr, r4",
        "subs r3, r3, r4",
        "strd r3, r5, [sp, #20]",
        "movs r3, #0",
        "strd r2, r3, [sp]",
        "str r3, [sp, #8]",
        // Steps of eight columns, 56 bytes each, are unrolled eight times; a row starts in the middle of the loop.
        "lsr r7, r6, #1",
        "add r4, r7, #7",
        "lsr r4, r4, #3",
        "str r4, [sp, #12]",
        "rsb r4, r7, #0",
        "and r4, r4, #7",
        "movs r5, #56",
        "adr.w r8, 3f",
        "mla r4, r4, r5, r8",
        "adr.w r5, 4f",
        "cmp r7, #0",
        "it eq",
        "moveq r4, r5",
        "orr r4, r4, #1",
        "str r4, [sp, #28]",
        "adr.w r5, 5f",
        "orr r5, r5, #1",
        "tst r6, #1",
        "it ne",
        "movne r4, r5",
        "str r4, [sp, #16]",
        "2:",
        "ldm.w sp, {{r0, r2, r3, r12, pc}}",
        // The last four columns of a row whose groups are odd.
        ".balign 4",
        "5:",
        "ldrd r4, r5, [r0], #8",
        "ldrd r8, r9, [r1], #8",
        "smlad r2, r8, r4, r2",
        "sxtb16 r8, r8",
        "smlad r3, r8, r4, r3",
        "smlad r2, r9, r5, r2",
        "sxtb16 r9, r9",
        "smlad r3, r9, r5, r3",
        "ldr.w pc, [sp, #28]",
        ".balign 4",
        "3:",
        ".rept 8",
        "ldm.w r0!, {{r4, r5, r6, r7}}",
        "ldm.w r1!, {{r8, r9, r10, r11}}",
        "smlad r2, r8, r4, r2",
        "sxtb16 r8, r8",
        "smlad r3, r8, r4, r3",
        "smlad r2, r9, r5, r2",
        "sxtb16 r9, r9",
        "smlad r3, r9, r5, r3",
        "smlad r2, r10, r6, r2",
        "sxtb16 r10, r10",
        "smlad r3, r10, r6, r3",
        "smlad r2, r11, r7, r2",
        "sxtb16 r11, r11",
        "smlad r3, r11, r7, r3",
        ".endr",
        assert_steps!(8, 56),
        "subs.w r12, r12, #1",
        "bne.w 3b",
        ".balign 4",
        "4:",
        "sub r2, r2, r3",
        "vmov s0, s1, r3, r2",
        "ldrd r4, r5, [sp, #20]",
        "add r4, lr",
        "vcvt.f32.s32 s0, s0",
        "vcvt.f32.s32 s1, s1, #8",
        "vldm r4, {{s2, s3}}",
        "vmul.f32 s2, s2, s15",
        "vmul.f32 s3, s3, s15",
        "vmul.f32 s0, s0, s2",
        "vmul.f32 s1, s1, s3",
        "vstm lr!, {{s0, s1}}",
        "cmp lr, r5",
        "bne 2b",
        "add sp, #36",
        "pop {{r4-r11, pc}}",
    )
}

/// Pairs of rows in the cortex-m-dsp layout, two tokens; at most 128 groups. A word is widened once for both.
///
/// # Safety
/// All that the arguments name must exist, at addresses that are multiples of four.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn pairs_by_two_tokens(arguments: &Arguments) {
    // r0 and r2 x, r1 weights, r3 and r10 m and l of the first token, r11 and r12 of the second, r4-r7 x, r8 and r9 weights, lr runs left.
    // Frame: x, second x, 0, 0, 0, 0, entry, runs | scales, outputs, second outputs, end of outputs.
    naked_asm!(
        instructions!(),
        "push {{r4-r11, lr}}",
        "sub sp, #52",
        "vldr s14, [r0, #28]",
        "vldr s15, [r0, #40]",
        "ldrd r2, r3, [r0, #32]",
        "ldm r0, {{r1, r4, r5, r6, r7, r8}}",
        "strd r4, r2, [sp]",
        "strd r5, r6, [sp, #32]",
        "strd r3, r7, [sp, #40]",
        "movs r4, #0",
        "strd r4, r4, [sp, #8]",
        "strd r4, r4, [sp, #16]",
        // Steps of four columns, 52 bytes each, are unrolled four times; a row starts in the middle of the loop.
        "add r4, r8, #3",
        "lsr r4, r4, #2",
        "str r4, [sp, #28]",
        "rsb r4, r8, #0",
        "and r4, r4, #3",
        "movs r5, #52",
        "adr.w r6, 3f",
        "mla r4, r4, r5, r6",
        "orr r4, r4, #1",
        "str r4, [sp, #24]",
        "2:",
        "ldr.w lr, [sp, #28]",
        "ldm.w sp, {{r0, r2, r3, r10, r11, r12, pc}}",
        ".balign 4",
        "3:",
        ".rept 4",
        "ldrd r8, r9, [r1], #8",
        "ldrd r4, r5, [r0], #8",
        "ldrd r6, r7, [r2], #8",
        "smlad r3, r8, r4, r3",
        "smlad r11, r8, r6, r11",
        "sxtb16 r8, r8",
        "smlad r10, r8, r4, r10",
        "smlad r12, r8, r6, r12",
        "smlad r3, r9, r5, r3",
        "smlad r11, r9, r7, r11",
        "sxtb16 r9, r9",
        "smlad r10, r9, r5, r10",
        "smlad r12, r9, r7, r12",
        ".endr",
        assert_steps!(4, 52),
        "subs.w lr, lr, #1",
        "bne 3b",
        "sub r3, r3, r10",
        "sub r11, r11, r12",
        "vmov s0, s1, r10, r3",
        "vmov s2, s3, r12, r11",
        "ldrd r4, r5, [sp, #32]",
        "ldrd r6, r7, [sp, #40]",
        "vcvt.f32.s32 s0, s0",
        "vcvt.f32.s32 s1, s1, #8",
        "vcvt.f32.s32 s2, s2",
        "vcvt.f32.s32 s3, s3, #8",
        "vldm r4!, {{s4, s5}}",
        "vmul.f32 s6, s4, s14",
        "vmul.f32 s7, s5, s14",
        "vmul.f32 s4, s4, s15",
        "vmul.f32 s5, s5, s15",
        "vmul.f32 s0, s0, s6",
        "vmul.f32 s1, s1, s7",
        "vmul.f32 s2, s2, s4",
        "vmul.f32 s3, s3, s5",
        "vstm r5!, {{s0, s1}}",
        "vstm r6!, {{s2, s3}}",
        "strd r4, r5, [sp, #32]",
        "str r6, [sp, #40]",
        "cmp r5, r7",
        "bne 2b",
        "add sp, #52",
        "pop {{r4-r11, pc}}",
    )
}

/// Pairs of portable rows, one token.
///
/// # Safety
/// All that the arguments name must exist, at addresses that are multiples of four.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn rows_by_token(arguments: &Arguments) {
    // r0 x, r1 and r2 weights, r3 and r12 sums, r4-r7 x, r8 and r9 weights, r10 widened, r11 runs left, lr outputs.
    // Frame: x, 0, runs, 0, entry | scales - outputs, end of outputs, entry after the tail, row bytes.
    naked_asm!(
        instructions!(),
        "push {{r4-r11, lr}}",
        "sub sp, #36",
        "vldr s15, [r0, #28]",
        "ldm r0, {{r1, r2, r3, r4, r5, r6, r7}}",
        "mov lr, r4",
        "subs r3, r3, r4",
        "strd r3, r5, [sp, #20]",
        "movs r3, #0",
        "strd r2, r3, [sp]",
        "str r3, [sp, #12]",
        "str r7, [sp, #32]",
        "add r2, r1, r7",
        // Steps of eight columns, 76 bytes each, are unrolled four times; a row starts in the middle of the loop.
        "lsr r7, r6, #1",
        "add r4, r7, #3",
        "lsr r4, r4, #2",
        "str r4, [sp, #8]",
        "rsb r4, r7, #0",
        "and r4, r4, #3",
        "movs r5, #76",
        "adr.w r8, 3f",
        "mla r4, r4, r5, r8",
        "adr.w r5, 4f",
        "cmp r7, #0",
        "it eq",
        "moveq r4, r5",
        "orr r4, r4, #1",
        "str r4, [sp, #28]",
        "adr.w r5, 5f",
        "orr r5, r5, #1",
        "tst r6, #1",
        "it ne",
        "movne r4, r5",
        "str r4, [sp, #16]",
        "2:",
        "ldm.w sp, {{r0, r3, r11, r12, pc}}",
        ".balign 4",
        "5:",
        "ldrd r4, r5, [r0], #8",
        "ldr r8, [r1], #4",
        "ldr r9, [r2], #4",
        "sxtb16 r10, r8",
        "smlad r3, r10, r4, r3",
        "sxtb16 r10, r8, ror #8",
        "smlad r3, r10, r5, r3",
        "sxtb16 r10, r9",
        "smlad r12, r10, r4, r12",
        "sxtb16 r10, r9, ror #8",
        "smlad r12, r10, r5, r12",
        "ldr.w pc, [sp, #28]",
        ".balign 4",
        "3:",
        ".rept 4",
        "ldm.w r0!, {{r4, r5, r6, r7}}",
        "ldrd r8, r9, [r1], #8",
        "sxtb16 r10, r8",
        "smlad r3, r10, r4, r3",
        "sxtb16 r10, r8, ror #8",
        "smlad r3, r10, r5, r3",
        "sxtb16 r10, r9",
        "smlad r3, r10, r6, r3",
        "sxtb16 r10, r9, ror #8",
        "smlad r3, r10, r7, r3",
        "ldrd r8, r9, [r2], #8",
        "sxtb16 r10, r8",
        "smlad r12, r10, r4, r12",
        "sxtb16 r10, r8, ror #8",
        "smlad r12, r10, r5, r12",
        "sxtb16 r10, r9",
        "smlad r12, r10, r6, r12",
        "sxtb16 r10, r9, ror #8",
        "smlad r12, r10, r7, r12",
        ".endr",
        assert_steps!(4, 76),
        "subs.w r11, r11, #1",
        "bne.w 3b",
        ".balign 4",
        "4:",
        "vmov s0, s1, r3, r12",
        "ldrd r4, r5, [sp, #20]",
        "add r4, lr",
        "vcvt.f32.s32 s0, s0",
        "vcvt.f32.s32 s1, s1",
        "vldm r4, {{s2, s3}}",
        "ldr r6, [sp, #32]",
        "vmul.f32 s2, s2, s15",
        "vmul.f32 s3, s3, s15",
        "vmul.f32 s0, s0, s2",
        "vmul.f32 s1, s1, s3",
        "vstm lr!, {{s0, s1}}",
        // The second row ends where the next pair begins.
        "mov r1, r2",
        "add r2, r6",
        "cmp lr, r5",
        "bne 2b",
        "add sp, #36",
        "pop {{r4-r11, pc}}",
    )
}

/// Portable rows, two tokens.
///
/// # Safety
/// All that the arguments name must exist, at addresses that are multiples of four.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn rows_by_two_tokens(arguments: &Arguments) {
    // r0 and r2 x, r1 weights, r3 and r12 sums, r4-r7 x, r8 weights, r9 and r10 widened, r11 runs left, lr outputs.
    // Frame: x, second x, 0, runs, 0, entry | scales, second outputs, end of outputs.
    naked_asm!(
        instructions!(),
        "push {{r4-r11, lr}}",
        "sub sp, #36",
        "vldr s14, [r0, #28]",
        "vldr s15, [r0, #40]",
        "ldrd r2, r3, [r0, #32]",
        "ldm r0, {{r1, r4, r5, r6, r7, r8}}",
        "mov lr, r6",
        "strd r4, r2, [sp]",
        "strd r5, r3, [sp, #24]",
        "str r7, [sp, #32]",
        "movs r4, #0",
        "str r4, [sp, #8]",
        "str r4, [sp, #16]",
        // Steps of four columns, 36 bytes each, are unrolled four times; a row starts in the middle of the loop.
        "add r4, r8, #3",
        "lsr r4, r4, #2",
        "str r4, [sp, #12]",
        "rsb r4, r8, #0",
        "and r4, r4, #3",
        "movs r5, #36",
        "adr.w r6, 3f",
        "mla r4, r4, r5, r6",
        "orr r4, r4, #1",
        "str r4, [sp, #20]",
        "2:",
        "ldm.w sp, {{r0, r2, r3, r11, r12, pc}}",
        ".balign 4",
        "3:",
        ".rept 4",
        "ldr r8, [r1], #4",
        "ldrd r4, r5, [r0], #8",
        "ldrd r6, r7, [r2], #8",
        "sxtb16 r9, r8",
        "sxtb16 r10, r8, ror #8",
        "smlad r3, r9, r4, r3",
        "smlad r12, r9, r6, r12",
        "smlad r3, r10, r5, r3",
        "smlad r12, r10, r7, r12",
        ".endr",
        assert_steps!(4, 36),
        "subs.w r11, r11, #1",
        "bne 3b",
        "vmov s0, s1, r3, r12",
        "ldrd r4, r5, [sp, #24]",
        "ldr r6, [sp, #32]",
        "vcvt.f32.s32 s0, s0",
        "vcvt.f32.s32 s1, s1",
        "vldm r4!, {{s4}}",
        "vmul.f32 s2, s4, s14",
        "vmul.f32 s3, s4, s15",
        "vmul.f32 s0, s0, s2",
        "vmul.f32 s1, s1, s3",
        "vstm lr!, {{s0}}",
        "vstm r5!, {{s1}}",
        "strd r4, r5, [sp, #24]",
        "cmp lr, r6",
        "bne 2b",
        "add sp, #36",
        "pop {{r4-r11, pc}}",
    )
}
