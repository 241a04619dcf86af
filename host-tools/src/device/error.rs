//! Failures of a conversation with a board.

use std::io;

/// The reason why a board could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The line cannot be opened, read or written.
    #[error("{port}: {source}")]
    Line {
        /// The port.
        port: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Nothing answers.
    #[error("{port}: no board answers; check the cable and the board's firmware, or whether another program uses the port")]
    NoAnswer {
        /// The port.
        port: String,
    },
    /// The board stopped answering.
    #[error("{port}: the board stopped answering; reset it")]
    Silent {
        /// The port.
        port: String,
    },
    /// The board talks to another host.
    #[error("{port}: the board is in use by another program; end that program first")]
    Busy {
        /// The port.
        port: String,
    },
    /// The board restarted, or another host took over.
    #[error("{port}: the board has ended the session: it was restarted, or another program took over; try again")]
    Ended {
        /// The port.
        port: String,
    },
    /// The board's link has another version.
    #[error(
        "{port}: the board speaks version {board} of the link, this `atto` version {host}; use firmware and `atto` of the same release"
    )]
    Version {
        /// The port.
        port: String,
        /// Version of the board.
        board: u8,
        /// Version of this program.
        host: u8,
    },
    /// The board refuses or fails a request.
    #[error("{port}: {sentence}")]
    Refused {
        /// The port.
        port: String,
        /// The board's reason.
        sentence: String,
    },
    /// The board's reply does not belong to the request.
    #[error("{port}: the board's reply cannot be understood; use firmware and `atto` of the same release")]
    Reply {
        /// The port.
        port: String,
    },
    /// No board was found on USB.
    #[error("no board found on USB; connect one, or name its port with --port")]
    NotFound,
    /// Several boards were found on USB.
    #[error("several boards found ({ports}); choose one with --port")]
    Several {
        /// Their ports.
        ports: String,
    },
    /// The port's name is not a serial port or `tcp:HOST:PORT`.
    #[error("{port}: not a TCP address; write tcp:HOST:PORT, such as tcp:127.0.0.1:7000")]
    Address {
        /// The name.
        port: String,
    },
}
