//! UART0 with a queue in each direction. Its interrupt moves the bytes, so none is lost while the program computes.

use attoformer_app::Line;
use attoformer_board::ring::Ring;
use rp2040_hal::pac::{self, interrupt};

static RECEIVED: Ring<2048> = Ring::new();
static TO_SEND: Ring<256> = Ring::new();

/// UART0 after [`Uart::start`].
pub struct Uart(());

impl Uart {
    /// Starts the interrupt of a UART that is set up: 115200 baud, FIFOs on, interrupts of both directions enabled in the peripheral.
    pub fn start() -> Self {
        // SAFETY: the handler shares nothing with the program but the queues, which are `Sync`.
        unsafe { cortex_m::peripheral::NVIC::unmask(pac::Interrupt::UART0_IRQ) };
        Self(())
    }

    /// Whether bytes have arrived.
    pub fn has_input() -> bool {
        !RECEIVED.is_empty()
    }
}

impl Line for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        RECEIVED.read(bytes)
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = bytes.get(TO_SEND.write(bytes)..).unwrap_or_default();
            // The interrupt fires when the FIFO drains, so the first bytes of a queue are moved here.
            cortex_m::interrupt::free(|_| {
                send();
                if TO_SEND.free() == 0 {
                    cortex_m::asm::wfi();
                }
            });
        }
    }
}

/// Fills the transmit FIFO.
fn send() {
    // SAFETY: callers are the interrupt handler and a critical section, so accesses do not overlap.
    let uart = unsafe { &*pac::UART0::ptr() };
    let mut byte = [0];
    while uart.uartfr().read().txff().bit_is_clear() && TO_SEND.read(&mut byte) == 1 {
        // SAFETY: every value of the data bits is valid.
        uart.uartdr().write(|w| unsafe { w.data().bits(byte[0]) });
    }
}

#[interrupt]
fn UART0_IRQ() {
    // SAFETY: nothing else reads the receive FIFO, and the interrupt cannot interrupt itself.
    let uart = unsafe { &*pac::UART0::ptr() };
    uart.uarticr().write(|w| w.txic().clear_bit_by_one().rxic().clear_bit_by_one().rtic().clear_bit_by_one());
    while uart.uartfr().read().rxfe().bit_is_clear() {
        // A byte without room is lost, as on any line; the link's checksum finds that.
        RECEIVED.write(&[uart.uartdr().read().data().bits()]);
    }
    send();
}
