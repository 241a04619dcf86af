//! A driver of a HAL as a line of the link.

use attoformer_app::Line;
use embedded_io::{Read, ReadReady, Write};

/// A driver whose interrupt collects input, such as a `BufferedUart`.
pub struct IoLine<T>(pub T);

impl<T: Read + ReadReady + Write> Line for IoLine<T> {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        match self.0.read_ready() {
            Ok(true) => self.0.read(bytes).unwrap_or(0),
            // Bytes that the driver lost are found missing by the link's checksum.
            Ok(false) | Err(_) => 0,
        }
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while let Ok(count @ 1..) = self.0.write(bytes) {
            bytes = bytes.get(count..).unwrap_or_default();
            if bytes.is_empty() {
                break;
            }
        }
    }
}
