//! One file per command.

pub mod qemu;
