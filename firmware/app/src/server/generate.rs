//! Generates text and streams it.

use attoformer::{Error, Hooks, Limits, Sampler, Session, Work};
use attoformer_protocol::link::message::{self, Done, Request, Run};
use attoformer_slots::{MappedFlash, Refusal};

use super::{Server, arena_of, input, replies};
use crate::board::Board;
use crate::port::Port;

/// Prompt tokens between two looks at the line.
const PREFILL: usize = 32;

impl<B: Board, F: MappedFlash> Server<'_, B, F> {
    pub(super) fn generate(&mut self, run: &Run) -> Result<(), Refusal> {
        let image = self.slots.model()?;
        let (arena, memory) = self.arena.split_at_mut_checked(arena_of(&image)).unwrap_or_default();
        let bytes = input::split(memory, run.input)?;
        let sampler = sampler(run)?;
        let mut session = Session::new(&image, arena)?;
        let start = self.board.ticks();
        let mut done = Done::default();
        let tokens = if image.config().has_cross() {
            let (source, _) = input::encoder_tokens(&session, run.input.kind, bytes)?;
            session.encode(source)?;
            done.tokens = source.len() as u32;
            // The decoder starts with its start token.
            &[image.config().bos][..]
        } else {
            let tokens = input::prompt_tokens(&image, run.input.kind, bytes)?;
            done.tokens = tokens.len() as u32;
            tokens
        };
        let fed = prefill(&mut session, tokens, &mut self.port, &mut self.board)?;
        done.ticks = self.board.ticks().wrapping_sub(start);
        if fed {
            stream(&mut session, sampler, run.limit, &mut self.port, &mut self.board, &mut done)?;
        } else {
            done.end = message::End::Cancelled;
        }
        self.done(done);
        Ok(())
    }
}

fn sampler(run: &Run) -> Result<Sampler, Error> {
    let sampler = Sampler::new(run.seed).with_temperature(run.temperature)?.with_top_p(run.top_p)?;
    let sampler = sampler.with_repetition_penalty(run.repetition_penalty)?;
    if run.top_k == 0 { Ok(sampler) } else { sampler.with_top_k(run.top_k) }
}

/// Feeds the prompt; false if the host cancelled it.
fn prefill(session: &mut Session<'_>, tokens: &[u32], port: &mut Port<'_>, board: &mut impl Board) -> Result<bool, Error> {
    // All tokens are checked before the first is fed.
    if tokens.len() > session.remaining() || tokens.is_empty() {
        session.prefill(tokens)?;
    }
    for part in tokens.chunks(PREFILL) {
        session.prefill(part)?;
        if is_cancelled(port, board) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Generates and sends pieces until the end.
fn stream(
    session: &mut Session<'_>,
    sampler: Sampler,
    limit: u32,
    port: &mut Port<'_>,
    board: &mut impl Board,
    done: &mut Done,
) -> Result<(), Error> {
    let limits = Limits::tokens(usize::try_from(limit).unwrap_or(usize::MAX));
    let mut generation = session.continue_generation(sampler, limits)?;
    loop {
        board.led(true);
        let mut meter = Meter { board, ticks: 0 };
        let piece = generation.next_piece_with(&mut meter);
        let ticks = meter.ticks;
        board.led(false);
        let Some(piece) = piece? else { break };
        done.ticks_decode = done.ticks_decode.wrapping_add(ticks);
        let [first, second] = piece.parts();
        replies::send_piece(port, board, piece.token, ticks, first);
        replies::send_piece(port, board, None, ticks, second);
        if is_cancelled(port, board) {
            done.end = message::End::Cancelled;
            break;
        }
    }
    done.output_hash = generation.output_hash();
    done.end = match generation.end() {
        Some(attoformer::End::EndOfText) => message::End::EndOfText,
        Some(attoformer::End::ContextFull) => message::End::ContextFull,
        Some(_) => message::End::Limit,
        None => done.end,
    };
    Ok(())
}

/// Measures the model's work.
struct Meter<'b, B> {
    board: &'b mut B,
    ticks: u64,
}

impl<B: Board> Hooks for Meter<'_, B> {
    fn measure<T>(&mut self, _: Work, run: impl FnOnce() -> T) -> T {
        let start = self.board.ticks();
        let result = run();
        self.ticks = self.ticks.wrapping_add(self.board.ticks().wrapping_sub(start));
        result
    }
}

/// Whether the host asks to end the request, or is gone.
pub fn is_cancelled(port: &mut Port<'_>, board: &mut impl Board) -> bool {
    let now = board.millis();
    port.poll(now);
    let cancels = |message: &crate::port::Message| matches!(postcard::from_bytes(message), Ok(Request::Cancel));
    if port.waiting().is_some_and(cancels) {
        port.take();
        return true;
    }
    !port.is_open(now)
}
