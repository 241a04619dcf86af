//! One end of a session: messages arrive whole, once and in order, over a line that loses, doubles and damages bytes.
//!
//! Go-back-N: up to [`WINDOW`] messages are on the way; the receiver acknowledges those that arrive in order and asks at once, with a negative
//! acknowledgement, for the first that does not. What stays unanswered is sent again after a time that doubles while the other end is silent.

use super::frame::{Frame, Kind, MAX_PAYLOAD, Received};

/// Messages on the way at most. A receiver that computes needs room for this many frames in its line's buffer.
pub const WINDOW: usize = 4;
/// Time-out of a message before the line's round trip is known, and the longest while the other end answers, milliseconds.
const FIRST_TIMEOUT: u32 = 250;
/// Shortest time-out of a message, milliseconds.
const LEAST_TIMEOUT: u32 = 40;
/// Longest time-out of a message, milliseconds.
const LAST_TIMEOUT: u32 = 2_000;

/// Output of an endpoint: takes the bytes of whole frames.
pub type Write<'w> = &'w mut dyn FnMut(&[u8]);

/// A message on the way.
#[derive(Clone, Copy, Debug)]
struct Message {
    bytes: [u8; MAX_PAYLOAD],
    len: usize,
}

/// One end of a session.
#[derive(Debug)]
pub struct Endpoint {
    session: u16,
    /// Messages on the way: number `first + i` at index `(first + i) % WINDOW`.
    window: [Message; WINDOW],
    /// Number of the oldest message on the way.
    first: u8,
    /// Messages on the way.
    count: u8,
    /// Number of the message that is expected next.
    expected: u8,
    /// Damaged or early frames to ignore before the next negative acknowledgement: those that were on the way with the missing one.
    patience: u8,
    /// When the oldest message was sent last.
    sent_at: u32,
    timeout: u32,
    /// Mean time from sending the oldest message to its acknowledgement, in eighths of a millisecond.
    round_trip: u32,
    /// Whether the oldest message was sent again: its acknowledgement tells nothing about the round trip.
    is_repeated: bool,
    /// When the last frame of the session arrived.
    heard_at: u32,
    resent: u32,
}

impl Endpoint {
    /// An endpoint of the session that begins now.
    #[must_use]
    pub const fn new(session: u16, now: u32) -> Self {
        Self {
            session,
            window: [Message { bytes: [0; MAX_PAYLOAD], len: 0 }; WINDOW],
            first: 0,
            count: 0,
            expected: 0,
            patience: 0,
            sent_at: now,
            timeout: FIRST_TIMEOUT,
            round_trip: FIRST_TIMEOUT * 2,
            is_repeated: false,
            heard_at: now,
            resent: 0,
        }
    }

    /// The session's number.
    #[must_use]
    pub const fn session(&self) -> u16 {
        self.session
    }

    /// Whether another message can be sent now.
    #[must_use]
    pub const fn can_send(&self) -> bool {
        (self.count as usize) < WINDOW
    }

    /// Whether every message has arrived.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.count == 0
    }

    /// Milliseconds since the last frame of the other end.
    #[must_use]
    pub const fn silent_for(&self, now: u32) -> u32 {
        now.wrapping_sub(self.heard_at)
    }

    /// Messages that were sent again so far.
    #[must_use]
    pub const fn resent(&self) -> u32 {
        self.resent
    }

    /// Sends a message. False if it is not sent: too many are on the way, or it is longer than [`MAX_PAYLOAD`].
    pub fn send(&mut self, payload: &[u8], now: u32, write: Write<'_>) -> bool {
        let number = self.first.wrapping_add(self.count);
        let free = self.can_send();
        let Some(place) = self.window.get_mut(usize::from(number) % WINDOW).filter(|_| free) else { return false };
        let Some(room) = place.bytes.get_mut(..payload.len()) else { return false };
        room.iter_mut().zip(payload).for_each(|(to, from)| *to = *from);
        place.len = payload.len();
        if self.count == 0 {
            self.sent_at = now;
        }
        self.count += 1;
        Frame { kind: Kind::Data, session: self.session, number, payload }.encode(write);
        true
    }

    /// Tells the other end that the session lives.
    pub fn ping(&self, write: Write<'_>) {
        self.control(Kind::Ping, self.expected, write);
    }

    /// Ends the session.
    pub fn close(&self, write: Write<'_>) {
        self.control(Kind::Close, self.expected, write);
    }

    fn control(&self, kind: Kind, number: u8, write: Write<'_>) {
        Frame { kind, session: self.session, number, payload: &[] }.encode(write);
    }

    /// Handles what arrived; returns the message that it brings, if it is the expected one.
    pub fn receive<'f>(&mut self, received: Received<'f>, now: u32, write: Write<'_>) -> Option<&'f [u8]> {
        let frame = match received {
            Received::Frame(frame) if frame.session == self.session => frame,
            Received::Frame(_) => return None,
            Received::Damaged => {
                self.complain(write);
                return None;
            }
        };
        self.heard_at = now;
        match frame.kind {
            Kind::Data => return self.accept(&frame, write),
            Kind::Ack => self.acknowledge(frame.number, now),
            Kind::Nak => {
                self.acknowledge(frame.number, now);
                if self.count > 0 && frame.number == self.first {
                    self.resend(now, write);
                }
            }
            Kind::Ping => self.control(Kind::Ack, self.expected, write),
            Kind::Connect | Kind::Accept | Kind::Refuse | Kind::Close => {}
        }
        None
    }

    /// Takes a message if it is the expected one. One that arrived before is acknowledged again; a later one shows that the expected one is lost.
    fn accept<'f>(&mut self, frame: &Frame<'f>, write: Write<'_>) -> Option<&'f [u8]> {
        let ahead = frame.number.wrapping_sub(self.expected);
        if ahead == 0 {
            self.expected = self.expected.wrapping_add(1);
            self.patience = 0;
            self.control(Kind::Ack, self.expected, write);
            return Some(frame.payload);
        }
        if usize::from(ahead) < WINDOW {
            self.complain(write);
        } else {
            self.control(Kind::Ack, self.expected, write);
        }
        None
    }

    /// Asks for the expected message, but once for all frames that were on the way with it.
    fn complain(&mut self, write: Write<'_>) {
        if self.patience == 0 {
            self.patience = WINDOW as u8;
            self.control(Kind::Nak, self.expected, write);
        } else {
            self.patience -= 1;
        }
    }

    /// Removes the messages before `number` from the window.
    fn acknowledge(&mut self, number: u8, now: u32) {
        let arrived = number.wrapping_sub(self.first);
        if arrived == 0 || arrived > self.count {
            return;
        }
        if !self.is_repeated {
            let measured = now.wrapping_sub(self.sent_at).min(FIRST_TIMEOUT);
            self.round_trip = self.round_trip - self.round_trip / 8 + measured;
        }
        self.first = number;
        self.count -= arrived;
        self.sent_at = now;
        self.is_repeated = false;
        self.timeout = self.patient_timeout();
    }

    /// Four round trips, within bounds.
    fn patient_timeout(&self) -> u32 {
        (self.round_trip / 2).clamp(LEAST_TIMEOUT, FIRST_TIMEOUT)
    }

    /// Sends everything on the way again if the oldest message has been unanswered for too long. To be called often.
    pub fn tick(&mut self, now: u32, write: Write<'_>) {
        if self.count > 0 && now.wrapping_sub(self.sent_at) >= self.timeout {
            // The other end answers, so the line is bad and not the other end busy.
            let answers = self.silent_for(now) < self.timeout;
            self.timeout = if answers { self.patient_timeout() } else { (self.timeout * 2).min(LAST_TIMEOUT) };
            self.resend(now, write);
        }
    }

    fn resend(&mut self, now: u32, write: Write<'_>) {
        (self.sent_at, self.is_repeated) = (now, true);
        for ahead in 0..self.count {
            let number = self.first.wrapping_add(ahead);
            let Some(message) = self.window.get(usize::from(number) % WINDOW) else { continue };
            let payload = message.bytes.get(..message.len).unwrap_or_default();
            Frame { kind: Kind::Data, session: self.session, number, payload }.encode(write);
            self.resent = self.resent.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{Endpoint, WINDOW};
    use crate::link::frame::Reader;
    use std::{collections::VecDeque, vec::Vec};

    /// A line that damages bytes at a rate of parts in 1,000, one byte of time a step each way.
    struct Line {
        bytes: VecDeque<u8>,
        random: u64,
        rate: u64,
    }

    impl Line {
        fn random(&mut self) -> u64 {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.random >> 33
        }

        fn send(&mut self, bytes: &[u8]) {
            for &byte in bytes {
                match self.random() % 1_000 {
                    chance if chance >= self.rate => self.bytes.push_back(byte),
                    chance if chance % 3 == 0 => {}
                    chance if chance % 3 == 1 => self.bytes.extend([byte, byte]),
                    _ => {
                        let bit = self.random() % 8;
                        self.bytes.push_back(byte ^ 1 << bit);
                    }
                }
            }
        }
    }

    /// Sends messages both ways until all have arrived; returns the milliseconds at 12 bytes a millisecond.
    fn exchange(rate: u64, length: usize, seed: u64) -> u32 {
        let mut lines = [0, 1].map(|line| Line { bytes: VecDeque::new(), random: seed * 2 + line, rate });
        let mut ends = [Endpoint::new(5, 0), Endpoint::new(5, 0)];
        let mut readers = [Reader::new(), Reader::new()];
        let (mut sent, mut received) = ([0_u32; 2], [Vec::new(), Vec::new()]);
        for now in 0..600_000 {
            for end in 0..2 {
                let (line_out, line_in) = (end, 1 - end);
                let mut output = Vec::new();
                while sent[end] < 200 && ends[end].can_send() {
                    let message: Vec<u8> = (0..length as u32).map(|at| (sent[end] + at) as u8).collect();
                    assert!(ends[end].send(&message, now, &mut |bytes| output.extend_from_slice(bytes)));
                    sent[end] += 1;
                }
                for _ in 0..12 {
                    let Some(byte) = lines[line_in].bytes.pop_front() else { break };
                    let Some(frame) = readers[end].push(byte) else { continue };
                    if let Some(message) = ends[end].receive(frame, now, &mut |bytes| output.extend_from_slice(bytes)) {
                        received[end].push(message.to_vec());
                    }
                }
                ends[end].tick(now, &mut |bytes| output.extend_from_slice(bytes));
                lines[line_out].send(&output);
            }
            if received.iter().all(|messages| messages.len() == 200) && ends.iter().all(Endpoint::is_idle) {
                for messages in received {
                    for (number, message) in messages.iter().enumerate() {
                        assert!(message.iter().enumerate().all(|(at, &byte)| byte == (number + at) as u8), "message {number}");
                    }
                }
                return now;
            }
        }
        panic!("not all messages arrived: {:?}", received.map(|messages| messages.len()));
    }

    #[test]
    fn messages_arrive_once_and_in_order_on_a_bad_line() {
        let clean = exchange(0, 32, 1);
        assert!(clean < 2_000, "a clean line is used well: {clean} ms");
        for seed in 1..40 {
            exchange(10, 32, seed);
            exchange(30, 32, seed);
            exchange(10, 100, seed);
        }
    }

    #[test]
    fn a_full_window_takes_no_more() {
        let mut end = Endpoint::new(1, 0);
        for _ in 0..WINDOW {
            assert!(end.send(&[1], 0, &mut |_| {}));
        }
        assert!(!end.send(&[1], 0, &mut |_| {}));
        assert!(!end.can_send() && !end.is_idle());
    }
}
