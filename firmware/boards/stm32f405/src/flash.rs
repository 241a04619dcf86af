//! The flash controller.
//!
//! The processor stops while the flash is busy, since its code is in the same flash.

use attoformer_board::flash::{self, FlashError};
use attoformer_protocol::boards::{Region, STM32F405};
use stm32f4xx_hal::pac;

/// Keys that unlock the control register (RM0090, 3.5.1).
const KEYS: [u32; 2] = [0x4567_0123, 0xcdef_89ab];
/// All error bits of the status register: OPERR, WRPERR, PGAERR, PGPERR, PGSERR.
const ERRORS: u32 = 0xf2;

/// The flash controller.
pub struct Controller(pac::FLASH);

impl Controller {
    /// The flash controller.
    pub fn new(registers: pac::FLASH) -> Self {
        Self(registers)
    }

    /// Unlocks the control register, runs a command and locks it again.
    fn run(&mut self, command: impl FnOnce(&pac::FLASH)) -> Result<(), FlashError> {
        let flash = &self.0;
        for key in KEYS {
            // SAFETY: every value of the register is valid; others than the keys lock the controller until the next reset.
            flash.keyr().write(|w| unsafe { w.bits(key) });
        }
        // SAFETY: ones clear the error bits, and the others are read-only.
        flash.sr().write(|w| unsafe { w.bits(ERRORS) });
        command(flash);
        while flash.sr().read().bsy().bit_is_set() {}
        let has_failed = flash.sr().read().bits() & ERRORS != 0;
        flash.cr().reset();
        flash.cr().modify(|_, w| w.lock().set_bit());
        if has_failed { Err(FlashError::Failed) } else { Ok(()) }
    }
}

/// The number of the sector that begins at an address.
fn number(address: u32) -> Option<u8> {
    let sizes = STM32F405.flash.sectors.iter().flat_map(|run| core::iter::repeat_n(run.bytes, run.count as usize));
    let mut start = STM32F405.flash.start;
    for (number, bytes) in (0..).zip(sizes) {
        if start == address {
            return Some(number);
        }
        start += bytes;
    }
    None
}

impl flash::Controller for Controller {
    const WRITE: usize = 4;
    const SECTOR: usize = 16 << 10;

    fn erase(&mut self, sector: Region) -> Result<(), FlashError> {
        let number = number(sector.start).ok_or(FlashError::NotAligned)?;
        self.run(|flash| {
            // SAFETY: the sector's number was found in the table.
            flash.cr().write(|w| unsafe { w.psize().psize32().ser().set_bit().snb().bits(number) });
            flash.cr().modify(|_, w| w.strt().set_bit());
        })?;
        // The caches may hold bytes of the erased sector; they can be reset only while they are off.
        let control = self.0.acr().read().bits();
        self.0.acr().modify(|_, w| w.icen().clear_bit().dcen().clear_bit());
        self.0.acr().modify(|_, w| w.icrst().set_bit().dcrst().set_bit());
        // SAFETY: this is the value that the register had.
        self.0.acr().write(|w| unsafe { w.bits(control) });
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.run(|flash| {
            flash.cr().write(|w| w.psize().psize32().pg().set_bit());
            let (words, _) = bytes.as_chunks::<4>();
            for (index, word) in words.iter().enumerate() {
                let place: *mut u32 = core::ptr::with_exposed_provenance_mut(address as usize + 4 * index);
                // SAFETY: the caller checked that the range is flash of models, which has no Rust object, and no reference to it is in use.
                unsafe { place.write_volatile(u32::from_le_bytes(*word)) };
                while flash.sr().read().bsy().bit_is_set() {}
            }
        })
    }
}
