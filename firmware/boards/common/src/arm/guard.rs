//! A guard below the stack, in region 0 of the memory protection unit: an overflow is a fault and not a changed static.

use cortex_m::peripheral::MPU;

use crate::memory::stack_end;

/// Bytes of the guard: the smallest region that every memory protection unit knows.
const GUARD: usize = 256;

/// Makes the lowest bytes of the stack inaccessible, or on Armv8-M read-only.
pub fn guard_stack(mpu: MPU) {
    let guard = stack_end().next_multiple_of(GUARD) as u32;
    // SAFETY: the region is unused: statics end before it, and a stack that reached it would have overflowed.
    unsafe {
        protect(&mpu, guard);
        // The default map elsewhere (PRIVDEFENA), no protection in the handler of the fault, and the unit is on.
        mpu.ctrl.write(1 << 2 | 1);
    }
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}

/// # Safety
/// The program does not use the region.
#[cfg(not(armv8m))]
unsafe fn protect(mpu: &MPU, start: u32) {
    // SAFETY: the caller promises that the region is unused.
    unsafe {
        // Valid region number 0 at this address.
        mpu.rbar.write(start | 1 << 4);
        // No execution, no access; 2^(7 + 1) bytes; enabled.
        mpu.rasr.write(1 << 28 | 7 << 1 | 1);
    }
}

/// # Safety
/// The program does not use the region.
#[cfg(armv8m)]
unsafe fn protect(mpu: &MPU, start: u32) {
    // SAFETY: the caller promises that the region is unused.
    unsafe {
        mpu.rnr.write(0);
        // Read-only, privileged; no execution.
        mpu.rbar.write(start | 2 << 1 | 1);
        // Address of the last 32 bytes; enabled.
        mpu.rlar.write((start + GUARD as u32 - 32) | 1);
    }
}
