//! The program of the Raspberry Pi Pico 2, for its Arm and its RISC-V cores.
#![no_std]
#![no_main]

mod cores;
mod fault;
mod flash;
mod pico2;

use attoformer_app::{ABOUT_BYTES, Parts, about, serve};
use attoformer_board::{flash::ModelFlash, memory};
use attoformer_protocol::boards::Board;

/// The board's row of the table.
const BOARD: &Board = &cores::BOARD;

/// The image definition that the boot ROM searches for at the start of the flash.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE_DEF: cores::ImageDef = cores::IMAGE_DEF;

#[unsafe(link_section = ".attoformer")]
#[used]
static ABOUT: [u8; ABOUT_BYTES] = about(BOARD.name);

/// Starts the board and serves its model.
#[rp235x_hal::entry]
fn main() -> ! {
    let Some((board, mut uart, mut usb)) = pico2::start() else { fault::restart() };
    // SAFETY: `main` runs once, the table states the address of the flash, and memory.x keeps the arena outside every section.
    let (flash, arena) = unsafe { (ModelFlash::new(flash::Controller, BOARD), memory::arena()) };
    serve(Parts { board, lines: &mut [&mut uart, &mut usb], flash, arena, about: BOARD, key: None })
}
