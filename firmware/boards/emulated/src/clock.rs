//! Instructions since the start, which QEMU counts with `-icount shift=0`.

/// The clock: ticks of a counter as instructions.
pub struct Clock {
    instructions: u32,
    per: u32,
    source: source::Source,
}

impl Clock {
    /// Starts the counter, `per` ticks of which take `instructions`.
    pub fn start(instructions: u32, per: u32) -> Self {
        Self { instructions, per: per.max(1), source: source::Source::start() }
    }

    /// Instructions since the start, to the resolution of a tick.
    pub fn instructions(&self) -> u64 {
        self.source.now().wrapping_mul(u64::from(self.instructions)).checked_div(u64::from(self.per)).unwrap_or(0)
    }
}

#[cfg(target_arch = "arm")]
mod source {
    use core::sync::atomic::{AtomicU32, Ordering};
    use cortex_m::peripheral::{SCB, SYST, syst::SystClkSource};
    use cortex_m_rt::exception;

    /// Ticks between two interrupts: about 10 ms, after which a waiting program looks at the time.
    const PERIOD: u32 = 250_000;
    /// Interrupts so far; only their own handler writes it.
    static PERIODS: AtomicU32 = AtomicU32::new(0);

    #[exception]
    fn SysTick() {
        PERIODS.store(PERIODS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// SysTick on the processor's clock.
    pub struct Source(SYST);

    impl Source {
        /// Starts SysTick.
        pub fn start() -> Self {
            // SAFETY: `main` calls this once, and nothing else in the program uses SysTick.
            let mut systick = unsafe { cortex_m::Peripherals::steal() }.SYST;
            systick.set_clock_source(SystClkSource::Core);
            systick.set_reload(PERIOD - 1);
            systick.clear_current();
            systick.enable_interrupt();
            systick.enable_counter();
            Self(systick)
        }

        /// Ticks since the start.
        pub fn now(&self) -> u64 {
            loop {
                let periods = PERIODS.load(Ordering::Relaxed);
                let low = (PERIOD - 1).wrapping_sub(self.0.cvr.read());
                // Repeat after a wrap between the two reads, or one whose handler has not run yet.
                if !SCB::is_pendst_pending() && periods == PERIODS.load(Ordering::Relaxed) {
                    return u64::from(periods) * u64::from(PERIOD) + u64::from(low);
                }
            }
        }
    }
}

#[cfg(target_arch = "riscv32")]
mod source {
    /// The count of retired instructions.
    pub struct Source;

    impl Source {
        /// The counter always runs.
        pub fn start() -> Self {
            Self
        }

        /// Instructions since reset.
        pub fn now(&self) -> u64 {
            riscv::register::minstret::read64()
        }
    }
}
