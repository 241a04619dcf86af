//! UART and USB as one line: answers go to the one that the last bytes came from.

use attoformer_app::Line;

use crate::{uart::Uart, usb::Usb};

/// Both lines.
pub struct Link {
    uart: Uart,
    usb: Usb,
    answers_to_usb: bool,
}

impl Link {
    /// Joins the lines. Until a byte arrives, answers go to the UART.
    pub fn new(uart: Uart, usb: Usb) -> Self {
        Self { uart, usb, answers_to_usb: false }
    }

    /// Whether bytes have arrived.
    pub fn has_input() -> bool {
        Uart::has_input() || Usb::has_input()
    }
}

impl Line for Link {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let (first, second): (&mut dyn Line, &mut dyn Line) =
            if self.answers_to_usb { (&mut self.usb, &mut self.uart) } else { (&mut self.uart, &mut self.usb) };
        match first.read(bytes) {
            0 => {}
            count => return count,
        }
        let count = second.read(bytes);
        self.answers_to_usb ^= count > 0;
        count
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.answers_to_usb { self.usb.write(bytes) } else { self.uart.write(bytes) }
    }
}
