//! Any bytes on a board's line and in its flash: it always answers the next host, and runs nothing but a whole model.
//!
//! Input: operations, each `kind (1), length (2), bytes`: noise on the line, a frame of any kind, the next message of the open session, flash content
//! followed by a restart.
#![no_main]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use attoformer_app::{Board, Counts, Line, MappedFlash, Parts, Server};
use attoformer_protocol::boards::{Board as About, MPS2_AN386, ModelFlash};
use attoformer_protocol::link::VERSION;
use attoformer_protocol::link::frame::{Frame, Kind, MAX_PAYLOAD, Reader, Received};
use attoformer_protocol::link::message::{Reply, Request};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};
use libfuzzer_sys::fuzz_target;

/// A small model of the image target's seeds; the last byte holds flags of that target.
static MODEL: &[u8] = include_bytes!("../seeds/image_step/llama-mixed");
static ABOUT: About = About {
    models: ModelFlash { journal: 0, journal_sector: 512, slots: [1024, 1024 + SLOT], slot_bytes: SLOT, sector: 512 },
    ..MPS2_AN386
};
const SLOT: u32 = 16 * 1024;
const FLASH: usize = 1024 + 2 * SLOT as usize;
const ARENA: usize = 64 * 1024;
/// Session of the messages, and of the host that comes last.
const SESSIONS: [u16; 2] = [7, 8];

fuzz_target!(|data: &[u8]| {
    let mut flash = Memory(vec![u128::MAX; FLASH / 16]);
    flash.bytes_mut()[1024..][..MODEL.len() - 1].copy_from_slice(&MODEL[..MODEL.len() - 1]);
    let mut rest = data;
    // The operations up to a restart are one run of the program; each run takes at least one.
    while rest.len() >= 3 {
        rest = run(&mut flash, rest);
    }
    run(&mut flash, &[]);
});

/// Runs the program on the operations up to a restart, then checks that it answers a host. Returns the operations that are left.
fn run<'d>(flash: &mut Memory, mut data: &'d [u8]) -> &'d [u8] {
    let line = Rc::new(RefCell::new(Wire { now: 0, input: VecDeque::new(), output: Vec::new() }));
    let mut end = End(Rc::clone(&line));
    let mut lines: [&mut dyn Line; 1] = [&mut end];
    let mut arena = vec![0_u128; ARENA / 16 + 4];
    let arena = zerocopy::IntoBytes::as_mut_bytes(&mut arena[..]);
    let skipped = arena.as_ptr().align_offset(64);
    let mut restart: Option<&[u8]> = None;
    {
        let arena = &mut arena[skipped..][..ARENA];
        let board = Clock(Rc::clone(&line));
        let mut server = Server::new(Parts { board, lines: &mut lines, flash: &mut *flash, arena, about: &ABOUT, key: None });
        let mut number = 0;
        while let Some((header, after)) = data.split_first_chunk::<3>() {
            let length = usize::from(u16::from_le_bytes([header[1], header[2]])).min(after.len());
            let (bytes, next) = after.split_at(length);
            data = next;
            match header[0] % 4 {
                0 => line.borrow_mut().input.extend(bytes),
                1 => any_frame(bytes, &line),
                2 => message(bytes, &mut number, &line),
                _ => {
                    restart = Some(bytes);
                    break;
                }
            }
            (0..4).for_each(|_| server.step());
        }
        answers(&mut server, &line);
    }
    if let Some(content) = restart {
        let content = &content[..content.len().min(FLASH)];
        flash.bytes_mut()[..content.len()].copy_from_slice(content);
    }
    data
}

fn send(frame: &Frame<'_>, line: &RefCell<Wire>) {
    frame.encode(&mut |bytes| line.borrow_mut().input.extend(bytes));
}

fn any_frame(bytes: &[u8], line: &RefCell<Wire>) {
    let [kind, session, number, payload @ ..] = bytes else { return };
    let kinds = [Kind::Connect, Kind::Accept, Kind::Refuse, Kind::Data, Kind::Ack, Kind::Nak, Kind::Ping, Kind::Close];
    let kind = kinds[usize::from(*kind) % kinds.len()];
    send(&Frame { kind, session: u16::from(*session % 4) + 6, number: *number, payload: &payload[..payload.len().min(MAX_PAYLOAD)] }, line);
}

/// The next message of a host, which opens its session before the first one and acknowledges all that arrives.
fn message(bytes: &[u8], number: &mut u8, line: &RefCell<Wire>) {
    let session = SESSIONS[0];
    send(&Frame { kind: Kind::Connect, session, number: 0, payload: &[VERSION] }, line);
    send(&Frame { kind: Kind::Data, session, number: *number, payload: &bytes[..bytes.len().min(MAX_PAYLOAD)] }, line);
    *number = number.wrapping_add(1);
    for acknowledged in 0..=255 {
        send(&Frame { kind: Kind::Ack, session, number: acknowledged, payload: &[] }, line);
    }
}

/// A new host is served, whatever came before it.
fn answers(server: &mut Server<'_, Clock, &mut Memory>, line: &RefCell<Wire>) {
    let session = SESSIONS[1];
    // Whoever was there has been silent for long.
    (0..4).for_each(|_| server.step());
    line.borrow_mut().now += 60_000;
    line.borrow_mut().output.clear();
    let mut request = [0; MAX_PAYLOAD];
    let request = postcard::to_slice(&Request::Hello, &mut request).expect("it fits");
    line.borrow_mut().input.extend([0]);
    send(&Frame { kind: Kind::Close, session: SESSIONS[0], number: 0, payload: &[] }, line);
    send(&Frame { kind: Kind::Connect, session, number: 0, payload: &[VERSION] }, line);
    send(&Frame { kind: Kind::Data, session, number: 0, payload: request }, line);
    (0..40).for_each(|_| server.step());
    let (mut reader, mut is_answered) = (Reader::new(), false);
    for byte in std::mem::take(&mut line.borrow_mut().output) {
        if let Some(Received::Frame(frame)) = reader.push(byte)
            && frame.session == session
            && let Ok(Reply::Hello(hello)) = postcard::from_bytes(frame.payload)
        {
            assert_eq!(hello.board, ABOUT.name);
            is_answered = true;
        }
    }
    assert!(is_answered, "the board does not answer");
}

/// The line and the time on it.
struct Wire {
    now: u32,
    input: VecDeque<u8>,
    output: Vec<u8>,
}

struct End(Rc<RefCell<Wire>>);

impl Line for End {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let input = &mut self.0.borrow_mut().input;
        let count = bytes.len().min(input.len());
        bytes.iter_mut().zip(input.drain(..count)).for_each(|(to, from)| *to = from);
        count
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.borrow_mut().output.extend_from_slice(bytes);
    }
}

struct Clock(Rc<RefCell<Wire>>);

impl Board for Clock {
    fn millis(&mut self) -> u32 {
        self.0.borrow().now
    }

    fn ticks(&mut self) -> u64 {
        0
    }

    fn ticks_per_second(&self) -> u32 {
        1
    }

    fn counts(&self) -> Counts {
        Counts::Time
    }

    fn led(&mut self, _: bool) {}

    fn idle(&mut self) {
        self.0.borrow_mut().now += 100;
    }
}

/// Flash, aligned for images.
struct Memory(Vec<u128>);

impl Memory {
    fn bytes_mut(&mut self) -> &mut [u8] {
        zerocopy::IntoBytes::as_mut_bytes(&mut self.0[..])
    }

    fn part(&mut self, offset: u32, len: usize) -> Result<&mut [u8], NorFlashErrorKind> {
        self.bytes_mut().get_mut(offset as usize..).and_then(|rest| rest.get_mut(..len)).ok_or(NorFlashErrorKind::OutOfBounds)
    }
}

impl ErrorType for Memory {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Memory {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.copy_from_slice(self.part(offset, bytes.len())?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        FLASH
    }
}

impl NorFlash for Memory {
    const WRITE_SIZE: usize = 32;
    const ERASE_SIZE: usize = 512;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        self.part(from, to.saturating_sub(from) as usize)?.fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        let part = self.part(offset, bytes.len())?;
        part.iter_mut().zip(bytes).for_each(|(to, from)| *to &= *from);
        Ok(())
    }
}

impl MappedFlash for &mut Memory {
    const BASE: u32 = 0;

    fn bytes(&self, offset: u32, len: u32) -> &[u8] {
        let bytes: &[u8] = zerocopy::IntoBytes::as_bytes(&self.0[..]);
        bytes.get(offset as usize..).and_then(|rest| rest.get(..len as usize)).unwrap_or_default()
    }
}
