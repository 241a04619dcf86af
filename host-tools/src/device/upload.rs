//! Uploads of an image into the slot that does not run.

use attoformer::Image;
use attoformer::image::{checksum, section};
use attoformer_protocol::link::message::{Done, Reply, Request, Upload};

use super::client::Client;
use super::error::DeviceError;
use super::transport::Transport;

/// Bytes of a chunk on a good line.
const LARGEST: usize = 224;
/// Bytes of a chunk on a bad line, where a short frame arrives whole more often.
const SMALLEST: usize = 32;
/// Chunks after which a line counts as good.
const GOOD: u32 = 32;

/// A finished upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The slot that runs now.
    pub slot: u8,
    /// Bytes that were there from an interrupted upload.
    pub resumed_at: u32,
    /// The board's figures of checks and self-test.
    pub done: Done,
}

/// Sends an image; `progress` receives the bytes that the board has been sent, of all.
///
/// # Errors
/// See [`Client`]; the previous model keeps running.
pub fn upload<T: Transport>(
    client: &mut Client<T>,
    image: &Image<'_>,
    min_version: Option<u32>,
    mut progress: impl FnMut(usize),
) -> Result<Uploaded, DeviceError> {
    let bytes = image.bytes();
    let upload = Upload {
        bytes: bytes.len() as u32,
        checksum: checksum(&[bytes]),
        version: image.model_version(),
        min_version,
        signature: image.section(section::SIGNATURE).first_chunk().copied(),
    };
    let (slot, resumed_at) = client.ask(&Request::Begin(upload), |reply| match reply {
        Reply::Resume { slot, at } => Some((slot, at)),
        _ => None,
    })?;
    let mut at = resumed_at as usize;
    let mut size = Chunk { bytes: LARGEST, good: 0, resent: client.resent() };
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let chunk = &rest[..size.next(client.resent()).min(rest.len())];
        client.send(&Request::Chunk(chunk))?;
        at += chunk.len();
        progress(at);
    }
    let done = client.ask(&Request::Finish, |reply| match reply {
        Reply::Done(done) => Some(done),
        _ => None,
    })?;
    Ok(Uploaded { slot, resumed_at, done })
}

/// The size of chunks, which follows the line's quality.
struct Chunk {
    bytes: usize,
    good: u32,
    resent: u32,
}

impl Chunk {
    /// The size of the next chunk: halved when messages were sent again, doubled after many that were not.
    fn next(&mut self, resent: u32) -> usize {
        if resent != self.resent {
            (self.bytes, self.good, self.resent) = ((self.bytes / 2).max(SMALLEST), 0, resent);
        } else {
            self.good += 1;
            if self.good >= GOOD {
                (self.bytes, self.good) = ((self.bytes * 2).min(LARGEST), 0);
            }
        }
        self.bytes
    }
}
