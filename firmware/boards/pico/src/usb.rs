//! A USB serial port (CDC ACM) with a queue in each direction, served in its interrupt.

use core::cell::RefCell;

use attoformer_app::Line;
use attoformer_board::ring::Ring;
use cortex_m::peripheral::NVIC;
use critical_section::Mutex;
use rp2040_hal::{
    pac::{self, interrupt},
    usb::UsbBus,
};
use usb_device::{
    bus::UsbBusAllocator,
    device::{StringDescriptors, UsbDevice, UsbDeviceBuilder, UsbVidPid},
};
use usbd_serial::{SerialPort, USB_CLASS_CDC};

use crate::clock::Clock;

/// Vendor and product that hosts look for.
const IDS: UsbVidPid = UsbVidPid(0x2e8a, 0x000a);
/// Microseconds without progress after which output is dropped: nobody reads it.
const PATIENCE: u64 = 100_000;

static RECEIVED: Ring<1024> = Ring::new();
static TO_SEND: Ring<512> = Ring::new();
static PORT: Mutex<RefCell<Option<Port>>> = Mutex::new(RefCell::new(None));

struct Port {
    device: UsbDevice<'static, UsbBus>,
    serial: SerialPort<'static, UsbBus>,
}

impl Port {
    /// Moves what can be moved in both directions. Input without room stays in the controller, which then makes the host wait.
    fn poll(&mut self) {
        self.device.poll(&mut [&mut self.serial]);
        let mut packet = [0; 64];
        while RECEIVED.free() >= packet.len() {
            match self.serial.read(&mut packet) {
                Ok(count @ 1..) => _ = RECEIVED.write(packet.get(..count).unwrap_or_default()),
                _ => break,
            }
        }
        while TO_SEND.drain(|bytes| self.serial.write(bytes).unwrap_or(0)) > 0 {}
        let _ = self.serial.flush();
    }
}

/// The USB serial port.
pub struct Usb {
    clock: Clock,
    /// Whether the host reads; output to a host that does not is dropped at once.
    is_read: bool,
}

impl Usb {
    /// Starts the port.
    pub fn start(bus: UsbBus, clock: Clock) -> Self {
        let bus = cortex_m::singleton!(: UsbBusAllocator<UsbBus> = UsbBusAllocator::new(bus));
        if let Some(port) = bus.and_then(|bus| port(bus)) {
            critical_section::with(|section| _ = PORT.borrow(section).replace(Some(port)));
            // SAFETY: the handler shares nothing with the program but values in mutexes.
            unsafe { NVIC::unmask(pac::Interrupt::USBCTRL_IRQ) };
        }
        Self { clock, is_read: false }
    }

    /// Whether bytes have arrived.
    pub fn has_input() -> bool {
        !RECEIVED.is_empty()
    }
}

fn port(bus: &'static UsbBusAllocator<UsbBus>) -> Option<Port> {
    let serial = SerialPort::new(bus);
    let strings = StringDescriptors::default().manufacturer("Attoformer").product("Attoformer on Raspberry Pi Pico").serial_number("1");
    let device = UsbDeviceBuilder::new(bus, IDS).strings(&[strings]).ok()?.device_class(USB_CLASS_CDC).max_packet_size_0(64).ok()?.build();
    Some(Port { device, serial })
}

impl Line for Usb {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let count = RECEIVED.read(bytes);
        if count > 0 {
            // A host that writes also reads.
            self.is_read = true;
            // There is room again for what waits in the controller.
            NVIC::pend(pac::Interrupt::USBCTRL_IRQ);
        }
        count
    }

    fn write(&mut self, mut bytes: &[u8]) {
        let mut progress = self.clock.micros();
        loop {
            let count = TO_SEND.write(bytes);
            NVIC::pend(pac::Interrupt::USBCTRL_IRQ);
            bytes = bytes.get(count..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            let now = self.clock.micros();
            if count > 0 {
                progress = now;
                self.is_read = true;
            }
            if !self.is_read || now.wrapping_sub(progress) > PATIENCE {
                self.is_read = false;
                return;
            }
            cortex_m::asm::wfi();
        }
    }
}

#[interrupt]
fn USBCTRL_IRQ() {
    critical_section::with(|section| {
        if let Ok(mut port) = PORT.borrow(section).try_borrow_mut()
            && let Some(port) = port.as_mut()
        {
            port.poll();
        }
    });
}
