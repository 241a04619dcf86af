//! Exercises a session with an image and returns the bits of all results, errors included. Shared with the hostile tests.

use attoformer::image::Golden;
use attoformer::image::{Architecture, InputStem};
use attoformer::kernels::Kernels;
use attoformer::{Error, Image, Limits, Plan, Sampler, Session, arena_bytes};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::run::audio;
use attoformer_tools::run::chat::Chat;
use attoformer_tools::run::chat::template::render;
use attoformer_tools::run::classify::predictions;

/// Tokens, or feature rows, fed before text is generated.
const FED: usize = 11;
/// Tokens of a transcript.
const WRITTEN: usize = 6;
/// Larger arenas, clips and golden vectors are valid but slow.
pub const ARENA_MAX: usize = 64 << 20;
const CLIP_MAX: usize = 1 << 14;
const GOLDEN_MAX: usize = 400;

/// Runs everything with this kernel set.
pub fn bits(image: &Image, kernels: &'static Kernels) -> Vec<u32> {
    let config = image.config();
    let plan = Plan::packed(config);
    let mut arena = AlignedBytes::zeroed(arena_bytes(config, plan));
    let mut session = Session::with_kernels(image, &mut arena, plan, kernels).expect("the arena has the stated size");
    let mut bits = Vec::new();
    encode(&mut session, &mut bits);
    transcribe(&mut session, &mut bits);
    write(&mut session, &mut bits);
    chat(image, &mut bits);
    let small = |golden: Golden| golden.tokens.len() + golden.features.len() + (golden.generate as usize) < GOLDEN_MAX;
    if small(image.golden()) {
        // The golden vector exists to detect a damaged weight.
        bits.push(session.self_test().is_ok().into());
    }
    bits
}

/// Tokens that every vocabulary contains; none for a model without tokens.
fn tokens(session: &Session, count: usize) -> Vec<u32> {
    let vocab = session.config().vocab;
    (0..count as u32).filter_map(|index| (index * 29).checked_rem(vocab)).collect()
}

/// Encodes tokens or features, alone and in a batch, and classifies them.
fn encode(session: &mut Session, bits: &mut Vec<u32>) {
    let image = *session.image();
    let fed = tokens(session, FED);
    let features: Vec<f32> = (0..FED * session.config().features as usize).map(|at| (at % 7) as f32 - 3.0).collect();
    let encoded = if session.config().input_stem == InputStem::Tokens { session.encode(&fed) } else { session.encode_features(&features) };
    if let Ok(logits) = encoded {
        bits.extend(predictions(&image, logits).into_iter().flatten().map(|prediction| prediction.label.len() as u32));
    }
    note(encoded, bits);
    let batch =
        session.encode_batch(&fed, &[3, FED.min(fed.len()).saturating_sub(3)], |_, row| bits.extend(row.iter().map(|x| x.to_bits())));
    note(batch.map(|()| &[][..]), bits);
}

/// Computes a clip's features and its transcript.
fn transcribe(session: &mut Session, bits: &mut Vec<u32>) {
    let image = *session.image();
    let Some(frontend) = image.frontend() else { return };
    if frontend.samples() + frontend.rows() * frontend.features() > CLIP_MAX {
        return;
    }
    for samples in [&[][..], &[0.5, -1.0, 0.25, f32::MAX, 1e-40, 1.0].repeat(20)] {
        let rows = audio::features(&frontend, samples);
        bits.extend(rows.iter().map(|x| x.to_bits()));
        note(session.encode_features(&rows), bits);
    }
    let Some(decoding) = image.generation_config() else { return };
    note(session.prefill(decoding.prompt), bits);
    for made in 0..WRITTEN.min(session.remaining()) {
        decoding.suppress(made == 0, session.logits());
        let token = session.sample(&mut Sampler::greedy());
        note(session.step(token), bits);
    }
}

/// Generates from tokens and from a text.
fn write(session: &mut Session, bits: &mut Vec<u32>) {
    let fed = tokens(session, FED);
    if session.config().architecture == Architecture::Decoder {
        session.reset();
    }
    note(session.prefill(&fed), bits);
    note(session.step(session.config().vocab.saturating_sub(1)), bits);
    if session.config().architecture == Architecture::Decoder {
        session.reset();
        note(session.prefill_prefix(&fed), bits);
        session.reset();
    }
    let sampler = Sampler::new(3)
        .with_top_k(9)
        .and_then(|sampler| sampler.with_top_p(0.9)?.with_repetition_penalty(1.3))
        .expect("all values are in range");
    if let Ok(mut generation) = session.generate("the low é \u{1f600}", sampler, Limits::tokens(9).with_stops(&["an"])) {
        while let Ok(Some(piece)) = generation.next_piece() {
            bits.extend(piece.token);
            bits.extend(piece.to_string().bytes().map(u32::from));
        }
        bits.push(generation.output_hash());
    }
}

/// Renders a prompt with the image's chat template.
fn chat(image: &Image, bits: &mut Vec<u32>) {
    if let Ok(mut chat) = Chat::new(*image, Some("the".to_owned()), render) {
        bits.extend(chat.ask("low").into_iter().flatten());
    }
}

fn note(result: Result<&[f32], Error>, bits: &mut Vec<u32>) {
    match result {
        Ok(logits) => bits.extend(logits.iter().map(|x| x.to_bits())),
        Err(error) => bits.extend(error.to_string().bytes().map(u32::from)),
    }
}
