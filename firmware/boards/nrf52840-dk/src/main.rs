//! The program of the nRF52840-DK.
#![no_std]
#![no_main]

mod board;
mod fault;
mod flash;
mod uart;

use attoformer_app::{ABOUT_BYTES, Parts, about, serve};
use attoformer_board::{flash::ModelFlash, memory};
use attoformer_protocol::boards::NRF52840_DK;

#[unsafe(link_section = ".attoformer")]
#[used]
static ABOUT: [u8; ABOUT_BYTES] = about(NRF52840_DK.name);

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some((board, mut uart, controller)) = board::start() else { fault::restart() };
    // SAFETY: `main` runs once, the table states the address of the flash, and memory.x keeps the arena outside every section.
    let (flash, arena) = unsafe { (ModelFlash::new(controller, &NRF52840_DK), memory::arena()) };
    serve(Parts { board, lines: &mut [&mut uart], flash, arena, about: &NRF52840_DK, key: None })
}
