//! The board: clocks, pins and peripherals.

use attoformer_app::{Board, Counts, Line};
use attoformer_board::arm::guard_stack;
use attoformer_board::pl011::{Pl011, Pl011Line};
use attoformer_board::usb::{self, SharedPort, UsbLine};
use cortex_m::peripheral::{NVIC, Peripherals as Core};
use embedded_hal::digital::OutputPin;
use rp2040_hal::{
    clocks::{Clock as _, init_clocks_and_plls},
    fugit::RateExtU32,
    gpio::{FunctionSioOutput, Pin, Pins, PullDown, bank0::Gpio25},
    pac::{self, interrupt},
    sio::Sio,
    timer::Timer,
    uart::{DataBits, StopBits, UartConfig, UartPeripheral},
    usb::UsbBus,
    watchdog::Watchdog,
};
use usb_device::bus::UsbBusAllocator;

use crate::clock::Clock;

/// Frequency of the crystal in Hz.
const CRYSTAL: u32 = 12_000_000;
/// Speed of the UART in bits per second.
const BAUD: u32 = 115_200;
/// Vendor and product that hosts look for.
const IDS: (u16, u16) = (0x2e8a, 0x000a);

// SAFETY: this is the address of UART0, whose data register nothing else uses after `start`.
static UART: Pl011 = unsafe { Pl011::new(0x4003_4000) };
static USB: SharedPort<UsbBus> = SharedPort::new();

/// Time and the LED.
pub struct Pico {
    clock: Clock,
    led: Pin<Gpio25, FunctionSioOutput, PullDown>,
}

/// Sets up the clocks at 125 MHz, both lines and the LED; `None` if a clock does not start or it is called again.
pub fn start() -> Option<(Pico, Pl011Line, impl Line)> {
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
    USB.start(cortex_m::singleton!(: UsbBusAllocator<UsbBus> = UsbBusAllocator::new(bus))?, "Attoformer on Raspberry Pi Pico", IDS);
    // SAFETY: the handlers share nothing with the program but queues and what is in a mutex.
    unsafe { NVIC::unmask(pac::Interrupt::UART0_IRQ) };
    resume_usb();
    let usb = UsbLine::new(move || (clock.micros() / 1000) as u32, resume_usb);
    Some((Pico { clock, led }, Pl011Line(&UART), usb))
}

#[interrupt]
fn UART0_IRQ() {
    UART.interrupt();
}

#[interrupt]
fn USBCTRL_IRQ() {
    if !USB.interrupt() {
        NVIC::mask(pac::Interrupt::USBCTRL_IRQ);
    }
}

/// Has the interrupt handler look at USB now, and serve it from now on.
pub fn resume_usb() {
    // SAFETY: the handler shares nothing with the program but queues and what is in a mutex.
    unsafe { NVIC::unmask(pac::Interrupt::USBCTRL_IRQ) };
    NVIC::pend(pac::Interrupt::USBCTRL_IRQ);
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
            if !UART.has_input() && !usb::has_input() {
                cortex_m::asm::wfi();
            }
        });
    }
}
