//! Time by SysTick and an LED, as the server sees them.

use attoformer_app::{Board, Counts};
use embedded_hal::digital::OutputPin;

use super::Clock;

/// The level of its pin that lights an LED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lit {
    /// Supply voltage: the LED is between pin and ground.
    High,
    /// Ground: the LED is between supply and pin.
    Low,
}

/// A board whose time is counted by SysTick.
pub struct SysTickBoard<L> {
    clock: Clock,
    led: L,
    lit: Lit,
    counts: Counts,
}

impl<L: OutputPin> SysTickBoard<L> {
    /// A board with this clock and LED.
    pub fn new(clock: Clock, led: L, lit: Lit) -> Self {
        Self { clock, led, lit, counts: Counts::Cycles }
    }

    /// The same board with another meaning of its ticks: in an emulator, SysTick counts time.
    #[must_use]
    pub fn counting(self, counts: Counts) -> Self {
        Self { counts, ..self }
    }
}

impl<L: OutputPin> Board for SysTickBoard<L> {
    fn millis(&mut self) -> u32 {
        self.clock.millis()
    }

    fn ticks(&mut self) -> u64 {
        self.clock.cycles()
    }

    fn ticks_per_second(&self) -> u32 {
        self.clock.hz()
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn led(&mut self, on: bool) {
        let high = on == (self.lit == Lit::High);
        // Without the LED, everything else still works.
        let _ = self.led.set_state(high.into());
    }

    fn idle(&mut self) {
        // A byte that arrives just before this is seen after the next interrupt of SysTick, a millisecond later at most.
        cortex_m::asm::wfi();
    }
}
