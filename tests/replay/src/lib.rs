//! An image and a prompt in, a hash out: the smallest program that shows which bits a target computes.
//!
//! Linked into the tests, run as a program under an emulator of another CPU, and exported from a wasm module.

mod sound;
#[cfg(target_arch = "wasm32")]
mod wasm;

pub use sound::{features_hash, sound};

use attoformer::image::Architecture;
use attoformer::internals::memory::layout::ALIGN;
use attoformer::kernels::Kernels;
use attoformer::{Error, Image, Limits, OutputHash, Plan, Sampler, Session, arena_bytes};

/// Input of an encoder.
#[derive(Clone, Copy, Debug)]
pub enum Source<'j> {
    /// No input: the model is a decoder.
    Nothing,
    /// A list of tokens.
    Tokens(&'j [u32]),
    /// Feature rows.
    Features(&'j [f32]),
    /// Audio samples for the image's front end.
    Samples(&'j [i16]),
}

/// Input of a run.
#[derive(Clone, Copy, Debug)]
pub struct Job<'j> {
    /// Input of the encoder.
    pub source: Source<'j>,
    /// Prompt tokens.
    pub prompt: &'j [u32],
    /// Number of tokens to sample greedily.
    pub generate: u32,
    /// Tokens per prefill call.
    pub chunk: usize,
}

/// Runs the job and returns the hash over every sampled token and its logits, or over an encoder's output.
///
/// # Errors
/// The engine's errors about the image, the prompt or the machine.
pub fn replay(image: &[u8], kernels: &'static Kernels, job: Job<'_>) -> Result<u32, Error> {
    let mut copy = Aligned::zeroed(image.len());
    copy.bytes().copy_from_slice(image);
    let image = Image::new(copy.bytes())?;
    let plan = Plan::packed(image.config());
    let mut arena = Aligned::zeroed(arena_bytes(image.config(), plan));
    let mut session = Session::with_kernels(&image, arena.bytes(), plan, kernels)?;
    session.self_test()?;
    let mut encoded = OutputHash::new();
    match job.source {
        Source::Nothing => {}
        Source::Tokens(tokens) => encoded.logits(session.encode(tokens)?),
        Source::Features(features) => encoded.logits(session.encode_features(features)?),
        Source::Samples(samples) => {
            let frontend = image.frontend().ok_or(Error::Architecture { asked: "audio input" })?;
            let (mut scratch, mut rows) = (vec![0.0; frontend.scratch_len()], vec![0.0; frontend.rows() * frontend.features()]);
            frontend.clip(samples, &mut scratch, &mut rows)?;
            encoded.logits(session.encode_features(&rows)?);
        }
    }
    if session.config().architecture == Architecture::Encoder {
        return Ok(encoded.value());
    }
    for chunk in job.prompt.chunks(job.chunk.max(1)) {
        session.prefill(chunk)?;
    }
    let limits = Limits::tokens(job.generate as usize).ignoring_eos();
    let mut generation = session.continue_generation(Sampler::greedy(), limits)?;
    while generation.next_piece()?.is_some() {}
    Ok(generation.output_hash())
}

/// Bytes with the alignment of images and arenas.
struct Aligned {
    buffer: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn zeroed(len: usize) -> Self {
        let buffer = vec![0; len + ALIGN - 1];
        let start = buffer.as_ptr().align_offset(ALIGN);
        Aligned { buffer, start, len }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.start + self.len]
    }
}
