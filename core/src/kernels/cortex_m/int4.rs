//! int4 matrix loops: `mask & (word << 12)` brings one nibble of each halfword to its top, where it counts 4,096 times its signed value,
//! and SMLAD multiplies it there. No unpacking, no bias; a block's sum is shifted down once.

use super::dsp;
use core::arch::naked_asm;

/// Columns whose sum of 4,096-fold products fits 32 bits: 4,096 * 8 * 127 * 512 < 2^31.
pub(super) const BLOCK: usize = 512;
/// The top nibble of both halfwords.
const TOP: u32 = 0xf000_f000;

/// One token with some quads of rows of the cortex-m-dsp layout.
#[repr(C)]
pub(super) struct Job {
    /// First quad of rows.
    pub weights: *const u32,
    /// The token's row, eight bytes per four columns.
    pub x: *const u32,
    /// Row scales.
    pub scales: *const f32,
    /// Outputs, a whole number of quads, at least one.
    pub out: *mut f32,
    /// End of the outputs.
    pub out_end: *mut f32,
    /// Group scales of the first row.
    pub group_scales: *const u8,
    /// Bytes of group scales from one row to the next.
    pub group_stride: u32,
    /// Blocks before the last one.
    pub whole_blocks: u32,
    /// Groups of four columns in those: a multiple of four.
    pub block_groups: u32,
    /// Groups of four columns in the last block, at least one.
    pub last_groups: u32,
    /// Group scales from one block to the next: 1, or 0 where a group is longer than a block.
    pub scale_step: u32,
    /// Bytes of weights behind a quad's last columns.
    pub skip: u32,
    /// The token's scale.
    pub token_scale: f32,
}

/// Quads of rows, one token.
///
/// # Safety
/// All that the job names must be there, words at multiples of four bytes.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn quads_by_token(job: &Job) {
    // r0 x, r1 weights, r2-r5 sums of a block, r6 and r7 x, r8 and r9 weights, r10 nibbles, r11 mask, r12 runs left, lr blocks left.
    // Frame: 0, 0, 0, 0, runs, entry of a whole block | the same of the last | totals | 64: block's and 68: row's step of group scales,
    // 72: step of blocks, 76: x, 80: quad's group scales, 84: whole blocks, 88: scales, 92: outputs, 96: their end, 100: skip.
    naked_asm!(
        super::instructions!(),
        "push {{r4-r11, lr}}",
        "sub sp, #108",
        "vldr s15, [r0, #48]",
        "ldm r0!, {{r1, r2, r3, r4, r5, r6, r7}}",
        "str r2, [sp, #76]",
        "strd r3, r4, [sp, #88]",
        "str r5, [sp, #96]",
        "str r6, [sp, #80]",
        "str r7, [sp, #68]",
        "ldm r0, {{r2, r3, r4, r5, r6}}",
        "str r2, [sp, #84]",
        "str r5, [sp, #72]",
        "str r6, [sp, #100]",
        "movs r5, #0",
        "strd r5, r5, [sp]",
        "strd r5, r5, [sp, #8]",
        "strd r5, r5, [sp, #24]",
        "strd r5, r5, [sp, #32]",
        // Steps of four columns come in runs of four steps of 72 bytes.
        "adr.w r8, 3f",
        "orr r8, r8, #1",
        "lsr r3, r3, #2",
        "strd r3, r8, [sp, #16]",
        "rsb r3, r4, #0",
        "and r3, r3, #3",
        "movs r5, #72",
        "mla r8, r3, r5, r8",
        "add r4, r4, #3",
        "lsr r4, r4, #2",
        "strd r4, r8, [sp, #40]",
        "mov r11, #0xf000",
        "movt r11, #0xf000",
        "2:",
        "ldrd r6, lr, [sp, #80]",
        "ldr r0, [sp, #76]",
        "str r6, [sp, #64]",
        "movs r2, #0",
        "strd r2, r2, [sp, #48]",
        "strd r2, r2, [sp, #56]",
        "cmp.w lr, #0",
        "beq 6f",
        "5:",
        "ldm.w sp, {{r2, r3, r4, r5, r12, pc}}",
        "6:",
        "add r6, sp, #24",
        "ldm.w r6, {{r2, r3, r4, r5, r12, pc}}",
        ".balign 4",
        "3:",
        ".rept 4",
        "ldrd r6, r7, [r0], #8",
        "ldrd r8, r9, [r1], #8",
        "and r10, r11, r8, lsl #12",
        "smlad r2, r10, r6, r2",
        "and r10, r11, r8, lsl #8",
        "smlad r3, r10, r6, r3",
        "and r10, r11, r8, lsl #4",
        "smlad r4, r10, r6, r4",
        "and.w r8, r8, r11",
        "smlad r5, r8, r6, r5",
        "and r10, r11, r9, lsl #12",
        "smlad r2, r10, r7, r2",
        "and r10, r11, r9, lsl #8",
        "smlad r3, r10, r7, r3",
        "and r10, r11, r9, lsl #4",
        "smlad r4, r10, r7, r4",
        "and.w r9, r9, r11",
        "smlad r5, r9, r7, r5",
        ".endr",
        "subs.w r12, r12, #1",
        "bne.w 3b",
        // A block is done: its sums times its scales go to the totals.
        "ldrd r6, r7, [sp, #64]",
        "ldrb r8, [r6]",
        "ldrb.w r9, [r6, r7]",
        "add r10, r6, r7, lsl #1",
        "ldrb r12, [r10]",
        "ldrb.w r10, [r10, r7]",
        "ldr r7, [sp, #72]",
        "add r6, r7",
        "str r6, [sp, #64]",
        "ldrd r6, r7, [sp, #48]",
        "asr r2, r2, #12",
        "asr r3, r3, #12",
        "mla r6, r2, r8, r6",
        "mla r7, r3, r9, r7",
        "strd r6, r7, [sp, #48]",
        "ldrd r6, r7, [sp, #56]",
        "asr r4, r4, #12",
        "asr r5, r5, #12",
        "mla r6, r4, r12, r6",
        "mla r7, r5, r10, r7",
        "strd r6, r7, [sp, #56]",
        "subs.w lr, lr, #1",
        "bgt 5b",
        "beq 6b",
        // A quad is done.
        "ldrd r4, r5, [sp, #48]",
        "vmov s0, s1, r4, r5",
        "vmov s2, s3, r6, r7",
        "ldr r10, [sp, #68]",
        "ldr r6, [sp, #80]",
        "add r6, r6, r10, lsl #2",
        "str r6, [sp, #80]",
        "vcvt.f32.s32 s0, s0",
        "vcvt.f32.s32 s1, s1",
        "vcvt.f32.s32 s2, s2",
        "vcvt.f32.s32 s3, s3",
        "ldrd r4, r5, [sp, #88]",
        "ldrd r6, r7, [sp, #96]",
        "vldm r4!, {{s4, s5, s6, s7}}",
        "vmul.f32 s4, s4, s15",
        "vmul.f32 s5, s5, s15",
        "vmul.f32 s6, s6, s15",
        "vmul.f32 s7, s7, s15",
        "vmul.f32 s0, s0, s4",
        "vmul.f32 s1, s1, s5",
        "vmul.f32 s2, s2, s6",
        "vmul.f32 s3, s3, s7",
        "vstm r5!, {{s0, s1, s2, s3}}",
        "strd r4, r5, [sp, #88]",
        "add r1, r7",
        "cmp r5, r6",
        "bne 2b",
        "add sp, #108",
        "pop {{r4-r11, pc}}",
    )
}

/// Exact sum of one portable row over one group, `x` in this set's order.
#[inline(always)]
pub(super) fn portable_group(weights: &[[u8; 4]], x: &[[i16; 4]]) -> i32 {
    let mut total = 0i32;
    for (weights, x) in weights.chunks(BLOCK / 8).zip(x.chunks(BLOCK / 4)) {
        let (eights, last) = x.as_chunks::<2>();
        let mut sum = 0;
        for (&w, [low, high]) in weights.iter().zip(eights) {
            sum = eight(u32::from_le_bytes(w), low, high, sum);
        }
        if let ([low], Some(&w)) = (last, weights.get(eights.len())) {
            sum = eight(u32::from_le_bytes(w), low, &[0; 4], sum);
        }
        total = total.wrapping_add(sum >> 12);
    }
    total
}

/// Adds 4,096 times eight products.
#[inline(always)]
fn eight(w: u32, &[x0, x2, x1, x3]: &[i16; 4], &[x4, x6, x5, x7]: &[i16; 4], sum: i32) -> i32 {
    let (even_low, odd_low) = (dsp::pair(&[x0, x2]), dsp::pair(&[x1, x3]));
    let (even_high, odd_high) = (dsp::pair(&[x4, x6]), dsp::pair(&[x5, x7]));
    let sum = dsp::smlad(TOP & w << 12, dsp::pack_low(even_low, even_high), sum);
    let sum = dsp::smlad(TOP & w << 8, dsp::pack_low(odd_low, odd_high), sum);
    let sum = dsp::smlad(TOP & w << 4, dsp::pack_high(even_low, even_high), sum);
    dsp::smlad(TOP & w, dsp::pack_high(odd_low, odd_high), sum)
}
