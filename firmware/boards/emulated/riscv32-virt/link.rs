//! QEMU's RISC-V board `virt`, 32 bits: serves the link on its UART.
#![no_std]
#![no_main]

use attoformer_boards::{Uart, run};
use attoformer_protocol::boards::{Board, RISCV32_VIRT, RISCV32IMAFC_VIRT, RISCV32IMC_VIRT, for_target};

const BOARDS: &[Board] = &[RISCV32_VIRT, RISCV32IMC_VIRT, RISCV32IMAFC_VIRT];

#[riscv_rt::entry]
fn main() -> ! {
    run(for_target(BOARDS, env!("ATTO_TARGET")), Uart { base: 0x1000_0000, interrupt: 10 }, 1, 1)
}
