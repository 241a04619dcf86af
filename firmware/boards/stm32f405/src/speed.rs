//! The speed of the clocks: 168 MHz from the crystal, or 16 MHz without one.

use attoformer_app::Counts;
use stm32f4xx_hal::{
    pac,
    rcc::{Config, Rcc, RccExt},
    time::Hertz,
};

/// Frequency of the crystal of a Feather STM32F405.
const CRYSTAL_MHZ: u32 = 12;
/// Frequency of the CPU.
const FULL_MHZ: u32 = 168;
/// Checks of the crystal before the program goes on without it: more than 50 ms at 16 MHz. A crystal needs about 2 ms.
const PATIENCE: u32 = 100_000;

/// The clocks, frozen.
pub struct Speed {
    pub rcc: Rcc,
    /// Frequency of SysTick in Hz.
    pub hz: u32,
    pub counts: Counts,
}

/// Starts the clocks.
pub fn start(rcc: pac::RCC) -> Speed {
    if rcc.cr().read().hsirdy().bit_is_clear() {
        // The processor runs, so its oscillator does: this is an emulator without a clock controller. There, SysTick always counts at full speed.
        return Speed { rcc: rcc.freeze(Config::hsi()), hz: FULL_MHZ * 1_000_000, counts: Counts::Time };
    }
    rcc.cr().modify(|_, w| w.hseon().set_bit());
    let has_crystal = (0..PATIENCE).any(|_| rcc.cr().read().hserdy().bit_is_set());
    let config = if has_crystal { Config::hse(Hertz::MHz(CRYSTAL_MHZ)).sysclk(Hertz::MHz(FULL_MHZ)) } else { Config::hsi() };
    let rcc = rcc.freeze(config);
    let hz = rcc.clocks.hclk().raw();
    Speed { rcc, hz, counts: Counts::Cycles }
}
