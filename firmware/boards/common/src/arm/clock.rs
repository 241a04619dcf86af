//! Time: CPU cycles, counted by SysTick.

use core::cell::Cell;

use cortex_m::peripheral::{SCB, SYST, syst::SystClkSource};
use critical_section::Mutex;

/// Periods of SysTick since the start, a millisecond each.
static MILLIS: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// Milliseconds and CPU cycles since the start.
///
/// While interrupts are off for longer than a millisecond, as during an erase of flash that stops the processor, the clock stands still.
#[derive(Clone, Copy)]
pub struct Clock {
    /// Cycles in a period.
    period: u32,
}

impl Clock {
    /// Starts SysTick at this frequency of the CPU in Hz, below 16 GHz.
    pub fn start(hz: u32, mut systick: SYST) -> Self {
        let period = (hz / 1000).clamp(2, 1 << 24);
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(period - 1);
        systick.clear_current();
        systick.enable_interrupt();
        systick.enable_counter();
        Self { period }
    }

    /// CPU cycles per second.
    pub fn hz(self) -> u32 {
        self.period * 1000
    }

    /// Milliseconds since the start; wraps.
    pub fn millis(self) -> u32 {
        critical_section::with(|section| MILLIS.borrow(section).get()) as u32
    }

    /// CPU cycles since the start.
    pub fn cycles(self) -> u64 {
        critical_section::with(|section| {
            let (mut periods, mut left) = (MILLIS.borrow(section).get(), SYST::get_current());
            if SCB::is_pendst_pending() {
                // A period has ended, but its interrupt has to wait for the end of this section.
                (periods, left) = (periods + 1, SYST::get_current());
            }
            // SysTick counts down.
            periods.wrapping_mul(u64::from(self.period)).wrapping_add(u64::from(self.period - 1).wrapping_sub(u64::from(left)))
        })
    }
}

#[cortex_m_rt::exception]
fn SysTick() {
    critical_section::with(|section| {
        let millis = MILLIS.borrow(section);
        millis.set(millis.get().wrapping_add(1));
    });
}
