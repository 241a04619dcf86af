//! The board: clocks, pins and peripherals.

use attoformer_app::Line;
use attoformer_board::{
    pl011::{Pl011, Pl011Line},
    usb::{SharedPort, UsbLine},
};
use embedded_hal::digital::OutputPin;
use rp235x_hal::{
    arch,
    clocks::{Clock, init_clocks_and_plls},
    fugit::RateExtU32,
    gpio::Pins,
    pac::{self, Interrupt},
    sio::Sio,
    timer::CopyableTimer0,
    uart::{DataBits, StopBits, UartConfig, UartPeripheral},
    usb::UsbBus,
    watchdog::Watchdog,
};
use static_cell::StaticCell;
use usb_device::bus::UsbBusAllocator;

use crate::cores;

/// Frequency of the crystal in Hz.
const CRYSTAL: u32 = 12_000_000;
/// Speed of the UART in bits per second.
const BAUD: u32 = 115_200;
/// Vendor and product that hosts look for.
const IDS: (u16, u16) = (0x2e8a, 0x0009);

// SAFETY: this is the address of UART0, whose data register nothing else uses after `start`.
pub static UART: Pl011 = unsafe { Pl011::new(0x4007_0000) };
pub static USB: SharedPort<UsbBus> = SharedPort::new();
static BUS: StaticCell<UsbBusAllocator<UsbBus>> = StaticCell::new();

/// The timer of microseconds.
pub type Timer = rp235x_hal::Timer<CopyableTimer0>;

/// Sets up the clocks at 150 MHz, both lines and the LED; `None` if a clock does not start or it is called again.
pub fn start() -> Option<(cores::Board<impl OutputPin>, Pl011Line, impl Line)> {
    let chip = pac::Peripherals::take()?;
    let mut resets = chip.RESETS;
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let clocks = init_clocks_and_plls(CRYSTAL, chip.XOSC, chip.CLOCKS, chip.PLL_SYS, chip.PLL_USB, &mut resets, &mut watchdog).ok()?;
    let timer = Timer::new_timer0(chip.TIMER0, &mut resets, &clocks);

    let pins = Pins::new(chip.IO_BANK0, chip.PADS_BANK0, Sio::new(chip.SIO).gpio_bank0, &mut resets);
    let wires = (pins.gpio0.into_function(), pins.gpio1.into_function());
    let settings = UartConfig::new(BAUD.Hz(), DataBits::Eight, None, StopBits::One);
    let mut uart = UartPeripheral::new(chip.UART0, wires, &mut resets).enable(settings, clocks.peripheral_clock.freq()).ok()?;
    uart.enable_rx_interrupt();
    uart.enable_tx_interrupt();

    let system_hz = clocks.system_clock.freq().to_Hz();
    let bus = UsbBusAllocator::new(UsbBus::new(chip.USB, chip.USB_DPRAM, clocks.usb_clock, true, &mut resets));
    USB.start(BUS.try_init(bus)?, "Attoformer on Raspberry Pi Pico 2", IDS);
    let board = cores::start(system_hz, pins.gpio25.into_push_pull_output(), timer)?;
    // SAFETY: the handlers share nothing with the program but queues and what is in a mutex.
    unsafe { arch::interrupt_unmask(Interrupt::UART0_IRQ) };
    resume_usb();
    let millis = move || (timer.get_counter().ticks() / 1000) as u32;
    Some((board, Pl011Line(&UART), UsbLine::new(millis, resume_usb)))
}

/// Has the interrupt handler look at USB now, and serve it from now on.
fn resume_usb() {
    // SAFETY: the handler shares nothing with the program but queues and what is in a mutex.
    unsafe { arch::interrupt_unmask(Interrupt::USBCTRL_IRQ) };
    arch::interrupt_pend(Interrupt::USBCTRL_IRQ);
}

/// The interrupt of UART0. The vector table of the Arm cores, and the HAL's handler of the RISC-V cores, call it by its name.
#[unsafe(no_mangle)]
extern "C" fn UART0_IRQ() {
    UART.interrupt();
}

/// The interrupt of the USB controller.
#[unsafe(no_mangle)]
extern "C" fn USBCTRL_IRQ() {
    if !USB.interrupt() {
        arch::interrupt_mask(Interrupt::USBCTRL_IRQ);
    }
}
