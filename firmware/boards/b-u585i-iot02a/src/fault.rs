//! Panics and hardware faults: the LED blinks three times, then the board starts again.

use core::panic::PanicInfo;

use embassy_stm32::pac;

/// Number of the LED's pin in port H.
const LED: usize = 7;

/// Blinks and restarts.
pub fn restart() -> ! {
    let toggle = || pac::GPIOH.odr().modify(|pins| pins.0 ^= 1 << LED);
    attoformer_board::arm::restart(toggle, 16_000_000)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    restart()
}

#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    restart()
}

/// A word of flash whose error correction failed: a power cut while the flash programs can leave one. Its bytes are wrong, which checksums find.
#[cortex_m_rt::exception]
unsafe fn NonMaskableInt() {
    pac::FLASH.eccr().modify(|status| status.set_eccd(true));
}
