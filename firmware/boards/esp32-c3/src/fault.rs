//! Panics and hardware faults, which esp-hal turns into panics: the LED blinks three times, then the board starts again.

use core::panic::PanicInfo;

use esp_hal::{peripherals::GPIO, rom::ets_delay_us, system::software_reset};

/// Pin of the LED.
const LED: u32 = 1 << 8;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    let pins = GPIO::regs();
    for on in [true, false].into_iter().cycle().take(6) {
        // SAFETY: the registers set and clear the pins of their set bits; every value is valid.
        unsafe {
            if on {
                pins.out_w1ts().write(|w| w.bits(LED));
            } else {
                pins.out_w1tc().write(|w| w.bits(LED));
            }
        }
        ets_delay_us(100_000);
    }
    software_reset()
}
