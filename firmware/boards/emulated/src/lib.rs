//! The link's program for emulated boards: a UART, memory that acts as flash, and a clock that counts instructions.
//!
//! QEMU models no flash controller on these boards. Their flash is memory that the program writes by the rules of NOR flash: an erase sets a sector to
//! ones, a write can only clear bits.
#![no_std]

mod clock;
mod flash;
mod panic;
mod uart;

pub use uart::Uart;

use attoformer_app::{Board, Counts, Line, Parts, serve};
use attoformer_protocol::boards::{Board as About, Region};

use clock::Clock;
use flash::MemoryFlash;

/// Instructions per second of emulated time: `-icount shift=0` lets each take a nanosecond.
const INSTRUCTIONS_PER_SECOND: u32 = 1_000_000_000;

/// Serves the link of an emulated board.
///
/// `instructions` of emulated time pass in `per` ticks of its clock.
pub fn run(about: &'static About, uart: Uart, instructions: u32, per: u32) -> ! {
    // SAFETY: the board's linker script leaves both regions to this function, which is called once, by `main`: it never returns.
    let (flash, arena) = unsafe { (memory(about.flash_models()), memory(about.arena)) };
    let mut line = uart;
    line.start();
    let board = Emulated { clock: Clock::start(instructions, per), uart };
    let mut lines: [&mut dyn Line; 1] = [&mut line];
    serve(Parts { board, lines: &mut lines, flash: MemoryFlash::new(about, flash), arena, about, key: None })
}

/// The memory of a region.
///
/// # Safety
/// The region is RAM outside the program and its statics, and nothing else refers to it.
unsafe fn memory(region: Region) -> &'static mut [u8] {
    let start = core::ptr::with_exposed_provenance_mut(region.start as usize);
    // SAFETY: the caller promises memory that nothing else refers to.
    unsafe { core::slice::from_raw_parts_mut(start, region.bytes as usize) }
}

/// Time of an emulated board. It has no LED.
struct Emulated {
    clock: Clock,
    uart: Uart,
}

impl Board for Emulated {
    fn millis(&mut self) -> u32 {
        (self.clock.instructions() / u64::from(INSTRUCTIONS_PER_SECOND / 1_000)) as u32
    }

    fn ticks(&mut self) -> u64 {
        self.clock.instructions()
    }

    fn ticks_per_second(&self) -> u32 {
        INSTRUCTIONS_PER_SECOND
    }

    fn counts(&self) -> Counts {
        Counts::Instructions
    }

    fn led(&mut self, _: bool) {}

    fn idle(&mut self) {
        self.uart.wait();
    }
}
