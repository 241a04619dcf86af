//! Instruction count of a region of code.
//!
//! The emulator runs with `-icount shift=0`: one instruction takes one nanosecond of virtual time. On Cortex-M the count is read through SysTick, which
//! ticks once in some tens of instructions; RISC-V has `minstret`. On real silicon the same code measures time instead.

use core::arch::asm;

/// Instructions in one tick of the counter, as a fraction.
#[derive(Clone, Copy)]
pub struct Ticks {
    /// Instructions in [`Self::per`] ticks.
    pub instructions: u32,
    /// Ticks of these instructions.
    pub per: u32,
}

/// The running counter.
pub struct Counter {
    ticks: Ticks,
    source: source::Source,
}

impl Counter {
    /// Starts counting.
    pub fn start(ticks: Ticks) -> Self {
        Self { ticks, source: source::Source::start() }
    }

    /// Runs `work` and returns its result and its instruction count, to the resolution of a tick.
    pub fn count<R>(&mut self, work: impl FnOnce() -> R) -> (R, u64) {
        let before = self.source.now();
        let result = work();
        let ticks = self.source.now().wrapping_sub(before);
        (result, ticks * u64::from(self.ticks.instructions) / u64::from(self.ticks.per))
    }

    /// Counts a loop of a known number of instructions, and an empty region: (loop, empty).
    pub fn calibrate(&mut self, instructions: u32) -> (u64, u64) {
        let ((), overhead) = self.count(|| ());
        let ((), counted) = self.count(|| spin(instructions));
        (counted, overhead)
    }
}

/// Executes `instructions` instructions: a loop of two.
fn spin(instructions: u32) {
    let mut rounds = (instructions / 2).max(1);
    // SAFETY: the loop changes one register and the flags, both declared, and touches no memory.
    unsafe {
        #[cfg(target_arch = "arm")]
        asm!("2:", "subs {0}, #1", "bne 2b", inout(reg) rounds, options(nomem, nostack));
        #[cfg(target_arch = "riscv32")]
        asm!("2:", "addi {0}, {0}, -1", "bnez {0}, 2b", inout(reg) rounds, options(nomem, nostack));
    }
    let _ = rounds;
}

#[cfg(target_arch = "arm")]
mod source {
    use core::sync::atomic::{AtomicU32, Ordering};
    use cortex_m::peripheral::{SCB, SYST, syst::SystClkSource};
    use cortex_m_rt::exception;

    /// SysTick counts 24 bits downwards.
    const RELOAD: u32 = 0x00ff_ffff;
    /// Wraps of SysTick; only its own handler writes it.
    static WRAPS: AtomicU32 = AtomicU32::new(0);

    #[exception]
    fn SysTick() {
        WRAPS.store(WRAPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// SysTick on the processor's clock, its wraps counted by the interrupt.
    pub struct Source(SYST);

    impl Source {
        /// Starts SysTick.
        pub fn start() -> Self {
            let Some(core) = cortex_m::Peripherals::take() else { panic!("the counter was started twice") };
            let mut systick = core.SYST;
            systick.set_clock_source(SystClkSource::Core);
            systick.set_reload(RELOAD);
            systick.clear_current();
            systick.enable_interrupt();
            systick.enable_counter();
            Self(systick)
        }

        /// Ticks since the start.
        pub fn now(&self) -> u64 {
            loop {
                let wraps = WRAPS.load(Ordering::Relaxed);
                let low = RELOAD - self.0.cvr.read();
                // Repeat after a wrap between the two reads, or one whose handler has not run yet.
                if !SCB::is_pendst_pending() && wraps == WRAPS.load(Ordering::Relaxed) {
                    return u64::from(wraps) * (u64::from(RELOAD) + 1) + u64::from(low);
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
