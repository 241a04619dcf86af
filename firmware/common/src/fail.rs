//! Exits on failure: each reports the reason and ends the emulator with status 1.

use attoformer_protocol::job::{Frame, MAX_PAYLOAD};
use core::{fmt::Write, panic::PanicInfo};
use heapless::String;

use crate::channel;

/// Reports `reason` and stops.
pub fn stop(reason: &str) -> ! {
    channel::send(&Frame::Failed(reason));
    semihosting::process::exit(1)
}

/// Formats and reports a reason and stops; the text is truncated to one frame.
pub fn stop_with(reason: core::fmt::Arguments<'_>) -> ! {
    let mut text = String::<MAX_PAYLOAD>::new();
    let _ = text.write_fmt(reason);
    stop(&text)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    stop_with(format_args!("{info}"))
}

#[cfg(target_arch = "arm")]
#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    stop_with(format_args!("hard fault at {:#010x}, called from {:#010x}", frame.pc(), frame.lr()))
}

#[cfg(target_arch = "riscv32")]
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_registers: &riscv_rt::TrapFrame) -> ! {
    stop_with(format_args!("trap {:#x} at {:#010x}", riscv::register::mcause::read().bits(), riscv::register::mepc::read()))
}

#[defmt::panic_handler]
fn defmt_panic() -> ! {
    stop("a defmt assertion failed")
}
