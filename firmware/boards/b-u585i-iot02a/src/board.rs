//! The board: clocks, pins and peripherals.

use attoformer_board::arm::{Clock, Lit, SysTickBoard, guard_stack};
use attoformer_board::line::IoLine;
use cortex_m::peripheral::Peripherals as Core;
use embassy_stm32::{
    Config, bind_interrupts,
    flash::Flash,
    gpio::{Level, Output, Speed},
    peripherals::USART1,
    rcc::{Pll, PllDiv, PllMul, PllPreDiv, PllSource, Sysclk, VoltageScale},
    usart::{self, BufferedInterruptHandler, BufferedUart},
};

use crate::flash::{Controller, start_cache};

bind_interrupts!(struct Interrupts {
    USART1 => BufferedInterruptHandler<USART1>;
});

/// Frequency of the CPU in Hz.
const HZ: u32 = 160_000_000;
/// Speed of the UART in bits per second.
const BAUD: u32 = 115_200;

/// 160 MHz from the internal oscillator of 16 MHz, which is within 1 %.
fn clocks() -> Config {
    let mut config = Config::default();
    let rcc = &mut config.rcc;
    rcc.hsi = true;
    rcc.pll1 =
        Some(Pll { source: PllSource::HSI, prediv: PllPreDiv::DIV1, mul: PllMul::MUL10, divp: None, divq: None, divr: Some(PllDiv::DIV1) });
    rcc.sys = Sysclk::PLL1_R;
    rcc.voltage_range = VoltageScale::RANGE1;
    config
}

/// The board's parts.
pub type Parts = (SysTickBoard<Output<'static>>, IoLine<BufferedUart<'static>>, Controller);

/// Sets up clocks, cache, the UART and the LED; `None` if it is called again.
pub fn start() -> Option<Parts> {
    let core = Core::take()?;
    guard_stack(core.MPU);
    let chip = embassy_stm32::init(clocks());
    start_cache();
    // The green LED is between supply and pin.
    let led = Output::new(chip.PH7, Level::High, Speed::Low);
    let mut settings = usart::Config::default();
    settings.baudrate = BAUD;
    // Some output, and room for a window of frames of the link.
    let to_send = cortex_m::singleton!(: [u8; 512] = [0; 512])?;
    let received = cortex_m::singleton!(: [u8; 2048] = [0; 2048])?;
    let uart = BufferedUart::new(chip.USART1, chip.PA10, chip.PA9, to_send, received, Interrupts, settings).ok()?;
    let board = SysTickBoard::new(Clock::start(HZ, core.SYST), led, Lit::Low);
    Some((board, IoLine(uart), Controller(Flash::new_blocking(chip.FLASH))))
}
