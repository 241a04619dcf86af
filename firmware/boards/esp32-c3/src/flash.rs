//! The flash chip: pages of models in the processor's window, functions of the boot ROM that erase and program.
//!
//! While one of these functions runs, the flash cannot be read: interrupts are off and the code is in RAM.

use attoformer_board::flash::{self, FlashError, PAGE, pages};
use attoformer_protocol::boards::Region;
use esp_storage::ll;

use crate::{BOARD, chip};

/// Bytes of a page of the window.
const WINDOW_PAGE: u32 = 64 << 10;

unsafe extern "C" {
    /// A function of the boot ROM: makes the cache forget a range.
    fn Cache_Invalidate_Addr(address: u32, bytes: u32);
}

/// The flash of the board.
pub struct Controller {
    /// Whether the flash accepts changes; unlocking writes a register of the flash chip that wears out.
    is_unlocked: bool,
}

impl Controller {
    /// Maps journal and slots to where the table of boards states them.
    pub fn start() -> Self {
        let models = BOARD.flash_models();
        for page in models.start / WINDOW_PAGE..models.end().div_ceil(WINDOW_PAGE) {
            let address = BOARD.mapped_at + page * WINDOW_PAGE;
            chip::map((address - chip::WINDOW) / WINDOW_PAGE, page);
        }
        forget(models);
        Self { is_unlocked: false }
    }

    fn unlock(&mut self) -> Result<(), FlashError> {
        if !self.is_unlocked {
            // SAFETY: unlocking changes no content.
            unsafe { ll::spiflash_unlock() }.map_err(|_| FlashError::Failed)?;
            self.is_unlocked = true;
        }
        Ok(())
    }
}

/// Makes the cache forget a range of the flash.
fn forget(range: Region) {
    // SAFETY: the range is mapped, and no program is in it.
    unsafe { Cache_Invalidate_Addr(BOARD.mapped_at + range.start, range.bytes) };
}

/// A page in RAM, aligned as the boot ROM needs it.
#[repr(align(4))]
struct Aligned([u8; PAGE]);

impl flash::Controller for Controller {
    const WRITE: usize = 4;
    const SECTOR: usize = 4096;

    fn erase(&mut self, sector: Region) -> Result<(), FlashError> {
        self.unlock()?;
        // SAFETY: the sector is one of models, which `ModelFlash` has checked.
        let result = unsafe { ll::spiflash_erase_sector(sector.start / sector.bytes) };
        forget(sector);
        result.map_err(|_| FlashError::Failed)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.unlock()?;
        pages(address, bytes, |at, page| {
            let page = Aligned(*page);
            // SAFETY: the page overlaps the range of models that `ModelFlash` has checked, and its other bytes, all ones, change nothing; the data is
            // aligned to words.
            let result = unsafe { ll::spiflash_write(at, page.0.as_ptr().cast(), PAGE as u32) };
            forget(Region::new(at, PAGE as u32));
            result.map_err(|_| FlashError::Failed)
        })
    }
}
