//! Panics and hardware faults: the LED blinks three times, then the board starts again.

use core::panic::PanicInfo;

use embassy_nrf::pac;

/// Number of the LED's pin in port 0.
const LED: u32 = 13;

/// Blinks and restarts.
pub fn restart() -> ! {
    let toggle = || {
        let output = pac::P0.out();
        output.modify(|pins| pins.0 ^= 1 << LED);
    };
    attoformer_board::arm::restart(toggle, 6_400_000)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    restart()
}

#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    restart()
}
