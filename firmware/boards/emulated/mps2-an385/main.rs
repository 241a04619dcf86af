//! Arm MPS2 with AN385: Cortex-M3. The ARMv6-M build, a substitute for a Cortex-M0+, runs on it too.
#![no_std]
#![no_main]

use attoformer_firmware::{Board, Ticks, run};

/// SysTick runs at 25 MHz, so it ticks once in 40 instructions of one nanosecond.
const BOARD: Board = Board { name: "mps2-an385", ticks: Ticks { instructions: 40, per: 1 } };

#[cortex_m_rt::entry]
fn main() -> ! {
    run(&BOARD)
}
