//! Arm MPS2 with AN505: Cortex-M33 with DSP and FPU.
#![no_std]
#![no_main]

use attoformer_firmware::{Board, Ticks, run};

/// SysTick runs at 20 MHz, so it ticks once in 50 instructions of one nanosecond.
const BOARD: Board = Board { name: "mps2-an505", ticks: Ticks { instructions: 50, per: 1 } };

#[cortex_m_rt::entry]
fn main() -> ! {
    run(&BOARD)
}
