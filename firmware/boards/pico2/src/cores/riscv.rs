//! The Hazard3 cores.

use attoformer_app::Counts;
use attoformer_protocol::boards::{self, PICO2_RISCV};
use embedded_hal::digital::OutputPin;
use riscv::register::{mcycle, mcycleh};
use rp235x_hal::block;

use crate::pico2::Timer;

/// The board's row of the table.
pub const BOARD: boards::Board = PICO2_RISCV;

/// An image definition with an entry point.
pub type ImageDef = block::Block<4>;
/// A program for the RISC-V cores. Without an entry point, the boot ROM would start at the first byte, which is this definition.
pub const IMAGE_DEF: ImageDef = {
    let kind = block::item_image_type_exe(block::Security::Secure, block::Architecture::Riscv);
    block::Block::new([kind, ENTRY_POINT, START, STACK])
};
/// Kind of the item and its size in words: 1, the address to start at, the stack pointer (RP2350 datasheet, 5.9.3.4).
const ENTRY_POINT: u32 = 0x0000_0344;
/// Start of FLASH in memory.x.
const START: u32 = 0x1000_0040;
/// End of the RAM of memory.x. The start code sets the stack pointer again.
const STACK: u32 = 0x2008_2000;

/// Time and LED of the board.
pub struct Board<L> {
    hz: u32,
    led: L,
    timer: Timer,
}

/// Starts the clock of measurements.
pub fn start<L: OutputPin>(hz: u32, led: L, timer: Timer) -> Option<Board<L>> {
    // The counter of cycles is inhibited after a reset.
    // SAFETY: the register exists on every core with this counter; bit 0 is that of cycles.
    unsafe { core::arch::asm!("csrci mcountinhibit, 1") };
    // SAFETY: the handlers share nothing with the program but queues and what is in a mutex.
    unsafe {
        riscv::register::mie::set_mext();
        riscv::interrupt::enable();
    }
    Some(Board { hz, led, timer })
}

impl<L: OutputPin> attoformer_app::Board for Board<L> {
    fn millis(&mut self) -> u32 {
        (self.timer.get_counter().ticks() / 1000) as u32
    }

    fn ticks(&mut self) -> u64 {
        loop {
            let (high, low) = (mcycleh::read(), mcycle::read());
            if mcycleh::read() == high {
                return (high as u64) << 32 | low as u64;
            }
        }
    }

    fn ticks_per_second(&self) -> u32 {
        self.hz
    }

    fn counts(&self) -> Counts {
        Counts::Cycles
    }

    fn led(&mut self, on: bool) {
        // Without the LED, everything else still works.
        let _ = self.led.set_state(on.into());
    }
}

/// A hardware fault.
#[unsafe(no_mangle)]
extern "C" fn ExceptionHandler(_: &riscv_rt::TrapFrame) -> ! {
    crate::fault::restart()
}
