//! Arm MPS2 with AN505 (Cortex-M33): serves the link on its UART.
#![no_std]
#![no_main]

use attoformer_boards::{Uart, run};
use attoformer_protocol::boards;

#[cortex_m_rt::entry]
fn main() -> ! {
    run(&boards::MPS2_AN505, Uart { base: 0x5020_0000, interrupt: 32 }, 50, 1)
}
