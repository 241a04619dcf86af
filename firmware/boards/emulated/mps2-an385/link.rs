//! Arm MPS2 with AN385 (Cortex-M3): serves the link on its UART.
#![no_std]
#![no_main]

use attoformer_boards::{Uart, run};
use attoformer_protocol::boards::{Board, MPS2_AN385, MPS2_AN385_M0, for_target};

const BOARDS: &[Board] = &[MPS2_AN385, MPS2_AN385_M0];

#[cortex_m_rt::entry]
fn main() -> ! {
    run(for_target(BOARDS, env!("ATTO_TARGET")), Uart { base: 0x4000_4000, interrupt: 0 }, 40, 1)
}
