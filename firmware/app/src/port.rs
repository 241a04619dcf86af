//! The lines to hosts, and the one session that is open on one of them.

use attoformer_protocol::link::VERSION;
use attoformer_protocol::link::endpoint::Endpoint;
use attoformer_protocol::link::frame::{Frame, Kind, MAX_PAYLOAD, Reader, Received};
use attoformer_protocol::link::message::Reply;
use heapless::Vec;

use crate::board::{Board, Line};

/// Lines of a board at most.
pub const MAX_LINES: usize = 2;
/// A host that is silent for so long may be replaced by another one, milliseconds. Hosts ping twice a second.
const IN_USE: u32 = 3_000;
/// A host that is silent for so long is gone: its request ends, milliseconds.
const GONE: u32 = 30_000;
/// Bytes taken from a line at once.
const PIECE: usize = 64;

/// A message of the host.
pub type Message = Vec<u8, MAX_PAYLOAD>;

/// The lines and the session.
pub struct Port<'l> {
    lines: &'l mut [&'l mut dyn Line],
    readers: [Reader; MAX_LINES],
    /// Bytes that were taken from a line after the message in `inbox`.
    rest: [Vec<u8, PIECE>; MAX_LINES],
    /// The open session and its line.
    open: Option<(usize, Endpoint)>,
    inbox: Option<Message>,
    /// Whether the board waits for acknowledgements. It then reads past an unhandled message; a second message is not acknowledged, so the host
    /// sends it again.
    reads_on: bool,
}

impl<'l> Port<'l> {
    /// A port with no session.
    pub fn new(lines: &'l mut [&'l mut dyn Line]) -> Self {
        Self { lines, readers: [Reader::new(), Reader::new()], rest: [Vec::new(), Vec::new()], open: None, inbox: None, reads_on: false }
    }

    /// Handles what has arrived, up to the next message, and sends again what was lost.
    pub fn poll(&mut self, now: u32) {
        for index in 0..self.lines.len().min(MAX_LINES) {
            while (self.inbox.is_none() || self.reads_on) && self.refill(index) {
                let bytes = self.rest.get_mut(index).map(core::mem::take).unwrap_or_default();
                let used = self.handle_bytes(index, &bytes, now);
                if let Some(rest) = self.rest.get_mut(index) {
                    // Fits: it is a part of what a piece held.
                    let _ = rest.extend_from_slice(bytes.get(used..).unwrap_or_default());
                }
            }
        }
        if let Some((line, endpoint)) = &mut self.open
            && let Some(line) = self.lines.get_mut(*line)
        {
            endpoint.tick(now, &mut |bytes| line.write(bytes));
        }
    }

    /// Takes bytes from a line if none are left; false if there are none.
    fn refill(&mut self, index: usize) -> bool {
        let (Some(rest), Some(line)) = (self.rest.get_mut(index), self.lines.get_mut(index)) else { return false };
        if rest.is_empty() {
            let mut piece = [0; PIECE];
            let taken = line.read(&mut piece);
            let _ = rest.extend_from_slice(piece.get(..taken).unwrap_or_default());
        }
        !rest.is_empty()
    }

    /// Handles bytes until a message is complete; returns how many.
    fn handle_bytes(&mut self, index: usize, bytes: &[u8], now: u32) -> usize {
        let (Some(reader), Some(line)) = (self.readers.get_mut(index), self.lines.get_mut(index)) else { return bytes.len() };
        let mut used = 0;
        for &byte in bytes {
            used += 1;
            if let Some(received) = reader.push(byte) {
                handle(&mut self.open, &mut self.inbox, index, received, &mut **line, now);
                if self.inbox.is_some() && !self.reads_on {
                    break;
                }
            }
        }
        used
    }

    /// Takes the next message.
    pub fn take(&mut self) -> Option<Message> {
        self.inbox.take()
    }

    /// The message that waits.
    pub fn waiting(&self) -> Option<&Message> {
        self.inbox.as_ref()
    }

    /// Whether a host is there. Ends the session of one that has been silent for too long.
    pub fn is_open(&mut self, now: u32) -> bool {
        if self.open.as_ref().is_some_and(|(_, endpoint)| endpoint.silent_for(now) > GONE) {
            self.open = None;
        }
        self.open.is_some()
    }

    /// Sends a reply; waits while too many are on the way. Nothing is sent without a host.
    pub fn send(&mut self, board: &mut impl Board, reply: &Reply<'_>) {
        let mut buffer = [0; MAX_PAYLOAD];
        let Ok(bytes) = postcard::to_slice(reply, &mut buffer) else { return };
        loop {
            let now = board.millis();
            if !self.is_open(now) {
                return;
            }
            let Some((line, endpoint)) = &mut self.open else { return };
            let Some(line) = self.lines.get_mut(*line) else { return };
            if endpoint.send(bytes, now, &mut |bytes| line.write(bytes)) {
                return;
            }
            board.idle();
            self.reads_on = true;
            self.poll(now);
            self.reads_on = false;
        }
    }
}

/// Handles a frame, or noise, of a line.
fn handle(
    open: &mut Option<(usize, Endpoint)>,
    inbox: &mut Option<Message>,
    index: usize,
    received: Received<'_>,
    line: &mut dyn Line,
    now: u32,
) {
    let mut write = |bytes: &[u8]| line.write(bytes);
    if let Received::Frame(frame) = received
        && frame.kind == Kind::Connect
    {
        return connect(open, index, &frame, &mut write, now);
    }
    match open {
        Some((line, endpoint)) if *line == index => {
            if matches!(received, Received::Frame(frame) if frame.kind == Kind::Close && frame.session == endpoint.session()) {
                *open = None;
            } else if inbox.is_some() && matches!(received, Received::Frame(frame) if frame.kind == Kind::Data) {
                // No room: it is not acknowledged and comes again.
            } else if let Some(message) = endpoint.receive(received, now, &mut write) {
                *inbox = Message::from_slice(message).ok();
            }
        }
        // The host of an earlier session learns that it has ended.
        _ => {
            if let Received::Frame(frame) = received
                && frame.kind != Kind::Close
            {
                Frame { kind: Kind::Close, payload: &[], ..frame }.encode(&mut write);
            }
        }
    }
}

/// Opens a session, unless another one is in use.
fn connect(open: &mut Option<(usize, Endpoint)>, index: usize, frame: &Frame<'_>, write: &mut dyn FnMut(&[u8]), now: u32) {
    let is_same = |(line, endpoint): &(usize, Endpoint)| *line == index && endpoint.session() == frame.session;
    let in_use = open.as_ref().is_some_and(|other| !is_same(other) && other.1.silent_for(now) < IN_USE);
    let accepts = !in_use && frame.payload.first() == Some(&VERSION);
    // A second request to connect asks for an answer that was lost.
    if accepts && !open.as_ref().is_some_and(is_same) {
        *open = Some((index, Endpoint::new(frame.session, now)));
    }
    let kind = if accepts { Kind::Accept } else { Kind::Refuse };
    Frame { kind, payload: &[VERSION], ..*frame }.encode(write);
}
