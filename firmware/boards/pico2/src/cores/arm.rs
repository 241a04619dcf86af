//! The Cortex-M33 cores.

use attoformer_board::arm::{Clock, Lit, SysTickBoard, guard_stack};
use attoformer_protocol::boards::{self, PICO2};
use cortex_m::peripheral::Peripherals;
use embedded_hal::digital::OutputPin;
use rp235x_hal::block;

use crate::pico2::Timer;

/// The board's row of the table.
pub const BOARD: boards::Board = PICO2;

/// An image definition.
pub type ImageDef = block::ImageDef;
/// A program for the Arm cores, which starts with the vector table.
pub const IMAGE_DEF: ImageDef = block::ImageDef::secure_exe();

/// Time and LED of the board.
pub type Board<L> = SysTickBoard<L>;

/// Sets a limit for the stack and starts the clock of measurements; `None` if it is called again.
pub fn start<L: OutputPin>(hz: u32, led: L, _: Timer) -> Option<Board<L>> {
    let own = Peripherals::take()?;
    guard_stack(own.MPU);
    Some(SysTickBoard::new(Clock::start(hz, own.SYST), led, Lit::High))
}

#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    crate::fault::restart()
}
