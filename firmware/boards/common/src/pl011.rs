//! A PL011 UART with a queue in each direction. Its interrupt moves the bytes, so none is lost while the program computes.

use attoformer_app::Line;

use crate::ring::Ring;

/// Offsets of registers: data, flags, interrupt clear.
const DATA: usize = 0x00;
const FLAGS: usize = 0x18;
const CLEAR: usize = 0x44;
/// Flags: the receive FIFO is empty, the transmit FIFO is full.
const RX_EMPTY: u32 = 1 << 4;
const TX_FULL: u32 = 1 << 5;
/// Interrupts: receive, transmit, receive time-out.
const ALL: u32 = 1 << 4 | 1 << 5 | 1 << 6;

/// A PL011 and its queues. A program has it in a static, which its interrupt handler shares.
pub struct Pl011 {
    base: usize,
    received: Ring<2048>,
    to_send: Ring<256>,
}

impl Pl011 {
    /// The UART whose registers begin at an address.
    ///
    /// # Safety
    /// There is a PL011 at this address. While its interrupt is enabled, nothing else accesses its data register.
    pub const unsafe fn new(base: usize) -> Self {
        Self { base, received: Ring::new(), to_send: Ring::new() }
    }

    /// Serves the interrupt.
    pub fn interrupt(&self) {
        self.write(CLEAR, ALL);
        while self.read(FLAGS) & RX_EMPTY == 0 {
            // A byte without room is lost, as on any line; the link's checksum finds that.
            self.received.write(&[self.read(DATA) as u8]);
        }
        self.send();
    }

    /// Whether bytes have arrived.
    pub fn has_input(&self) -> bool {
        !self.received.is_empty()
    }

    /// Fills the transmit FIFO.
    fn send(&self) {
        critical_section::with(|_| {
            let mut byte = [0];
            while self.read(FLAGS) & TX_FULL == 0 && self.to_send.read(&mut byte) == 1 {
                self.write(DATA, u32::from(byte[0]));
            }
        });
    }

    fn read(&self, offset: usize) -> u32 {
        let register: *const u32 = core::ptr::with_exposed_provenance(self.base + offset);
        // SAFETY: `new` was promised a PL011 at this address.
        unsafe { register.read_volatile() }
    }

    fn write(&self, offset: usize, value: u32) {
        let register: *mut u32 = core::ptr::with_exposed_provenance_mut(self.base + offset);
        // SAFETY: `new` was promised a PL011 at this address; its registers change nothing in memory.
        unsafe { register.write_volatile(value) }
    }
}

/// The line of a PL011 that is set up: speed, FIFOs, interrupts of both directions enabled in the peripheral and in the interrupt controller.
pub struct Pl011Line(pub &'static Pl011);

impl Line for Pl011Line {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        self.0.received.read(bytes)
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = bytes.get(self.0.to_send.write(bytes)..).unwrap_or_default();
            // The interrupt comes when the FIFO drains, so the first bytes of a queue are moved here.
            critical_section::with(|_| {
                self.0.send();
                // An interrupt that is pending ends the pause, and is served after the section.
                if self.0.to_send.free() == 0 {
                    crate::pause();
                }
            });
        }
    }
}
