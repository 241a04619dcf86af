//! The flash controller (NVMC). The processor stops while the flash is busy, since its code is in the same flash.

use attoformer_board::flash::{self, FlashError};
use attoformer_protocol::boards::Region;
use embassy_nrf::nvmc::Nvmc;
use embedded_storage::nor_flash::NorFlash;

/// The flash controller.
pub struct Controller(pub Nvmc<'static>);

impl flash::Controller for Controller {
    const WRITE: usize = 4;
    const SECTOR: usize = 4096;

    fn erase(&mut self, sector: Region) -> Result<(), FlashError> {
        self.0.erase(sector.start, sector.end()).map_err(|_| FlashError::Failed)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.0.write(address, bytes).map_err(|_| FlashError::Failed)
    }
}
