//! Frames: bytes on the line.
//!
//! `kind (1), session (2), number (1), payload (0 to 240), CRC-32 (4)`, all little-endian, in COBS, then a zero byte. The CRC is that of zip and Ethernet
//! (ISO-HDLC), over everything before it.

use cobs::{DecodeResult, DecoderState};
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// Bytes of the largest payload.
pub const MAX_PAYLOAD: usize = 240;
/// Bytes before the payload.
const HEADER: usize = 4;
/// Bytes of the checksum.
const CHECKSUM: usize = 4;
/// Bytes of the largest frame before COBS; below 254, so COBS adds one byte.
const MAX_BODY: usize = HEADER + MAX_PAYLOAD + CHECKSUM;
/// Bytes of the largest frame on the line: the COBS code, the body, the zero byte.
pub const MAX_FRAME: usize = MAX_BODY + 2;

/// No table: a frame's checksum is cheap beside the line, and a table would cost 1 KB of flash.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The purpose of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Host: opens a session; the payload is [`super::VERSION`].
    Connect = 0,
    /// Board: the session is open; the payload is the board's version of the link.
    Accept = 1,
    /// Board: another session is open, or the version differs; the payload is the board's version of the link.
    Refuse = 2,
    /// A message; `number` counts the sender's messages.
    Data = 3,
    /// All messages before `number` have arrived.
    Ack = 4,
    /// Message `number` is missing or damaged: send it and those after it again.
    Nak = 5,
    /// Host: the session lives; answered by [`Kind::Ack`].
    Ping = 6,
    /// The session ends.
    Close = 7,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        let kinds = [Kind::Connect, Kind::Accept, Kind::Refuse, Kind::Data, Kind::Ack, Kind::Nak, Kind::Ping, Kind::Close];
        kinds.get(usize::from(byte)).copied()
    }
}

/// A decoded frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its purpose.
    pub kind: Kind,
    /// The session, a number that the host chose.
    pub session: u16,
    /// Number of a message, modulo 256.
    pub number: u8,
    /// The payload.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Encodes the frame for the line and passes its bytes to `write`. A payload beyond [`MAX_PAYLOAD`] is not sent: no receiver could take it.
    pub fn encode(&self, write: &mut dyn FnMut(&[u8])) {
        let (mut body, mut line) = ([0; MAX_BODY], [0; MAX_FRAME]);
        let [low, high] = self.session.to_le_bytes();
        let header = [self.kind as u8, low, high, self.number];
        let mut digest = CRC.digest();
        digest.update(&header);
        digest.update(self.payload);
        let checksum = digest.finalize().to_le_bytes();
        let mut end = 0;
        for part in [&header[..], self.payload, &checksum] {
            let Some(room) = body.get_mut(end..).and_then(|room| room.get_mut(..part.len())) else { return };
            room.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            end += part.len();
        }
        let encoded = cobs::try_encode(body.get(..end).unwrap_or_default(), &mut line);
        // The zero byte that ends the frame is already there.
        if let Some(bytes) = encoded.ok().and_then(|bytes| line.get(..=bytes)) {
            write(bytes);
        }
    }
}

/// Something that ended with a zero byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// Bytes that are not a frame: too many, wrongly encoded, with a wrong checksum or of an unknown kind.
    Damaged,
}

/// Collects bytes of the line until they are a frame.
#[derive(Debug)]
pub struct Reader {
    body: [u8; MAX_BODY],
    len: usize,
    cobs: DecoderState,
    /// Whether the bytes since the last zero are not a frame; they are skipped.
    is_damaged: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// A reader at the start of a frame.
    #[must_use]
    pub const fn new() -> Self {
        Self { body: [0; MAX_BODY], len: 0, cobs: DecoderState::Idle, is_damaged: false }
    }

    /// Takes one byte; returns what it completes. Empty frames are nothing: a sender may begin with a zero byte to end what noise left.
    pub fn push(&mut self, byte: u8) -> Option<Received<'_>> {
        let result = if self.is_damaged && byte != 0 { return None } else { self.cobs.feed(byte) };
        match result {
            Ok(DecodeResult::DataContinue(byte)) => self.store(byte),
            Ok(_) => {}
            Err(_) => self.is_damaged = true,
        }
        if byte != 0 {
            return None;
        }
        let len = core::mem::take(&mut self.len);
        let is_damaged = core::mem::take(&mut self.is_damaged);
        self.cobs = DecoderState::Idle;
        if len == 0 && !is_damaged {
            return None;
        }
        let body = self.body.get(..len).unwrap_or_default();
        Some(if is_damaged { Received::Damaged } else { parse(body).map_or(Received::Damaged, Received::Frame) })
    }

    fn store(&mut self, byte: u8) {
        match self.body.get_mut(self.len) {
            Some(place) => {
                *place = byte;
                self.len += 1;
            }
            None => self.is_damaged = true,
        }
    }
}

/// The frame that these bytes are.
fn parse(body: &[u8]) -> Option<Frame<'_>> {
    let (rest, checksum) = body.split_last_chunk::<CHECKSUM>()?;
    if CRC.checksum(rest).to_le_bytes() != *checksum {
        return None;
    }
    let (&[kind, low, high, number], payload) = rest.split_first_chunk::<HEADER>()?;
    Some(Frame { kind: Kind::from_byte(kind)?, session: u16::from_le_bytes([low, high]), number, payload })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{Frame, Kind, MAX_FRAME, MAX_PAYLOAD, Reader, Received};
    use std::{vec, vec::Vec};

    fn line(frame: &Frame<'_>) -> Vec<u8> {
        let mut line = Vec::new();
        frame.encode(&mut |bytes| line.extend_from_slice(bytes));
        line
    }

    #[test]
    fn the_bytes_on_the_line_are_those_of_the_description() {
        // Python: zlib.crc32(bytes([6, 0x34, 0x12, 7])) == 0xc1dd28fc.
        let ping = Frame { kind: Kind::Ping, session: 0x1234, number: 7, payload: &[] };
        assert_eq!(line(&ping), [9, 6, 0x34, 0x12, 7, 0xfc, 0x28, 0xdd, 0xc1, 0]);
    }

    #[test]
    fn every_length_arrives_as_it_was_sent() {
        let mut reader = Reader::new();
        for length in 0..=MAX_PAYLOAD {
            let payload: Vec<u8> = (0..length).map(|at| (at % 3) as u8).collect();
            let frame = Frame { kind: Kind::Data, session: 9, number: 255, payload: &payload };
            let line = line(&frame);
            assert!(line.len() <= MAX_FRAME, "{} bytes", line.len());
            let (last, before) = line.split_last().unwrap();
            assert!(before.iter().all(|&byte| byte != 0 && reader.push(byte).is_none()));
            assert_eq!(reader.push(*last), Some(Received::Frame(frame)));
        }
        assert_eq!(line(&Frame { kind: Kind::Data, session: 9, number: 0, payload: &vec![1; MAX_PAYLOAD + 1] }), []);
    }

    #[test]
    fn a_frame_follows_any_damage() {
        let frame = Frame { kind: Kind::Data, session: 1, number: 2, payload: b"abc" };
        let whole = line(&frame);
        for noise in [vec![0; 5], vec![7; 1000], vec![255; 300], whole[..4].to_vec(), vec![3, 1, 0, 2, 1, 0]] {
            let mut reader = Reader::new();
            noise.iter().chain(&[0]).for_each(|&byte| assert!(!matches!(reader.push(byte), Some(Received::Frame(_)))));
            let last = whole.iter().filter_map(|&byte| reader.push(byte).map(|found| found == Received::Frame(frame))).last();
            assert_eq!(last, Some(true));
        }
        for at in 0..whole.len() - 1 {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let mut reader = Reader::new();
                assert!(!damaged.iter().any(|&byte| matches!(reader.push(byte), Some(Received::Frame(_)))), "bit {bit} of byte {at}");
            }
        }
    }
}
