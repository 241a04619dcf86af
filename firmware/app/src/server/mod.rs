//! Serves requests: takes one, does it, replies.

mod attention;
mod bench;
mod encode;
mod generate;
mod input;
mod log;
mod replies;
mod slots;

use attoformer::{Image, Plan, Session, arena_bytes};
use attoformer_protocol::boards::Board as About;
use attoformer_protocol::link::fault::Fault;
use attoformer_protocol::link::message::{Done, Reply, Request};
use attoformer_slots::{MappedFlash, Refusal, Slots};

use crate::board::{Board, Line};
use crate::port::Port;
use log::Log;

/// Hardware and settings that a board's `main` passes to [`serve`].
pub struct Parts<'p, B, F> {
    /// Time and LED.
    pub board: B,
    /// Lines to hosts, at most two.
    pub lines: &'p mut [&'p mut dyn Line],
    /// The flash with the slots.
    pub flash: F,
    /// RAM for the arena and the input of a request, aligned to 64 bytes.
    pub arena: &'p mut [u8],
    /// The board's row of the table.
    pub about: &'static About,
    /// A public key that models must be signed with; `None`: [`crate::BUILT_IN_KEY`], or else the one that `atto device provision` stores.
    pub key: Option<[u8; 32]>,
}

/// Starts the model and serves requests forever.
pub fn serve<B: Board, F: MappedFlash>(parts: Parts<'_, B, F>) -> ! {
    let mut server = Server::new(parts);
    loop {
        server.step();
    }
}

/// The state of the program.
pub struct Server<'p, B, F> {
    board: B,
    port: Port<'p>,
    slots: Slots<F>,
    arena: &'p mut [u8],
    about: &'static About,
    log: Log,
    /// Bytes of the arena that the running model needs; the input of a request follows them.
    model_bytes: usize,
    /// The reason why a chunk of the upload under way was refused.
    failed: Option<Refusal>,
}

impl<'p, B: Board, F: MappedFlash> Server<'p, B, F> {
    /// Opens the slots and chooses the model to run.
    pub fn new(parts: Parts<'p, B, F>) -> Self {
        let Parts { board, lines, flash, arena, about, key } = parts;
        let have = u32::try_from(arena.len()).unwrap_or(u32::MAX);
        let slots = Slots::open(flash, about.models, have, key.or(crate::BUILT_IN_KEY));
        let mut server = Self { board, port: Port::new(lines), slots, arena, about, log: Log::new(), model_bytes: 0, failed: None };
        server.boot();
        server
    }

    /// Chooses the model to run.
    fn boot(&mut self) {
        let Self { slots, arena, .. } = self;
        let running = slots.boot(&mut |image| self_test(image, arena));
        self.measure_model();
        match running {
            Some(0) => self.log.add("the model in slot 0 runs"),
            Some(_) => self.log.add("the model in slot 1 runs"),
            None => self.log.add("no slot holds a model that can run: waiting for an upload"),
        }
    }

    fn measure_model(&mut self) {
        self.model_bytes = self.slots.model().map_or(0, |image| arena_of(&image));
    }

    /// Handles what has arrived, and one request if there is one.
    pub fn step(&mut self) {
        let now = self.board.millis();
        self.port.poll(now);
        let Some(message) = self.port.take() else {
            let _ = self.port.is_open(now);
            return self.board.idle();
        };
        match postcard::from_bytes(&message) {
            Ok(request) => self.handle(request),
            Err(_) => self.fail(Fault::Unknown.into()),
        }
    }

    fn handle(&mut self, request: Request<'_>) {
        let result = match request {
            Request::Hello => self.hello(),
            Request::Slot(slot) => self.slot_info(slot),
            Request::Label(index) => self.label(index),
            Request::SelfTest => self.self_test(),
            Request::Input { at, bytes } => return self.store_input(at, bytes),
            Request::Run(run) => self.generate(&run),
            Request::Encode(input) => self.encode(input),
            Request::Attention { input, layer, head } => self.attention(input, layer, head),
            Request::Bench => self.bench(),
            // What it would end has ended.
            Request::Cancel => return,
            Request::Begin(upload) => self.begin(&upload),
            Request::Chunk(bytes) => return self.chunk(bytes),
            Request::Finish => self.finish(),
            Request::Erase(slot) => self.erase(slot),
            Request::Provision(key) => self.provision(key),
            Request::Logs => self.logs(),
        };
        if let Err(refusal) = result {
            self.fail(refusal);
        }
    }

    fn send(&mut self, reply: &Reply<'_>) {
        self.port.send(&mut self.board, reply);
    }

    fn done(&mut self, done: Done) {
        self.send(&Reply::Done(done));
    }

    /// Replies with a refusal, and notes it in the log.
    fn fail(&mut self, refusal: Refusal) {
        let Self { port, board, log, .. } = self;
        replies::with_fault(refusal, |fault| port.send(board, &Reply::Failed(fault)));
        replies::with_sentence(refusal, |sentence| log.add(sentence));
    }

    /// Replays the golden vector of the running model.
    fn self_test(&mut self) -> Result<(), Refusal> {
        let start = self.board.ticks();
        let image = self.slots.model()?;
        self_test(&image, self.arena)?;
        let ticks = self.board.ticks().wrapping_sub(start);
        self.done(Done { output_hash: self.slots.model()?.golden().hash, ticks, ..Done::default() });
        Ok(())
    }

    fn label(&mut self, index: u32) -> Result<(), Refusal> {
        let image = self.slots.model()?;
        let label = image.labels().nth(index as usize).unwrap_or_default();
        let label = label.get(..label.floor_char_boundary(replies::TEXT)).unwrap_or_default();
        self.port.send(&mut self.board, &Reply::Label(label));
        Ok(())
    }

    fn logs(&mut self) -> Result<(), Refusal> {
        let Self { port, board, log, .. } = self;
        log.lines().for_each(|line| port.send(board, &Reply::Log(line)));
        self.done(Done::default());
        Ok(())
    }
}

/// Bytes of the arena that a model needs, as a multiple of its alignment.
fn arena_of(image: &Image<'_>) -> usize {
    arena_bytes(image.config(), Plan::packed(image.config())).next_multiple_of(64)
}

/// Replays an image's golden vector.
fn self_test(image: &Image<'_>, arena: &mut [u8]) -> Result<(), attoformer::Error> {
    Session::new(image, arena)?.self_test()
}
