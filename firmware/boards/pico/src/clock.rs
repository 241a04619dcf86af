//! Time: the 1 MHz timer, refined to CPU cycles by SysTick.

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use rp2040_hal::timer::Timer;

/// CPU cycles per microsecond.
const CYCLES_PER_MICRO: u64 = 125;
/// Values of the 24-bit SysTick counter.
const WRAP: u32 = 1 << 24;

/// Microseconds and CPU cycles since the start.
#[derive(Clone, Copy)]
pub struct Clock(Timer);

impl Clock {
    /// CPU cycles per second.
    pub const HZ: u32 = CYCLES_PER_MICRO as u32 * 1_000_000;

    /// Starts SysTick, whose interrupt ends a wait at least every 134 ms.
    pub fn start(timer: Timer, mut systick: SYST) -> Self {
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(WRAP - 1);
        systick.clear_current();
        systick.enable_interrupt();
        systick.enable_counter();
        Self(timer)
    }

    /// Microseconds since the start.
    pub fn micros(self) -> u64 {
        self.0.get_counter().ticks()
    }

    /// CPU cycles since the start, up to a constant: the timer's estimate, moved to the nearest value whose low 24 bits are SysTick's.
    ///
    /// Both count the same oscillator, so their difference is constant.
    pub fn cycles(self) -> u64 {
        let estimate = self.micros().wrapping_mul(CYCLES_PER_MICRO);
        // SysTick counts down.
        let low = WRAP.wrapping_sub(SYST::get_current());
        let ahead = low.wrapping_sub(estimate as u32) << 8;
        estimate.wrapping_add_signed(i64::from(ahead.cast_signed() >> 8)).wrapping_add(u64::from(WRAP))
    }
}

#[cortex_m_rt::exception]
fn SysTick() {}
