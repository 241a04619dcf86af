//! The ESP32-C6: a table of pages, accessed through an index register.

use attoformer_protocol::boards::{self, ESP32_C6};
use esp_hal::peripherals::SPI0;

/// The board's row of the table.
pub const BOARD: boards::Board = ESP32_C6;
/// Address of the first page of the window of code and data.
pub const WINDOW: u32 = 0x4200_0000;

/// Maps a page of flash to a page of the window.
pub fn map(entry: u32, page: u32) {
    let registers = SPI0::regs();
    // SAFETY: every index below 256 and every page number is valid; the caller chooses an entry that the program does not use.
    unsafe {
        registers.mmu_item_index().write(|w| w.mmu_item_index().bits(entry));
        registers.mmu_item_content().write(|w| w.paddr().bits(page as u16).valid().set_bit());
    }
}
