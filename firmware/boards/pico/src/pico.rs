//! The board: clocks, pins and peripherals.

use attoformer_app::{Board, Counts};
use attoformer_board::arm::guard_stack;
use cortex_m::peripheral::Peripherals as Core;
use embedded_hal::digital::OutputPin;
use rp2040_hal::{
    clocks::{Clock as _, init_clocks_and_plls},
    fugit::RateExtU32,
    gpio::{FunctionSioOutput, Pin, Pins, PullDown, bank0::Gpio25},
    pac,
    sio::Sio,
    timer::Timer,
    uart::{DataBits, StopBits, UartConfig, UartPeripheral},
    usb::UsbBus,
    watchdog::Watchdog,
};

use crate::{clock::Clock, uart::Uart, usb::Usb};

/// Frequency of the crystal in Hz.
const CRYSTAL: u32 = 12_000_000;
/// Speed of the UART in bits per second.
const BAUD: u32 = 115_200;

/// Time and the LED.
pub struct Pico {
    clock: Clock,
    led: Pin<Gpio25, FunctionSioOutput, PullDown>,
}

/// Sets up the clocks at 125 MHz, both lines and the LED; `None` if a clock does not start or it is called again.
pub fn start() -> Option<(Pico, Uart, Usb)> {
    let (core, chip) = (Core::take()?, pac::Peripherals::take()?);
    guard_stack(core.MPU);
    let mut resets = chip.RESETS;
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let clocks = init_clocks_and_plls(CRYSTAL, chip.XOSC, chip.CLOCKS, chip.PLL_SYS, chip.PLL_USB, &mut resets, &mut watchdog).ok()?;
    let clock = Clock::start(Timer::new(chip.TIMER, &mut resets, &clocks), core.SYST);

    let pins = Pins::new(chip.IO_BANK0, chip.PADS_BANK0, Sio::new(chip.SIO).gpio_bank0, &mut resets);
    let led = pins.gpio25.into_push_pull_output();

    let wires = (pins.gpio0.into_function(), pins.gpio1.into_function());
    let settings = UartConfig::new(BAUD.Hz(), DataBits::Eight, None, StopBits::One);
    let mut uart = UartPeripheral::new(chip.UART0, wires, &mut resets).enable(settings, clocks.peripheral_clock.freq()).ok()?;
    uart.enable_rx_interrupt();
    uart.enable_tx_interrupt();

    let bus = UsbBus::new(chip.USBCTRL_REGS, chip.USBCTRL_DPRAM, clocks.usb_clock, true, &mut resets);
    Some((Pico { clock, led }, Uart::start(), Usb::start(bus, clock)))
}

impl Board for Pico {
    fn millis(&mut self) -> u32 {
        (self.clock.micros() / 1000) as u32
    }

    fn ticks(&mut self) -> u64 {
        self.clock.cycles()
    }

    fn ticks_per_second(&self) -> u32 {
        Clock::HZ
    }

    fn counts(&self) -> Counts {
        Counts::Cycles
    }

    fn led(&mut self, on: bool) {
        // An output pin cannot fail: its error type has no value.
        let Ok(()) = self.led.set_state(on.into());
    }

    fn idle(&mut self) {
        // With interrupts off, one that arrives after the check still ends the wait, and is served after it.
        cortex_m::interrupt::free(|_| {
            if !Uart::has_input() && !Usb::has_input() {
                cortex_m::asm::wfi();
            }
        });
    }
}
