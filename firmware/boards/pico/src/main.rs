//! The program of the Raspberry Pi Pico.
#![no_std]
#![no_main]

mod clock;
mod fault;
mod flash;
mod pico;

use attoformer_app::{ABOUT_BYTES, Parts, about, serve};
use attoformer_board::{flash::ModelFlash, memory};
use attoformer_protocol::boards::PICO;

/// The second-stage boot loader, which the boot ROM starts: it sets up reading from flash.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

#[unsafe(link_section = ".attoformer")]
#[used]
static ABOUT: [u8; ABOUT_BYTES] = about(PICO.name);

#[rp2040_hal::entry]
fn main() -> ! {
    let Some((board, mut uart, mut usb)) = pico::start() else { fault::restart() };
    // SAFETY: `main` runs once, the table states the address of the flash, and memory.x keeps the arena outside every section.
    let (flash, arena) = unsafe { (ModelFlash::new(flash::Controller, &PICO), memory::arena()) };
    serve(Parts { board, lines: &mut [&mut uart, &mut usb], flash, arena, about: &PICO, key: None })
}
