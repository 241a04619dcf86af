//! Functions of one instruction, which `core::arch::arm` has on nightly only, and the alignment of their operands.

use core::arch::asm;

/// Whether an address is a multiple of four, as LDM and LDRD require.
#[inline(always)]
pub(super) fn is_word_aligned<T>(slice: &[T]) -> bool {
    slice.as_ptr().addr().is_multiple_of(4)
}

/// Whether all of these addresses and sizes are multiples of four.
#[inline(always)]
pub(super) fn are_words<const N: usize>(numbers: [usize; N]) -> bool {
    numbers.into_iter().fold(0, |bits, number| bits | number).is_multiple_of(4)
}

/// Two i16 as the word that they are in memory.
#[inline(always)]
pub(super) fn pair(&[low, high]: &[i16; 2]) -> u32 {
    low as u16 as u32 | (high as u16 as u32) << 16
}

/// A function of one instruction.
macro_rules! instruction {
    ($(#[$doc:meta])* $name:ident($($input:ident: $kind:ty),*) -> $output:ty, $template:literal) => {
        $(#[$doc])*
        #[inline(always)]
        pub(super) fn $name($($input: $kind),*) -> $output {
            let result;
            // SAFETY: the instruction reads and writes the named registers, no memory and no stack.
            unsafe { asm!(instructions!(), $template, $($input = in(reg) $input,)* result = lateout(reg) result, options(pure, nomem, nostack)) };
            result
        }
    };
}

instruction! {
    /// `c + a.low * b.low + a.high * b.high` over signed halfwords.
    smlad(a: u32, b: u32, c: i32) -> i32, "smlad {result}, {a}, {b}, {c}"
}
instruction! {
    /// Bytes 0 and 2, sign-extended to halfwords.
    sxtb16(a: u32) -> u32, "sxtb16 {result}, {a}"
}

/// Square root, correctly rounded. The bits pass through core registers, since stable Rust accepts no FPU register as an operand here.
#[inline(always)]
pub(super) fn sqrt(x: f32) -> f32 {
    let mut bits = x.to_bits();
    // SAFETY: three instructions that read and write the named registers, no memory and no stack.
    unsafe {
        asm!("vmov s0, {bits}", "vsqrt.f32 s0, s0", "vmov {bits}, s0", bits = inlateout(reg) bits, out("s0") _, options(pure, nomem, nostack));
    }
    f32::from_bits(bits)
}
