//! Text that the model writes itself: sequences that a decoder samples from its start token, and the answers of an encoder-decoder. Text of the
//! model's own kind calibrates better than any fixed text, and needs no file.

use attoformer::image::{Architecture, AttentionKind, Config, KvType};
use attoformer::internals::format::limits::CONTEXT_MAX;
use attoformer::{Image, Plan, Sampler, Session, arena_bytes};
use rayon::prelude::*;

use super::super::assemble::plain_image;
use super::super::error::PackError;
use super::super::prepare::Storage;
use super::super::tensor_id::tensor_ids;
use super::samples::{Amount, Input};
use crate::engine::{Setup, shared_pool};
use crate::files::AlignedBytes;
use crate::import::Checkpoint;
use crate::quantize::Format;

/// Sequences that are sampled together.
const SEQUENCES: usize = 16;
/// Seed of the first sequence; the others count up.
const SEED: u64 = 1;

/// Whether a model can write text by itself.
pub fn can_write(config: &Config) -> bool {
    config.architecture == Architecture::Decoder
}

/// Samples sequences from a decoder at temperature 1 with the weights rounded to int8.
///
/// # Errors
/// [`PackError`]: the model cannot be run.
pub fn sample(checkpoint: &Checkpoint, amount: Amount) -> Result<Vec<Vec<u32>>, PackError> {
    rayon::scope(|_| sample_in_pool(checkpoint, amount))
}

fn sample_in_pool(checkpoint: &Checkpoint, amount: Amount) -> Result<Vec<Vec<u32>>, PackError> {
    let tokens = amount.sequence.min(checkpoint.config.context as usize).max(1);
    let sequences = amount.tokens.div_ceil(tokens);
    let slots = SEQUENCES.min(sequences).min(CONTEXT_MAX as usize / tokens.next_multiple_of(4)).max(1);
    let slots = if checkpoint.config.attention == AttentionKind::Linear { 1 } else { slots };
    // All sequences share the context, so it may exceed the trained one; no sequence does.
    let context = (slots * tokens.next_multiple_of(4)) as u32;
    let image = plain_int8(checkpoint, context)?;
    let image = Image::new(&image).map_err(PackError::Rejected)?;
    let plan = Plan::packed(image.config()).with_block((slots as u32).max(8).min(context));
    let bytes = arena_bytes(image.config(), plan);
    let mut arena = AlignedBytes::try_zeroed(bytes).ok_or(PackError::Memory { bytes })?;
    let kernels = Setup::default().kernels;
    let mut session = Session::with_kernels(&image, &mut arena, plan, kernels).map_err(PackError::Rejected)?.with_parallel(shared_pool());
    let mut all = Vec::new();
    for start in (0..sequences).step_by(slots) {
        all.extend(sample_together(&mut session, start, slots, tokens).map_err(PackError::Calibration)?);
    }
    all.truncate(sequences);
    Ok(all)
}

/// The image of a model whose matrices are rounded to int8 without calibration.
fn plain_int8(checkpoint: &Checkpoint, context: u32) -> Result<AlignedBytes, PackError> {
    let kv = if checkpoint.config.attention == AttentionKind::Linear { KvType::F32 } else { KvType::Int8 };
    let config = attoformer::config! { context, kv, ..checkpoint.config };
    let storages =
        tensor_ids(&config).into_iter().map(|id| Storage::plain(id, if id.0.is_always_f32() { Format::F32 } else { Format::Int8 }));
    plain_image(checkpoint, &config, storages)
}

/// Samples `slots` sequences of `tokens` tokens in one pass over the weights per token.
fn sample_together(session: &mut Session<'_>, first: usize, slots: usize, tokens: usize) -> Result<Vec<Vec<u32>>, attoformer::Error> {
    let Config { bos, eos, .. } = *session.config();
    let mut samplers: Vec<Sampler> = (0..slots).map(|slot| Sampler::new(SEED + (first + slot) as u64)).collect();
    let mut sequences = vec![vec![bos]; slots];
    session.reset();
    for _ in 1..tokens {
        let last: Vec<u32> = sequences.iter().map(|sequence| sequence[sequence.len() - 1]).collect();
        let mut choose = |slot: usize, logits: &mut [f32]| {
            // A text that ends is followed by the start of another one.
            let next = if last[slot] == eos && eos != bos { bos } else { samplers[slot].sample(logits, &[]) };
            sequences[slot].push(next);
        };
        if slots == 1 {
            session.step(last[0])?;
            choose(0, session.logits());
        } else {
            session.step_batch(&last, choose)?;
        }
    }
    Ok(sequences)
}

/// The decoder tokens with which an encoder-decoder answers each input: its prompt and at most `tokens` likeliest tokens, with the weights rounded
/// to int8.
///
/// # Errors
/// [`PackError`]: the model cannot be run.
pub fn answers(checkpoint: &Checkpoint, inputs: &[Input], tokens: usize) -> Result<Vec<Vec<u32>>, PackError> {
    let image = plain_int8(checkpoint, checkpoint.config.context)?;
    let image = Image::new(&image).map_err(PackError::Rejected)?;
    let setup = Setup::default();
    let bytes = arena_bytes(image.config(), setup.plan(image.config()));
    let answer = |(index, input): (usize, &Input)| {
        let mut arena = AlignedBytes::try_zeroed(bytes).ok_or(PackError::Memory { bytes })?;
        let mut session = setup.session(&image, &mut arena).map_err(PackError::Rejected)?;
        answer(&mut session, input, tokens, Sampler::new(SEED + index as u64)).map_err(PackError::Calibration)
    };
    inputs.par_iter().enumerate().map(answer).collect()
}

fn answer(session: &mut Session<'_>, input: &Input, tokens: usize, mut sampler: Sampler) -> Result<Vec<u32>, attoformer::Error> {
    match input {
        Input::Nothing => {}
        Input::Tokens(tokens) => session.encode(tokens).map(|_| ())?,
        Input::Features(features) => session.encode_features(features).map(|_| ())?,
    }
    let rules = session.image().generation_config();
    let (bos, eos) = (session.config().bos, session.config().eos);
    let mut sequence = rules.map_or(vec![bos], |rules| rules.prompt.to_vec());
    session.prefill(&sequence)?;
    for index in 0..tokens.min(session.remaining()) {
        if let Some(rules) = rules {
            rules.suppress(index == 0, session.logits());
        }
        let next = sampler.sample(session.logits(), &[]);
        if next == eos {
            break;
        }
        sequence.push(next);
        session.step(next)?;
    }
    Ok(sequence)
}
