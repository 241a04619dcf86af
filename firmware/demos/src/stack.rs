//! The stack size that a run needed.

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    // From the runtime crate's linker script: the highest and the lowest address of the stack.
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Bytes of stack in use at the deepest point so far.
pub fn high_water() -> u32 {
    let (top, mut word) = (&raw const _stack_start, &raw const _stack_end);
    // SAFETY: all words from `_stack_end` to `_stack_start` are readable RAM. The reads are volatile because live frames change below the compiler's view.
    while word < top && unsafe { word.read_volatile() } == STACK_PAINT_VALUE {
        word = word.wrapping_add(1);
    }
    (top.addr() - word.addr()) as u32
}
