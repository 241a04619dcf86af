//! The request that `atto flash` sends.

use std::io::Read;
use std::path::PathBuf;

use serde::Deserialize;

use crate::error::ProbeError;

/// The request.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// Name of the chip in probe-rs.
    pub chip: String,
    /// Check everything and write nothing.
    pub dry_run: bool,
    /// The probe, as `VID:PID` or `VID:PID:SERIAL`; needed where several are connected.
    #[serde(default)]
    pub probe: Option<String>,
    /// Bytes to write.
    pub segments: Vec<Segment>,
}

/// A file with the bytes from an address on.
#[derive(Debug, Deserialize)]
pub struct Segment {
    /// Address of the first byte.
    pub address: u64,
    /// The file.
    pub file: PathBuf,
}

/// Reads a request.
///
/// # Errors
/// [`ProbeError::Request`].
pub fn read(input: impl Read) -> Result<Request, ProbeError> {
    serde_json::from_reader(input).map_err(|error| ProbeError::Request(error.to_string()))
}

impl Request {
    /// Addresses and bytes of all segments.
    ///
    /// # Errors
    /// [`ProbeError::Io`].
    pub fn read_segments(&self) -> Result<Vec<(u64, Vec<u8>)>, ProbeError> {
        let read = |segment: &Segment| {
            let bytes = std::fs::read(&segment.file).map_err(|source| ProbeError::Io { path: segment.file.clone(), source })?;
            Ok((segment.address, bytes))
        };
        self.segments.iter().map(read).collect()
    }
}
