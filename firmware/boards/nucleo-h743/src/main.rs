//! The program of the NUCLEO-H743ZI2.
#![no_std]
#![no_main]

mod board;
mod fault;
mod flash;

use attoformer_app::{ABOUT_BYTES, Parts, about, serve};
use attoformer_board::{flash::ModelFlash, memory};
use attoformer_protocol::boards::NUCLEO_H743;

#[unsafe(link_section = ".attoformer")]
#[used]
static ABOUT: [u8; ABOUT_BYTES] = about(NUCLEO_H743.name);

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some((board, mut uart, controller)) = board::start() else { fault::restart() };
    // SAFETY: `main` runs once, the table states the address of the flash, and memory.x keeps the arena outside every section.
    let (flash, arena) = unsafe { (ModelFlash::new(controller, &NUCLEO_H743), memory::arena()) };
    serve(Parts { board, lines: &mut [&mut uart], flash, arena, about: &NUCLEO_H743, key: None })
}
