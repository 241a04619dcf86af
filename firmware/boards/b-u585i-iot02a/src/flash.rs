//! The flash controller, and the cache in front of the flash.

use attoformer_board::flash::{self, FlashError};
use attoformer_protocol::boards::{B_U585I_IOT02A, Region};
use embassy_stm32::{
    flash::{Blocking, Flash},
    pac,
};

/// The flash controller.
pub struct Controller(pub Flash<'static, Blocking>);

/// Switches the cache on: without it, each access to flash waits four cycles.
pub fn start_cache() {
    // It empties itself after a reset, and cannot be switched on before that.
    while pac::ICACHE.sr().read().busyf() {}
    pac::ICACHE.cr().modify(|cache| cache.set_en(true));
}

/// Empties the cache, which does not see what the controller changes.
fn empty_cache() {
    pac::ICACHE.cr().modify(|cache| cache.set_cacheinv(true));
    while pac::ICACHE.sr().read().busyf() {}
}

impl flash::Controller for Controller {
    const WRITE: usize = 16;
    const SECTOR: usize = 8 << 10;

    fn erase(&mut self, sector: Region) -> Result<(), FlashError> {
        let start = sector.start - B_U585I_IOT02A.flash.start;
        let result = self.0.blocking_erase(start, start + sector.bytes);
        empty_cache();
        result.map_err(|_| FlashError::Failed)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let result = self.0.blocking_write(address - B_U585I_IOT02A.flash.start, bytes);
        empty_cache();
        result.map_err(|_| FlashError::Failed)
    }
}
