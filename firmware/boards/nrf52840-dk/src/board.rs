//! The board: clocks, pins and peripherals.

use attoformer_board::arm::{Clock, Lit, SysTickBoard, guard_stack};
use cortex_m::peripheral::Peripherals as Core;
use embassy_nrf::{
    config::{Config, HfclkSource},
    gpio::{Level, Output, OutputDrive},
    nvmc::Nvmc,
};

use crate::{flash::Controller, uart::Uart};

/// Frequency of the CPU in Hz.
const HZ: u32 = 64_000_000;

/// Sets up the clocks at 64 MHz, the UART and the LED; `None` if it is called again.
pub fn start() -> Option<(SysTickBoard<Output<'static>>, Uart, Controller)> {
    let core = Core::take()?;
    guard_stack(core.MPU);
    let mut config = Config::default();
    // The crystal: the internal oscillator is too inexact for a UART.
    config.hfclk_source = HfclkSource::ExternalXtal;
    let chip = embassy_nrf::init(config);
    // LED 1 is between supply and pin.
    let led = Output::new(chip.P0_13, Level::High, OutputDrive::Standard);
    let uart = Uart::start(chip.UARTE0, chip.TIMER0, (chip.PPI_CH0, chip.PPI_CH1, chip.PPI_GROUP0), (chip.P0_08, chip.P0_06))?;
    let board = SysTickBoard::new(Clock::start(HZ, core.SYST), led, Lit::Low);
    Some((board, uart, Controller(Nvmc::new(chip.NVMC))))
}
