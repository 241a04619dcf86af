//! The flash controller. The processor stops while the bank with its code is busy.

use attoformer_board::flash::{self, FlashError};
use attoformer_protocol::boards::{NUCLEO_H743, Region};
use cortex_m::peripheral::SCB;
use embassy_stm32::flash::{Blocking, Flash};

/// The flash controller, and the data cache, which does not see what the controller changes.
pub struct Controller {
    /// The driver.
    pub flash: Flash<'static, Blocking>,
    /// The cache.
    pub cache: SCB,
}

impl Controller {
    /// Makes the cache forget a range of whole cache lines.
    fn forget(&mut self, address: u32, bytes: usize) {
        // SAFETY: flash is never written through the cache, so no line of it is dirty.
        unsafe { self.cache.invalidate_dcache_by_address(address as usize, bytes) };
    }
}

impl flash::Controller for Controller {
    const WRITE: usize = 32;
    const SECTOR: usize = 128 << 10;

    fn erase(&mut self, sector: Region) -> Result<(), FlashError> {
        let start = sector.start - NUCLEO_H743.flash.start;
        let result = self.flash.blocking_erase(start, start + sector.bytes);
        self.forget(sector.start, sector.bytes as usize);
        result.map_err(|_| FlashError::Failed)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let result = self.flash.blocking_write(address - NUCLEO_H743.flash.start, bytes);
        self.forget(address, bytes.len());
        result.map_err(|_| FlashError::Failed)
    }
}
