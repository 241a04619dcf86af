//! Arm MPS3 with AN547 (Cortex-M55): serves the link on its UART.
#![no_std]
#![no_main]

use attoformer_boards::{Uart, run};
use attoformer_protocol::boards;

#[cortex_m_rt::entry]
fn main() -> ! {
    run(&boards::MPS3_AN547, Uart { base: 0x5930_3000, interrupt: 33 }, 125, 4)
}
