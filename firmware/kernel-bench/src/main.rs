//! Compares every kernel of this target's set with the specification, bit for bit, then counts its instructions.
//!
//! Prints one JSON object per line: a verdict per kernel (`{"check":..,"cases":..,"pass":..}`), then counts (`{"op":..,"per_mac":..}`).
//! Counts are the emulator's instructions, not cycles. The exit status is 0 only if all checks passed.
#![no_std]
#![no_main]

mod bench;
mod conformance;
mod data;

use attoformer::kernels::best;
use attoformer_firmware::{Counter, Ticks};
use semihosting::println;

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(memory) = data::Memory::take() else { semihosting::process::exit(1) };
    println!("{{\"kernels\":\"{}\"}}", best().name());
    let pass = conformance::run(best().functions(), memory);
    // SysTick runs at 25 MHz on the mps2 boards: 40 instructions of one nanosecond.
    bench::run(best().functions(), memory, &mut Counter::start(Ticks { instructions: 40, per: 1 }));
    semihosting::process::exit(if pass { 0 } else { 1 })
}
