//! USART1 and USART3. Their interrupts collect what arrives, so no byte is lost while the program computes.

use attoformer_app::Line;
use attoformer_board::ring::Ring;
use cortex_m::peripheral::NVIC;
use stm32f4xx_hal::pac::{self, interrupt, usart1::RegisterBlock};

/// Room for a window of frames of the link.
static RECEIVED: [Ring<2048>; 2] = [Ring::new(), Ring::new()];

/// A UART that is set up, with its interrupt of a received byte enabled in the peripheral.
pub struct Uart {
    registers: *const RegisterBlock,
    received: &'static Ring<2048>,
}

impl Uart {
    /// USART1.
    pub fn first() -> Self {
        // SAFETY: the handler shares nothing with the program but the queue, which is `Sync`.
        unsafe { NVIC::unmask(pac::Interrupt::USART1) };
        Self { registers: pac::USART1::ptr(), received: &RECEIVED[0] }
    }

    /// USART3.
    pub fn third() -> Self {
        // SAFETY: as for USART1.
        unsafe { NVIC::unmask(pac::Interrupt::USART3) };
        Self { registers: pac::USART3::ptr(), received: &RECEIVED[1] }
    }
}

impl Line for Uart {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        self.received.read(bytes)
    }

    fn write(&mut self, bytes: &[u8]) {
        // SAFETY: these are the registers of a UART, and nothing else writes its data register.
        let uart = unsafe { &*self.registers };
        for &byte in bytes {
            while uart.sr().read().txe().bit_is_clear() {}
            uart.dr().write(|w| w.dr().set(byte.into()));
        }
    }
}

/// Moves a received byte to a queue. One without room is lost, as on any line; the link's checksum finds that.
fn receive(uart: *const RegisterBlock, received: &Ring<2048>) {
    // SAFETY: these are the registers of a UART, and nothing else reads its data register.
    let uart = unsafe { &*uart };
    let status = uart.sr().read();
    // Reading the data also clears an overrun.
    let byte = uart.dr().read().dr().bits() as u8;
    if status.rxne().bit_is_set() {
        received.write(&[byte]);
    }
}

#[interrupt]
fn USART1() {
    receive(pac::USART1::ptr(), &RECEIVED[0]);
}

#[interrupt]
fn USART3() {
    receive(pac::USART3::ptr(), &RECEIVED[1]);
}
