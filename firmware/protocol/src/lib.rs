//! Code that hosts and boards share.
//!
//! - [`link`]: messages over a byte line (UART, USB CDC, TCP), with everything lost, doubled or damaged sent again;
//! - [`boards`]: the table of boards and their memory;
//! - [`job`]: one job for an emulated machine, without a link.
#![no_std]

pub mod boards;
pub mod job;
pub mod link;
