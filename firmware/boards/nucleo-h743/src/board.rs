//! The board: clocks, pins and peripherals.

use attoformer_board::arm::{Clock, Lit, SysTickBoard, guard_stack};
use attoformer_board::line::IoLine;
use cortex_m::peripheral::Peripherals as Core;
use embassy_stm32::{
    Config, bind_interrupts,
    flash::Flash,
    gpio::{Level, Output, Speed},
    peripherals::USART3,
    rcc::{AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllDiv, PllMul, PllPreDiv, PllSource, Sysclk, VoltageScale},
    time::Hertz,
    usart::{self, BufferedInterruptHandler, BufferedUart},
};

use crate::flash::Controller;

bind_interrupts!(struct Interrupts {
    USART3 => BufferedInterruptHandler<USART3>;
});

/// Frequency of the CPU in Hz.
const HZ: u32 = 480_000_000;
/// Speed of the UART in bits per second.
const BAUD: u32 = 115_200;

/// 480 MHz from the 8 MHz that the debugger supplies: 8 / 4 * 480 / 2. Buses at half and a quarter.
fn clocks() -> Config {
    let mut config = Config::default();
    let rcc = &mut config.rcc;
    rcc.hse = Some(Hse { freq: Hertz(8_000_000), mode: HseMode::Bypass });
    rcc.pll1 = Some(Pll {
        source: PllSource::HSE,
        prediv: PllPreDiv::DIV4,
        mul: PllMul::MUL480,
        fracn: None,
        divp: Some(PllDiv::DIV2),
        divq: None,
        divr: None,
    });
    rcc.sys = Sysclk::PLL1_P;
    rcc.voltage_scale = VoltageScale::Scale0;
    rcc.ahb_pre = AHBPrescaler::DIV2;
    rcc.apb1_pre = APBPrescaler::DIV2;
    rcc.apb2_pre = APBPrescaler::DIV2;
    rcc.apb3_pre = APBPrescaler::DIV2;
    rcc.apb4_pre = APBPrescaler::DIV2;
    config
}

/// The board's parts.
pub type Parts = (SysTickBoard<Output<'static>>, IoLine<BufferedUart<'static>>, Controller);

/// Sets up clocks, caches, the UART and the LED; `None` if it is called again.
pub fn start() -> Option<Parts> {
    let mut core = Core::take()?;
    guard_stack(core.MPU);
    core.SCB.enable_icache();
    core.SCB.enable_dcache(&mut core.CPUID);
    let chip = embassy_stm32::init(clocks());
    let led = Output::new(chip.PB0, Level::Low, Speed::Low);
    let mut settings = usart::Config::default();
    settings.baudrate = BAUD;
    // Some output, and room for a window of frames of the link.
    let to_send = cortex_m::singleton!(: [u8; 512] = [0; 512])?;
    let received = cortex_m::singleton!(: [u8; 2048] = [0; 2048])?;
    let uart = BufferedUart::new(chip.USART3, chip.PD9, chip.PD8, to_send, received, Interrupts, settings).ok()?;
    let board = SysTickBoard::new(Clock::start(HZ, core.SYST), led, Lit::High);
    Some((board, IoLine(uart), Controller { flash: Flash::new_blocking(chip.FLASH), cache: core.SCB }))
}
