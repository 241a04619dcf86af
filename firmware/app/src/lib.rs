//! The program of every board with a link: serves a model to a host.
//!
//! A board's `main` sets up clocks, lines, flash and an LED, and passes them to [`serve`]; everything else is shared:
//!
//! - `port`: the lines to hosts, one session at a time;
//! - `server`: what every request does, a file for each kind of work;
//! - `about`: the description of the program that `atto flash` reads from its ELF file.
//!
//! A [`Session`](attoformer::Session) is opened for each request and closed after it, so no request depends on an earlier one, and the flash is never
//! written while a model is in use.
#![no_std]

mod about;
mod board;
mod key;
mod port;
mod server;

pub use about::{ABOUT_BYTES, about};
pub use attoformer_slots::MappedFlash;
pub use board::{Board, Counts, Line};
pub use key::BUILT_IN_KEY;
pub use server::{Parts, Server, serve};
