//! Arm MPS3 with AN547: Cortex-M55.
#![no_std]
#![no_main]

use attoformer_firmware::{Board, Ticks, run};

/// SysTick runs at 32 MHz, so it ticks four times in 125 instructions of one nanosecond.
const BOARD: Board = Board { name: "mps3-an547", ticks: Ticks { instructions: 125, per: 4 } };

#[cortex_m_rt::entry]
fn main() -> ! {
    run(&BOARD)
}
