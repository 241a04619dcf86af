//! Arm MPS2 with AN500 (Cortex-M7): serves the link on its UART.
#![no_std]
#![no_main]

use attoformer_boards::{Uart, run};
use attoformer_protocol::boards;

#[cortex_m_rt::entry]
fn main() -> ! {
    run(&boards::MPS2_AN500, Uart { base: 0x4000_4000, interrupt: 0 }, 40, 1)
}
