//! Panics and hardware faults: the LED blinks three times, then the board starts again.

use core::panic::PanicInfo;

use rp235x_hal::{arch, pac};

/// GPIO of the LED.
const LED: u32 = 1 << 25;

/// Blinks and restarts.
pub fn restart() -> ! {
    arch::interrupt_disable();
    // SAFETY: the program never continues, so nothing else uses the pins and the watchdog.
    let (sio, watchdog) = unsafe { (&*pac::SIO::ptr(), &*pac::WATCHDOG::ptr()) };
    for _ in 0..6 {
        // SAFETY: the register toggles the pins of its set bits; every value is valid.
        sio.gpio_out_xor().write(|w| unsafe { w.bits(LED) });
        arch::delay(15_000_000);
    }
    loop {
        watchdog.ctrl().write(|w| w.trigger().set_bit());
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    restart()
}
