//! The program of boards with an STM32F405.
#![no_std]
#![no_main]

mod board;
mod fault;
mod flash;
mod speed;
mod uart;

use attoformer_app::{ABOUT_BYTES, Parts, about, serve};
use attoformer_board::{flash::ModelFlash, memory};
use attoformer_protocol::boards::STM32F405;

#[unsafe(link_section = ".attoformer")]
#[used]
static ABOUT: [u8; ABOUT_BYTES] = about(STM32F405.name);

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some((board, [mut first, mut third], controller)) = board::start() else { fault::restart() };
    // SAFETY: `main` runs once, the table states the address of the flash, and memory.x keeps the arena outside every section.
    let (flash, arena) = unsafe { (ModelFlash::new(controller, &STM32F405), memory::arena()) };
    serve(Parts { board, lines: &mut [&mut first, &mut third], flash, arena, about: &STM32F405, key: None })
}
