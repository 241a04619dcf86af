//! One file for each command.

pub mod attention;
pub mod bench;
pub mod boards;
pub mod demo;
pub mod emulate;
pub mod models;
pub mod nopanic;
pub mod picture;
pub mod qemu;
pub mod quality;
pub mod regenerate;
pub mod release_check;
pub mod setup;
pub mod size;
pub mod steps;
pub mod test;
pub mod train_default;
