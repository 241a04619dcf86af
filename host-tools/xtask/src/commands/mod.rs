//! One file per command.

pub mod attention;
pub mod bench;
pub mod demo;
pub mod models;
pub mod nopanic;
pub mod picture;
pub mod qemu;
pub mod setup;
pub mod test;
pub mod train_default;
