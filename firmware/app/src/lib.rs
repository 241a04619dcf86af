//! The program of every real board: serves a model over the link.
//!
//! A board's `main` sets up clocks, a byte line, flash and an LED, and passes them on; everything else is shared.
#![no_std]

mod board;

pub use board::{Board, Line};
