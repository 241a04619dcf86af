//! Parts that the firmware of several boards shares.
//!
//! - [`flash`]: the models' flash of a chip, on top of two functions: erase a sector, program bytes;
//! - [`line`]: a UART driver of a HAL as a line of the link; [`ring`]: a byte queue for a driver of one's own;
//! - [`pl011`], `usb`: the UART of Raspberry Pi's chips, and USB CDC;
//! - [`memory`]: the arena of `memory.x`, and a guard below the stack;
//! - [`arm`]: time by SysTick, and the restart after a fault.
#![no_std]

pub mod flash;
pub mod line;
pub mod memory;
pub mod pl011;
pub mod ring;
#[cfg(feature = "usb")]
pub mod usb;

#[cfg(target_arch = "arm")]
pub mod arm;

// The transport of defmt: linked, never called by name.
#[cfg(feature = "defmt")]
use defmt_rtt as _;

/// Sleeps until an interrupt where something wakes the processor regularly; returns at once elsewhere.
pub(crate) fn pause() {
    #[cfg(target_arch = "arm")]
    ::cortex_m::asm::wfi();
    #[cfg(not(target_arch = "arm"))]
    core::hint::spin_loop();
}
