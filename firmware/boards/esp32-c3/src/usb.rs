//! The USB serial port that is built into the chip. It makes the host wait when its FIFO is full, so no byte is lost while the program computes.

use attoformer_app::Line;
use esp_hal::{
    Blocking,
    time::{Duration, Instant},
    usb::usb_serial_jtag::{UsbSerialJtag, UsbSerialJtagRx, UsbSerialJtagTx},
};

/// Time without progress after which output is dropped: nobody reads it.
const PATIENCE: Duration = Duration::from_millis(100);

/// The port.
pub struct Usb {
    rx: UsbSerialJtagRx<'static, Blocking>,
    tx: UsbSerialJtagTx<'static, Blocking>,
    /// Whether the host reads; output to a host that does not is dropped at once.
    is_read: bool,
}

impl Usb {
    /// The port of this driver.
    pub fn new(port: UsbSerialJtag<'static, Blocking>) -> Self {
        let (rx, tx) = port.split();
        Self { rx, tx, is_read: false }
    }

    /// Sends a byte; false if nobody reads it.
    fn send(&mut self, byte: u8) -> bool {
        let start = Instant::now();
        while self.tx.write_byte_nb(byte).is_err() {
            if !self.is_read || start.elapsed() > PATIENCE {
                self.is_read = false;
                return false;
            }
        }
        true
    }
}

impl Line for Usb {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let count = self.rx.drain_rx_fifo(bytes);
        // A host that writes also reads.
        self.is_read |= count > 0;
        count
    }

    fn write(&mut self, bytes: &[u8]) {
        if bytes.iter().all(|&byte| self.send(byte)) {
            // What the FIFO holds is sent as soon as the host asks for it.
            let _ = self.tx.flush_tx_nb();
        }
    }
}
