//! Panics and hardware faults: the LED blinks three times, then the board starts again.

use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
use rp2040_hal::pac;

/// GPIO of the LED.
const LED: u32 = 1 << 25;

/// Blinks and restarts.
pub fn restart() -> ! {
    cortex_m::interrupt::disable();
    // SAFETY: the program never continues, so nothing else uses the pins.
    let sio = unsafe { &*pac::SIO::ptr() };
    for _ in 0..6 {
        // SAFETY: the register toggles the pins of its set bits; every value is valid.
        sio.gpio_out_xor().write(|w| unsafe { w.bits(LED) });
        cortex_m::asm::delay(12_500_000);
    }
    SCB::sys_reset()
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    restart()
}

#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    restart()
}
