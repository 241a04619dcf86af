//! Panics and hardware faults: the LED blinks three times, then the board starts again.

use core::panic::PanicInfo;

use stm32f4xx_hal::pac;

/// The bit of the LED in the registers of port C.
const LED: u32 = 1 << 1;

/// Blinks and restarts.
pub fn restart() -> ! {
    // SAFETY: the program never continues, so nothing else uses the pins.
    let port = unsafe { &*pac::GPIOC::ptr() };
    attoformer_board::arm::restart(
        || {
            // SAFETY: every value of the output register is valid.
            port.odr().modify(|pins, w| unsafe { w.bits(pins.bits() ^ LED) });
        },
        16_000_000,
    )
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    restart()
}

#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    restart()
}
