//! Arm MPS2 with AN500: Cortex-M7.
#![no_std]
#![no_main]

use attoformer_firmware::{Board, Ticks, run};

/// SysTick runs at 25 MHz, so it ticks once in 40 instructions of one nanosecond.
const BOARD: Board = Board { name: "mps2-an500", ticks: Ticks { instructions: 40, per: 1 } };

#[cortex_m_rt::entry]
fn main() -> ! {
    run(&BOARD)
}
