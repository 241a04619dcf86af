//! Text that the model writes itself: sequences sampled from its start token. Text of the model's own kind calibrates better than any fixed
//! text, and needs no file.

use attoformer::image::{Architecture, AttentionKind, Config, KvType};
use attoformer::internals::format::limits::CONTEXT_MAX;
use attoformer::{Image, Plan, Sampler, Session, arena_bytes};

use super::super::assemble::{plain_image, tensor_ids};
use super::super::error::PackError;
use super::super::prepare::Storage;
use crate::engine::{Setup, thread_pool};
use crate::files::AlignedBytes;
use crate::import::Checkpoint;
use crate::quantize::Format;
use crate::threads::all_cores;

/// Sequences that are sampled together.
const SEQUENCES: usize = 16;
/// Seed of the first sequence; the others count up.
const SEED: u64 = 1;

/// Number and length of sampled sequences.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Sequences.
    pub sequences: usize,
    /// Tokens of each, at most.
    pub tokens: usize,
}

/// Samples sequences from a decoder at temperature 1 with the weights rounded to int8.
pub fn sample(checkpoint: &Checkpoint, amount: Amount) -> Result<Vec<Vec<u32>>, PackError> {
    let tokens = amount.tokens.min(checkpoint.config.context as usize);
    let slots = SEQUENCES.min(amount.sequences).min(CONTEXT_MAX as usize / tokens.next_multiple_of(4)).max(1);
    let slots = if checkpoint.config.attention == AttentionKind::Linear { 1 } else { slots };
    let kv = if checkpoint.config.attention == AttentionKind::Linear { KvType::F32 } else { KvType::Int8 };
    // All sequences share the context, so it may exceed the trained one; no sequence does.
    let context = (slots * tokens.next_multiple_of(4)) as u32;
    let config = attoformer::config! { context, kv, ..checkpoint.config };
    let storages =
        tensor_ids(&config).into_iter().map(|id| Storage::plain(id, if id.0.is_always_f32() { Format::F32 } else { Format::Int8 }));
    let image = plain_image(checkpoint, &config, storages)?;
    let image = Image::new(&image).map_err(PackError::Rejected)?;
    let plan = Plan::packed(&config).with_block((slots as u32).max(8).min(context));
    let bytes = arena_bytes(&config, plan);
    let mut arena = AlignedBytes::try_zeroed(bytes).ok_or(PackError::Memory { bytes })?;
    let setup = Setup { parallel: thread_pool(all_cores() as u32).unwrap_or(&attoformer::Inline), ..Setup::default() };
    let mut session =
        Session::with_kernels(&image, &mut arena, plan, setup.kernels).map_err(PackError::Rejected)?.with_parallel(setup.parallel);
    let mut all = Vec::new();
    for start in (0..amount.sequences).step_by(slots) {
        all.extend(sample_together(&mut session, start, slots, tokens).map_err(PackError::Calibration)?);
    }
    all.truncate(amount.sequences);
    Ok(all)
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

/// Whether a model can write text by itself.
pub fn can_write(config: &Config) -> bool {
    config.architecture == Architecture::Decoder
}
