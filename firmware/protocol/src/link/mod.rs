//! The link between a host and a board, in three layers:
//!
//! 1. [`frame`]: a frame is at most [`frame::MAX_FRAME`] bytes: header, payload and CRC-32 in COBS, ended by a zero byte;
//! 2. [`endpoint`]: a session of numbered frames that are acknowledged, and sent again when lost (go-back-N with negative acknowledgements);
//! 3. [`message`]: [`message::Request`]s of the host and [`message::Reply`]s of the board, each the postcard payload of one frame.
//!
//! No layer reads a clock or does input and output: the caller passes the time and takes the bytes. So host and board run the same code, and a test runs
//! it on a simulated line. `docs/link.md` describes the bytes.

pub mod endpoint;
pub mod fault;
pub mod frame;
pub mod message;

/// Version of the link. A board answers another version with its own, and nothing else.
pub const VERSION: u8 = 1;
