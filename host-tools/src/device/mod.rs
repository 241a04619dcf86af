//! Boards over their link: the host's side of [`attoformer_protocol::link`].
//!
//! [`transport`] carries bytes (a serial port, TCP), [`client`] messages; [`requests`] and [`upload`] are what can be asked of a board.

pub mod client;
pub mod error;
pub mod ports;
pub mod requests;
pub mod transport;
pub mod upload;

pub use client::Client;
pub use error::DeviceError;
