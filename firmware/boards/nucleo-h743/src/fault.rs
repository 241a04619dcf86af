//! Panics and hardware faults: the LED blinks three times, then the board starts again.
//!
//! A power cut while the flash programs can leave a word whose error correction fails. Reading it is a bus fault, at every start again. So the sector of
//! such a word, if it belongs to journal or slots, is erased first: its content was incomplete anyway.

use core::panic::PanicInfo;

use attoformer_protocol::boards::NUCLEO_H743;
use cortex_m::peripheral::SCB;
use embassy_stm32::{flash::Flash, pac, peripherals::FLASH};

/// Number of the LED's pin in port B.
const LED: usize = 0;
/// BFARVALID of the fault status: the address register holds the address of the fault.
const HAS_ADDRESS: u32 = 1 << 15;

/// Blinks and restarts.
pub fn restart() -> ! {
    let toggle = || pac::GPIOB.odr().modify(|pins| pins.0 ^= 1 << LED);
    attoformer_board::arm::restart(toggle, 48_000_000)
}

/// Erases the sector of the word whose reading was the fault, if it is one of models.
fn erase_unreadable() {
    // SAFETY: the program never continues, so nothing else uses these registers and the flash.
    let (scb, flash) = unsafe { (&*SCB::PTR, FLASH::steal()) };
    let (status, address) = (scb.cfsr.read(), scb.bfar.read());
    let models = NUCLEO_H743.models;
    let [first, second] = models.slot_regions();
    let is_models = [models.journal_region(), first, second].iter().any(|region| region.contains(address, 1));
    if status & HAS_ADDRESS != 0
        && is_models
        && let Some(sector) = NUCLEO_H743.flash.sector(address)
    {
        let start = sector.start - NUCLEO_H743.flash.start;
        // If this fails, the next start tries it again.
        let _ = Flash::new_blocking(flash).blocking_erase(start, start + sector.bytes);
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    restart()
}

#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    erase_unreadable();
    restart()
}
