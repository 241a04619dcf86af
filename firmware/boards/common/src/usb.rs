//! A USB serial port (CDC ACM) with a queue in each direction, served in its interrupt.

use core::cell::RefCell;

use attoformer_app::Line;
use critical_section::Mutex;
use usb_device::{
    bus::{UsbBus, UsbBusAllocator},
    device::{StringDescriptors, UsbDevice, UsbDeviceBuilder, UsbVidPid},
};
use usbd_serial::{SerialPort, USB_CLASS_CDC};

use crate::ring::Ring;

/// Milliseconds without progress after which output is dropped: nobody reads it.
const PATIENCE: u32 = 100;

static RECEIVED: Ring<1024> = Ring::new();
static TO_SEND: Ring<512> = Ring::new();

/// The device and its port.
struct Port<B: UsbBus + 'static> {
    device: UsbDevice<'static, B>,
    serial: SerialPort<'static, B>,
}

impl<B: UsbBus> Port<B> {
    fn new(bus: &'static UsbBusAllocator<B>, product: &'static str, (vendor, id): (u16, u16)) -> Option<Self> {
        let serial = SerialPort::new(bus);
        let strings = StringDescriptors::default().manufacturer("Attoformer").product(product).serial_number("1");
        let device = UsbDeviceBuilder::new(bus, UsbVidPid(vendor, id)).strings(&[strings]).ok()?;
        Some(Self { device: device.device_class(USB_CLASS_CDC).max_packet_size_0(64).ok()?.build(), serial })
    }

    /// Moves what can be moved in both directions and returns whether there is room for more input. Input without room stays in the controller,
    /// which then makes the host wait.
    fn poll(&mut self) -> bool {
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
        RECEIVED.free() >= packet.len()
    }
}

/// The port as a program's static, which its interrupt handler shares.
pub struct SharedPort<B: UsbBus + 'static>(Mutex<RefCell<Option<Port<B>>>>);

impl<B: UsbBus> Default for SharedPort<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: UsbBus> SharedPort<B> {
    /// A port that is not started.
    pub const fn new() -> Self {
        Self(Mutex::new(RefCell::new(None)))
    }

    /// Starts the port under a product's name, and vendor and product id. The interrupt is enabled after this.
    pub fn start(&self, bus: &'static UsbBusAllocator<B>, product: &'static str, ids: (u16, u16)) {
        critical_section::with(|section| _ = self.0.borrow(section).replace(Port::new(bus, product, ids)));
    }

    /// Serves the interrupt. False if there is no room for more input: the handler masks the interrupt then, which waiting input keeps pending, so that
    /// the program can run. The program and its clock unmask it.
    #[must_use]
    pub fn interrupt(&self) -> bool {
        critical_section::with(|section| {
            let mut port = self.0.borrow(section).try_borrow_mut().ok()?;
            port.as_mut().map(Port::poll)
        })
        .unwrap_or(false)
    }
}

/// The line of a port that is started.
pub struct UsbLine<M, P> {
    /// Milliseconds; wraps.
    millis: M,
    /// Unmasks the interrupt and makes its handler run.
    resume: P,
    /// Whether the host reads; output to a host that does not is dropped at once.
    is_read: bool,
}

impl<M: FnMut() -> u32, P: FnMut()> UsbLine<M, P> {
    /// The line, with a clock and a function that makes the interrupt handler run.
    pub fn new(millis: M, resume: P) -> Self {
        Self { millis, resume, is_read: false }
    }
}

/// Whether bytes have arrived.
pub fn has_input() -> bool {
    !RECEIVED.is_empty()
}

impl<M: FnMut() -> u32, P: FnMut()> Line for UsbLine<M, P> {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let count = RECEIVED.read(bytes);
        if count > 0 {
            // A host that writes also reads.
            self.is_read = true;
            // There is room again for what waits in the controller.
            (self.resume)();
        }
        count
    }

    fn write(&mut self, mut bytes: &[u8]) {
        let mut progress = (self.millis)();
        loop {
            let count = TO_SEND.write(bytes);
            (self.resume)();
            bytes = bytes.get(count..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            let now = (self.millis)();
            if count > 0 {
                progress = now;
                self.is_read = true;
            }
            if !self.is_read || now.wrapping_sub(progress) > PATIENCE {
                self.is_read = false;
                return;
            }
            crate::pause();
        }
    }
}
