//! Every kernel of the set that this target was built with, against the specification, bit for bit; then what each costs.
//!
//! Prints one JSON object a line: a verdict per kernel (`{"check":..,"cases":..,"pass":..}`), then counts (`{"op":..,"per_mac":..}`).
//! Counts are the emulator's instructions, not cycles. Ends with status 0 only when all checks passed.
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
