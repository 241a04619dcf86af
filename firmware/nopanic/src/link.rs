//! The link, the slots and the server, with a flash, a line and a board whose results the optimizer does not know.

use attoformer_app::{Board, Counts, Line, MappedFlash, Parts, Server};
use attoformer_protocol::boards::MPS2_AN386;
use attoformer_protocol::link::endpoint::Endpoint;
use attoformer_protocol::link::frame::Reader;
use core::hint::black_box;
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash};

/// Serves whatever arrives, and uses what a host's end needs beside it.
pub fn use_the_link(arena: &mut [u8]) {
    let (mut line, mut other) = (Port, Port);
    let mut lines: [&mut dyn Line; 2] = [&mut line, &mut other];
    let parts = Parts { board: Clock, lines: &mut lines, flash: Memory, arena, about: black_box(&MPS2_AN386), key: black_box(None) };
    let mut server = Server::new(parts);
    while black_box(true) {
        server.step();
    }
    let mut endpoint = Endpoint::new(black_box(1), black_box(1));
    let mut reader = Reader::new();
    if let Some(received) = reader.push(black_box(1)) {
        black_box(endpoint.receive(received, black_box(1), &mut |bytes| _ = black_box(bytes)));
    }
    endpoint.ping(&mut |bytes| _ = black_box(bytes));
    endpoint.close(&mut |bytes| _ = black_box(bytes));
    black_box((endpoint.resent(), endpoint.is_idle(), endpoint.session()));
}

struct Port;

impl Line for Port {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        black_box(bytes);
        black_box(1)
    }

    fn write(&mut self, bytes: &[u8]) {
        black_box(bytes);
    }
}

struct Clock;

impl Board for Clock {
    fn millis(&mut self) -> u32 {
        black_box(1)
    }

    fn ticks(&mut self) -> u64 {
        black_box(1)
    }

    fn ticks_per_second(&self) -> u32 {
        black_box(1)
    }

    fn counts(&self) -> Counts {
        black_box(Counts::Cycles)
    }

    fn led(&mut self, on: bool) {
        black_box(on);
    }
}

struct Memory;

impl ErrorType for Memory {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Memory {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Self::Error> {
        black_box((offset, bytes));
        black_box(Ok(()))
    }

    fn capacity(&self) -> usize {
        black_box(1)
    }
}

impl NorFlash for Memory {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 4096;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Self::Error> {
        black_box((from, to));
        black_box(Ok(()))
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Self::Error> {
        black_box((offset, bytes));
        black_box(Ok(()))
    }
}

impl MappedFlash for Memory {
    const BASE: u32 = 0x1000_0000;

    fn bytes(&self, offset: u32, len: u32) -> &[u8] {
        black_box((offset, len));
        black_box(&[])
    }
}
