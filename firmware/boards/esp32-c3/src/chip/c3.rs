//! The ESP32-C3: a table of pages in memory.

use attoformer_protocol::boards::{self, ESP32_C3};
use esp_hal::peripherals::MMU_TABLE;

/// The board's row of the table.
pub const BOARD: boards::Board = ESP32_C3;
/// Address of the first page of the window of data.
pub const WINDOW: u32 = 0x3c00_0000;

/// Maps a page of flash to a page of the window.
pub fn map(entry: u32, page: u32) {
    // SAFETY: every page number is valid; the caller chooses an entry that the program does not use.
    MMU_TABLE::regs().entry(entry as usize).write(|w| unsafe { w.paddr().bits(page as u8) }.invalid().clear_bit());
}
