//! The end of a panic or a hardware fault.

use cortex_m::peripheral::SCB;

/// Blinks three times and starts the board again. `toggle` switches the LED over; `cycles` is the time between two switches.
pub fn restart(mut toggle: impl FnMut(), cycles: u32) -> ! {
    cortex_m::interrupt::disable();
    for _ in 0..6 {
        toggle();
        cortex_m::asm::delay(cycles);
    }
    SCB::sys_reset()
}
