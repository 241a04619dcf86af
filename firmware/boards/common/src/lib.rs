//! Parts that the firmware of several boards shares.
//!
//! - [`flash`]: the models' flash of a chip, on top of two functions: erase a sector, program bytes;
//! - [`line`]: a UART driver of a HAL as a line of the link; [`ring`]: a byte queue for a driver of one's own;
//! - [`memory`]: the arena of `memory.x`, and a guard below the stack;
//! - [`arm`]: time by SysTick, and the restart after a fault.
#![no_std]

pub mod flash;
pub mod line;
pub mod memory;
pub mod ring;

#[cfg(target_arch = "arm")]
pub mod arm;
