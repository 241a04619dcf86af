//! QEMU's RISC-V board `virt`, 32 bits.
#![no_std]
#![no_main]

use attoformer_firmware::{Board, Ticks, run};

/// `minstret` counts every instruction.
const BOARD: Board = Board { name: "riscv32-virt", ticks: Ticks { instructions: 1, per: 1 } };

#[riscv_rt::entry]
fn main() -> ! {
    run(&BOARD)
}
