//! The board: clocks, pins and peripherals.

use attoformer_board::arm::{Clock, Lit, SysTickBoard, guard_stack};
use cortex_m::peripheral::Peripherals as Core;
use stm32f4xx_hal::{
    gpio::{GpioExt, Output, PC1},
    pac,
    serial::{RxListen, SerialExt},
    time::U32Ext,
};

use crate::{flash::Controller, speed, uart::Uart};

/// Speed of the UARTs in bits per second.
const BAUD: u32 = 115_200;

/// The board's parts.
pub type Parts = (SysTickBoard<PC1<Output>>, [Uart; 2], Controller);

/// Sets up clocks, both UARTs and the LED; `None` if it is called again.
pub fn start() -> Option<Parts> {
    let (core, chip) = (Core::take()?, pac::Peripherals::take()?);
    guard_stack(core.MPU);
    let speed::Speed { mut rcc, hz, counts } = speed::start(chip.RCC);

    let (a, b, c) = (chip.GPIOA.split(&mut rcc), chip.GPIOB.split(&mut rcc), chip.GPIOC.split(&mut rcc));
    let led = c.pc1.into_push_pull_output();
    let (_, mut first) = chip.USART1.serial::<u8>((a.pa9, a.pa10), BAUD.bps(), &mut rcc).ok()?.split();
    let (_, mut third) = chip.USART3.serial::<u8>((b.pb10, b.pb11), BAUD.bps(), &mut rcc).ok()?.split();
    first.listen();
    third.listen();

    let board = SysTickBoard::new(Clock::start(hz, core.SYST), led, Lit::High).counting(counts);
    Some((board, [Uart::first(), Uart::third()], Controller::new(chip.FLASH)))
}
