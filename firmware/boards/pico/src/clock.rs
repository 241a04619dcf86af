//! Time: the 1 MHz timer, refined to CPU cycles by SysTick.

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use rp2040_hal::timer::Timer;

use crate::pico;

/// CPU cycles per microsecond.
const CYCLES_PER_MICRO: u64 = 125;
/// Cycles between two interrupts of SysTick, which end a wait: 10 ms.
const PERIOD: u32 = 1_250_000;

/// Microseconds and CPU cycles since the start.
#[derive(Clone, Copy)]
pub struct Clock(Timer);

impl Clock {
    /// CPU cycles per second.
    pub const HZ: u32 = CYCLES_PER_MICRO as u32 * 1_000_000;

    /// Starts SysTick.
    pub fn start(timer: Timer, mut systick: SYST) -> Self {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(PERIOD - 1);
        systick.clear_current();
        systick.enable_interrupt();
        systick.enable_counter();
        Self(timer)
    }

    /// Microseconds since the start.
    pub fn micros(self) -> u64 {
        self.0.get_counter().ticks()
    }

    /// CPU cycles since the start, up to a constant: the timer's estimate, moved to the nearest count that agrees with SysTick.
    ///
    /// Both count the same crystal, so they never drift apart.
    pub fn cycles(self) -> u64 {
        let estimate = self.micros().wrapping_mul(CYCLES_PER_MICRO).wrapping_add(u64::from(PERIOD));
        let phase = (estimate % u64::from(PERIOD)) as u32;
        // SysTick counts down.
        let counted = (PERIOD - 1).wrapping_sub(SYST::get_current());
        let ahead = counted.wrapping_add(PERIOD).wrapping_sub(phase) % PERIOD;
        let nearest = if ahead < PERIOD / 2 { i64::from(ahead) } else { i64::from(ahead) - i64::from(PERIOD) };
        estimate.wrapping_add_signed(nearest)
    }
}

#[cortex_m_rt::exception]
fn SysTick() {
    pico::resume_usb();
}
