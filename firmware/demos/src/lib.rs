//! Shared parts of the demos: the image, an arena of the size that it needs (both known at compile time), and a console without `core::fmt`.
#![no_std]

pub mod console;
mod stack;

use core::panic::PanicInfo;

// The implementation of the critical section of `static_cell` on ARMv6-M: interrupts disabled on a single core.
use cortex_m as _;
// Only for its feature `critical-section`, without which `static_cell` does not build for ARMv6-M.
use portable_atomic as _;

use attoformer::{Arena, Image, include_image};
use semihosting::process;
use static_cell::ConstStaticCell;

const IMAGE: &[u8] = include_image!(env!("ATTO_IMAGE"));

// A static: as a local variable it would need a stack as large as the arena.
static ARENA: ConstStaticCell<Arena<{ Image::arena_bytes(IMAGE) }>> = ConstStaticCell::new(Arena::new());

/// The image, in flash.
pub fn image() -> &'static [u8] {
    IMAGE
}

/// The arena; empty from the second call on, and then too small for any session.
pub fn take_arena() -> &'static mut [u8] {
    ARENA.try_take().map_or(&mut [], Arena::bytes)
}

/// Reports the stack size that the program needed and ends it successfully.
pub fn exit() -> ! {
    console::log("stack: ");
    console::log_number(stack::high_water());
    console::log(" bytes\n");
    process::exit(0)
}

/// Shows the reason and ends the program as a failure.
pub fn fail(reason: &str) -> ! {
    console::log("error: ");
    console::log(reason);
    console::log("\n");
    process::exit(1)
}

/// Shows where the program stopped. The engine never panics; this is for the program around it.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if let Some(place) = info.location() {
        console::log(place.file());
        console::log(":");
        console::log_number(place.line());
        console::log(": ");
    }
    fail(info.message().as_str().unwrap_or("the program panicked"))
}
