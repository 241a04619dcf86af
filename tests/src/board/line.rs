//! A served model on a simulated line, in virtual time: a line of 12,000 bytes a second that loses, doubles and damages bytes. A request may have as
//! many replies as the link's window holds: host and board take turns.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use attoformer_app::{Board, Counts, Line, Parts, Server};
use attoformer_protocol::boards::{Board as About, MPS2_AN386};
use attoformer_tools::device::transport::Transport;

use super::nor::Nor;
use super::{ARENA, MAP};
use crate::random_model::Numbers;

/// Bytes that a direction moves in a millisecond.
const BYTES_PER_MS: usize = 12;
/// Bytes that the board's receive buffer holds, as on the Pico.
const BUFFER: usize = 1024;

/// One direction of the line.
#[derive(Default)]
struct Direction {
    sent: VecDeque<u8>,
    arrived: VecDeque<u8>,
}

/// The line and the time on it.
pub struct World {
    now: u32,
    to_board: Direction,
    to_host: Direction,
    /// Faulty bytes of 1,000.
    pub faults: usize,
    random: Numbers,
}

impl World {
    /// Sends a byte of one direction through the line's faults.
    fn distort(&mut self, byte: u8, to_board: bool) {
        let bytes = distorted(byte, self.faults, &mut self.random);
        let direction = if to_board { &mut self.to_board } else { &mut self.to_host };
        direction.sent.extend(bytes.into_iter().flatten());
    }

    /// Lets a millisecond pass.
    fn pass(&mut self) {
        self.now = self.now.wrapping_add(1);
        for direction in [&mut self.to_board, &mut self.to_host] {
            for _ in 0..BYTES_PER_MS {
                direction.arrived.extend(direction.sent.pop_front());
            }
        }
        // What finds no room in the board's buffer is lost.
        self.to_board.arrived.truncate(BUFFER);
    }
}

/// A real line that loses, doubles and damages bytes in both directions.
pub struct Faulty<T> {
    line: T,
    /// Faulty bytes of 1,000.
    faults: usize,
    random: Numbers,
    /// Bytes that arrived and are not read yet.
    arrived: VecDeque<u8>,
}

impl<T> Faulty<T> {
    /// Makes a line faulty.
    pub fn new(line: T, faults: usize, seed: u32) -> Self {
        Self { line, faults, random: Numbers(seed.max(1)), arrived: VecDeque::new() }
    }

    fn distorted(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().flat_map(|&byte| distorted(byte, self.faults, &mut self.random)).flatten().collect()
    }
}

impl<T: Transport> Transport for Faulty<T> {
    fn read(&mut self, bytes: &mut [u8], wait: Duration) -> io::Result<usize> {
        if self.arrived.is_empty() {
            let mut read = vec![0; bytes.len()];
            let count = self.line.read(&mut read, wait)?;
            let arrived = self.distorted(&read[..count]);
            self.arrived.extend(arrived);
        }
        let count = bytes.len().min(self.arrived.len());
        bytes.iter_mut().zip(self.arrived.drain(..count)).for_each(|(to, from)| *to = from);
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bytes = self.distorted(bytes);
        self.line.write(&bytes)
    }

    fn millis(&mut self) -> u32 {
        self.line.millis()
    }
}

/// What arrives of a byte: nothing, the byte, the byte twice, or one with a flipped bit.
fn distorted(byte: u8, faults: usize, random: &mut Numbers) -> [Option<u8>; 2] {
    let fault = (random.below(1000) < faults).then(|| random.below(3));
    let bit = random.below(8);
    match fault {
        None => [Some(byte), None],
        Some(0) => [None, None],
        Some(1) => [Some(byte), Some(byte)],
        Some(_) => [Some(byte ^ 1 << bit), None],
    }
}

/// The board's end.
struct BoardEnd(Rc<RefCell<World>>);

impl Line for BoardEnd {
    fn read(&mut self, bytes: &mut [u8]) -> usize {
        let arrived = &mut self.0.borrow_mut().to_board.arrived;
        let count = bytes.len().min(arrived.len());
        bytes.iter_mut().zip(arrived.drain(..count)).for_each(|(to, from)| *to = from);
        count
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0.borrow_mut().distort(byte, false));
    }
}

/// The board's clock.
struct Clock(Rc<RefCell<World>>);

impl Board for Clock {
    fn millis(&mut self) -> u32 {
        self.0.borrow().now
    }

    fn ticks(&mut self) -> u64 {
        self.0.borrow().now.into()
    }

    fn ticks_per_second(&self) -> u32 {
        1_000
    }

    fn counts(&self) -> Counts {
        Counts::Time
    }

    fn led(&mut self, _: bool) {}

    /// The host works only while it waits, so a board that waits for it in the middle of a request finds it gone after a while.
    fn idle(&mut self) {
        self.0.borrow_mut().now += 1;
    }
}

/// The host's end, together with the board: while the host waits, the board works.
pub struct Simulated {
    world: Rc<RefCell<World>>,
    server: Rc<RefCell<Server<'static, Clock, &'static mut Nor>>>,
}

static ABOUT: About = About { models: MAP, ..MPS2_AN386 };

impl Simulated {
    /// Starts a board with this flash, and a public key that is part of its program. The flash is leaked, as a board's is.
    #[must_use]
    pub fn start(flash: &'static mut Nor, faults: usize, seed: u32, key: Option<[u8; 32]>) -> Self {
        let directions = (Direction::default(), Direction::default());
        let world = World { now: 0, to_board: directions.0, to_host: directions.1, faults, random: Numbers(seed.max(1)) };
        let world = Rc::new(RefCell::new(world));
        let line: &'static mut dyn Line = Box::leak(Box::new(BoardEnd(Rc::clone(&world))));
        let arena = Box::leak(vec![0_u64; ARENA / 8 + 8].into_boxed_slice());
        let arena: &'static mut [u8] = zerocopy::IntoBytes::as_mut_bytes(arena);
        let skipped = arena.as_ptr().align_offset(64);
        let server = Server::new(Parts {
            board: Clock(Rc::clone(&world)),
            lines: Box::leak(Box::new([line])),
            flash,
            arena: &mut arena[skipped..][..ARENA],
            about: &ABOUT,
            key,
        });
        Self { world, server: Rc::new(RefCell::new(server)) }
    }

    /// Another host on the same line.
    #[must_use]
    pub fn another_host(&self) -> Self {
        Self { world: Rc::clone(&self.world), server: Rc::clone(&self.server) }
    }

    /// Puts bytes on the line as if a host had sent them, and lets the board work.
    pub fn noise(&mut self, bytes: &[u8]) {
        self.world.borrow_mut().to_board.sent.extend(bytes);
        for _ in 0..bytes.len() / BYTES_PER_MS + 2 {
            self.pass();
        }
        self.world.borrow_mut().to_host.arrived.clear();
    }

    fn pass(&mut self) {
        self.world.borrow_mut().pass();
        let mut server = self.server.borrow_mut();
        // Every message that has arrived.
        (0..8).for_each(|_| server.step());
    }
}

impl Transport for Simulated {
    fn read(&mut self, bytes: &mut [u8], wait: Duration) -> io::Result<usize> {
        for _ in 0..wait.as_millis().max(1) {
            if !self.world.borrow().to_host.arrived.is_empty() {
                break;
            }
            self.pass();
        }
        let arrived = &mut self.world.borrow_mut().to_host.arrived;
        let count = bytes.len().min(arrived.len());
        bytes.iter_mut().zip(arrived.drain(..count)).for_each(|(to, from)| *to = from);
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.iter().for_each(|&byte| self.world.borrow_mut().distort(byte, true));
        Ok(())
    }

    fn millis(&mut self) -> u32 {
        self.world.borrow().now
    }
}
