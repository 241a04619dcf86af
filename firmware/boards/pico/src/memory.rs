//! The memory map of `memory.x`: the arena, and a guard below the stack.

use cortex_m::peripheral::MPU;

unsafe extern "C" {
    static _arena_start: u8;
    static _arena_end: u8;
    static _stack_end: u8;
}

/// Bytes of the smallest region that the memory protection unit knows.
const GUARD: usize = 256;

/// Makes the lowest bytes of the stack inaccessible, so that an overflow is a fault and not a changed static.
pub fn guard_stack(mpu: MPU) {
    let guard = (&raw const _stack_end).addr().next_multiple_of(GUARD);
    // SAFETY: the region is unused: statics end before it, and a stack that reached it would have overflowed.
    unsafe {
        // Valid region number 0 at this address.
        mpu.rbar.write(guard as u32 | 1 << 4);
        // No execution, no access; 2^(7 + 1) bytes; enabled.
        mpu.rasr.write(1 << 28 | 7 << 1 | 1);
        // The default map elsewhere (PRIVDEFENA), and the unit is on.
        mpu.ctrl.write(1 << 2 | 1);
    }
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

/// RAM for the arena.
///
/// # Safety
/// It is called once.
pub unsafe fn arena() -> &'static mut [u8] {
    let start = (&raw const _arena_start).cast_mut();
    let bytes = (&raw const _arena_end).addr() - start.addr();
    // SAFETY: memory.x keeps this RAM outside every section, and the caller makes this the only reference. Every value of its bytes is valid; the
    // volatile writes give them one.
    unsafe {
        for at in 0..bytes {
            start.add(at).write_volatile(0);
        }
        core::slice::from_raw_parts_mut(start, bytes)
    }
}
