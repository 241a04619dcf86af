//! A guard below the stack, for Armv6-M and Armv7-M. Armv8-M has a register for it, `msplim`, which takes [`crate::memory::stack_end`].

use cortex_m::peripheral::MPU;

use crate::memory::stack_end;

/// Bytes of the smallest region that every such memory protection unit knows.
const GUARD: usize = 256;

/// Makes the lowest bytes of the stack inaccessible, so that an overflow is a fault and not a changed static.
pub fn guard_stack(mpu: MPU) {
    let guard = stack_end().next_multiple_of(GUARD);
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
