//! UARTE0, which the board's debugger connects to a host's USB. DMA collects what arrives, so no byte is lost while the program computes.

use attoformer_app::Line;
use embassy_futures::poll_once;
use embassy_nrf::{
    Peri, bind_interrupts,
    buffered_uarte::{BufferedUarte, InterruptHandler},
    peripherals::{P0_06, P0_08, PPI_CH0, PPI_CH1, PPI_GROUP0, TIMER0, UARTE0},
    uarte::{Baudrate, Config},
};

bind_interrupts!(struct Interrupts {
    UARTE0 => InterruptHandler<UARTE0>;
});

/// The UART.
pub struct Uart(BufferedUarte<'static>);

/// The parts of the chip that connect its timer, which counts received bytes.
type Counter = (Peri<'static, PPI_CH0>, Peri<'static, PPI_CH1>, Peri<'static, PPI_GROUP0>);

impl Uart {
    /// Starts the UART at 115200 baud on pins for receiving and sending; `None` if it is called again.
    pub fn start(
        uarte: Peri<'static, UARTE0>,
        timer: Peri<'static, TIMER0>,
        (first, second, group): Counter,
        (rx, tx): (Peri<'static, P0_08>, Peri<'static, P0_06>),
    ) -> Option<Self> {
        let mut config = Config::default();
        config.baudrate = Baudrate::Baud115200;
        // Room for a window of frames of the link, and for some output.
        let received = cortex_m::singleton!(: [u8; 2048] = [0; 2048])?;
        let to_send = cortex_m::singleton!(: [u8; 512] = [0; 512])?;
        Some(Self(BufferedUarte::new(uarte, timer, first, second, group, rx, tx, Interrupts, config, received, to_send)))
    }
}

impl Line for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        match poll_once(self.0.read(bytes)) {
            core::task::Poll::Ready(Ok(count)) => count,
            // Bytes that the driver lost are found missing by the link's checksum.
            _ => 0,
        }
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.0.try_write(bytes) {
                Ok(count @ 1..) => bytes = bytes.get(count..).unwrap_or_default(),
                // The buffer is full.
                _ => cortex_m::asm::wfi(),
            }
        }
    }
}
