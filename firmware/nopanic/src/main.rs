//! Links only if no public method of the engine, no request over the link, no operation on the slots and no verification of a signature can reach a
//! panic: the panic handler calls an undefined function.
//!
//! Image, arena, tokens, text and parameters pass through [`black_box`], so the optimizer knows nothing about them and cannot drop a check because of
//! their values. `cargo xtask nopanic` builds it; it never runs. `cargo test -p xtask --test architecture` checks that every public method is called.
#![no_std]
#![no_main]

mod link;

use attoformer::frontend::pictures::Pictures;
use attoformer::frontend::{Frames, Frontend, Sizes};
use attoformer::image::{Dtype, Layout, Role, header_checksum, payload_checksum};
use attoformer::kernels::layout::{interleave_index, pack_rows, rows_per_bundle};
use attoformer::kernels::{self, SCALAR};
use attoformer::{
    Arena, Decoder, Error, Feature, Image, Inline, Limits, OutputHash, Plan, Sampler, Session, StopMatcher, Tokenizer, arena_bytes,
};
use attoformer_signature::Verifier;
use core::{fmt::Write, hint::black_box, panic::PanicInfo};

/// Entry point, which the linker keeps.
#[unsafe(no_mangle)]
pub extern "C" fn _start() {
    let image: &[u8] = black_box(&[]);
    let arena: &mut [u8] = black_box(&mut []);
    let _ = black_box(use_everything(image, arena, black_box(&[]), black_box("")));
    let _ = black_box(use_the_rest(black_box(&[]), black_box(&mut []), black_box(&[]), black_box("")));
    let _ = black_box(use_the_views(black_box(&[]), black_box(&mut []), black_box(&[""])));
    black_box(use_signatures(black_box(&[0; 32]), black_box(&[0; 64]), image));
    link::use_the_link(black_box(&mut []));
    #[cfg(feature = "plant")]
    black_box(planted(black_box(&[1, 2, 3]), black_box(3)));
}

/// Opens, plans, self-tests, embeds alone and in a batch, prefills, steps, samples, encodes, decodes.
fn use_everything(bytes: &[u8], arena: &mut [u8], tokens: &[u32], text: &str) -> Result<u32, Error> {
    let image = Image::new(bytes)?;
    let plan = Plan::packed(image.config()).with_context(black_box(1)).with_block(black_box(1));
    black_box(arena_bytes(image.config(), plan));
    black_box(image.metadata()?);
    let mut logits = [0; 64];
    let mut session = Session::with_plan(&image, arena, plan)?.with_logit_memory(black_box(&mut logits));
    session.self_test()?;

    let sampler = Sampler::new(black_box(1)).with_temperature(black_box(1.0))?.with_top_k(black_box(1))?.with_top_p(black_box(1.0))?;
    let mut sampler = sampler.with_repetition_penalty(black_box(1.0))?;
    let mut hash = OutputHash::new();
    hash.logits(session.encode(tokens)?);
    let half = tokens.len() / 2;
    session.encode_batch(tokens, &[half, tokens.len() - half], |_, row| hash.logits(row))?;
    session.prefill(tokens)?;
    hash.logits(session.lens(black_box(&[]))?);
    session.prefill_each(tokens, |position, logits| {
        black_box((position, logits));
    })?;
    hash.logits(session.logits());
    let token = session.sample(&mut sampler);
    hash.token(token);
    session.step(token)?;
    black_box(session.batch_capacity(tokens.len()));
    session.step_batch(tokens, |index, logits| {
        black_box((index, logits));
    })?;

    extract_features(&image, black_box(&[]), black_box(&mut []), &mut hash)?;

    let tokenizer = image.tokenizer()?;
    let mut encoded = [0; 64];
    black_box(tokenizer.encode(text, &mut encoded)?);
    black_box(tokenizer.encode_with_special_tokens(text, &mut encoded)?);
    let mut decoder = Decoder::new();
    black_box(decoder.push(&tokenizer, token)?);
    black_box(decoder.finish());

    let limits = Limits::tokens(black_box(1)).with_stops(black_box(&["stop"]));
    let mut generation = session.generate(text, sampler, limits)?;
    while let Some(piece) = generation.next_piece()? {
        black_box(piece.parts());
        let _ = write!(Console, "{piece}");
    }
    hash.token(generation.output_hash());
    Ok(hash.value())
}

/// Uses the methods that [`use_everything`] does not.
fn use_the_rest(bytes: &[u8], arena: &mut [u8], tokens: &[u32], text: &str) -> Result<(), Error> {
    let image = Image::new(bytes)?;
    for label in image.labels() {
        black_box(label);
    }
    let mut session = Session::with_kernels(&image, arena, Plan::packed(image.config()), black_box(&SCALAR))?;
    black_box((session.kernels(), session.image().bytes(), session.position(), session.remaining()));
    black_box(session.encode_probed(tokens, &mut ())?);
    black_box(session.encode_features(black_box(&[]))?);
    black_box(session.encode_features_probed(black_box(&[]), &mut ())?);
    black_box(session.prefill_prefix(tokens)?);
    black_box(session.prefill_probed(tokens, &mut ())?);
    session.reset();

    let tokenizer = image.tokenizer()?;
    black_box((tokenizer.vocab(), tokenizer.bos(), tokenizer.eos(), tokenizer.unk(), tokenizer.add_bos(), tokenizer.add_eos()));
    black_box(tokenizer.max_tokens(black_box(1)));
    let mut encoded = [0; 64];
    black_box(tokenizer.encode_parse_special(text, &mut encoded)?);
    black_box(tokenizer.encode_prompt(text, &mut encoded)?);
    let mut decoder = Decoder::mid_text();
    black_box(decoder.push(&tokenizer, black_box(1))?);
    black_box(session.text_decoder());

    let mut generation = session.continue_generation(Sampler::greedy(), Limits::tokens(black_box(1)).ignoring_eos())?;
    black_box(generation.next_piece_with(&mut ())?);
    black_box((generation.end().map(|end| end.name()), generation.position()));
    black_box(generation.sampler());
    Ok(())
}

/// Uses the parsed sections of an image, the kernel sets, stop sequences, and the parsers of single sections.
fn use_the_views(bytes: &[u8], values: &mut [f32], stops: &[&str]) -> Result<(), Error> {
    let image = Image::new(bytes)?;
    black_box((Image::arena_bytes(bytes), header_checksum(bytes), image.golden(), image.section(black_box(1))));
    black_box((payload_checksum(bytes), image.model_version(), image.is_signed()));
    black_box(image.entry(black_box(Role::Qkv), black_box(1)));
    image.entries().for_each(|entry| _ = black_box((entry.value_bytes(), entry.row_bytes())));
    image.features().chain(Feature::ALL).for_each(|feature| _ = black_box((feature.name(), feature.is_built_in())));
    if let Some(config) = image.generation_config() {
        config.suppress(black_box(true), values);
        let language = config.detect_language(values);
        config.prompt_for(language, black_box(true), black_box(true)).for_each(|token| _ = black_box(token));
    }
    kernels::all().for_each(|kernels| _ = black_box(kernels.name()));
    black_box((kernels::best(), kernels::by_name(black_box("scalar"))));
    black_box((interleave_index(black_box(1)), rows_per_bundle(black_box(Layout::CortexMDsp), black_box(Dtype::Int4))));
    let mut packed = [0; 64];
    pack_rows(black_box(Layout::CortexMDsp), black_box(Dtype::Int4), black_box(3), bytes, &mut packed);
    let mut matcher = StopMatcher::new(stops)?;
    black_box((matcher.push(black_box("text")), matcher.stopped(), matcher.finish()));
    let mut arena = Arena::<64>::new();
    let mut session = Session::new(&image, arena.bytes())?.with_parallel(&Inline);
    black_box((session.config(), session.tokens()));
    black_box(session.logits());
    let tokenizer = Tokenizer::new(bytes, black_box(1))?;
    black_box(tokenizer.piece(black_box(1))?);
    let frontend = Frontend::new(bytes)?;
    black_box((frontend.rows(), frontend.samples(), frontend.features(), Frames::buffer_len(&frontend)));
    let pictures = Pictures::new(bytes)?;
    black_box((pictures.is_consistent(), pictures.rows(), pictures.features(), pictures.bytes()));
    Ok(())
}

/// Verifies signatures: of an image, and of a message in pieces.
fn use_signatures(key: &[u8; 32], signature: &[u8; 64], bytes: &[u8]) -> Option<bool> {
    if let Err(error) = attoformer_signature::verify(key, bytes) {
        let _ = write!(Console, "{error}");
    }
    black_box(attoformer_signature::split(bytes).is_ok());
    let mut verifier = Verifier::new(key, signature)?;
    verifier.update(bytes);
    verifier.update(black_box(&[]));
    Some(verifier.finish())
}

/// Extracts the features of a clip, whole and streamed, and of a picture.
fn extract_features(image: &Image<'_>, samples: &[i16], floats: &mut [f32], hash: &mut OutputHash) -> Result<(), Error> {
    black_box(Sizes::of(image.bytes()));
    let Some(frontend) = image.frontend() else { return Ok(()) };
    let (scratch, rows) = floats.split_at_mut_checked(frontend.scratch_len()).unwrap_or_default();
    frontend.clip(samples, scratch, rows)?;
    if let Some(pictures) = image.pictures() {
        pictures.patches(black_box(&[0; 64]), rows)?;
    }
    hash.logits(rows);
    let mut frames = Frames::new(frontend, floats)?;
    frames.push(samples, |row| hash.logits(row));
    Ok(())
}

/// Sink of text.
struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        black_box(text);
        Ok(())
    }
}

/// A panic that the proof must find.
#[cfg(feature = "plant")]
#[inline(never)]
fn planted(slice: &[u32], index: usize) -> u32 {
    slice[index]
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn a_panic_can_be_reached() -> !;
    }
    // SAFETY: the function does not exist, so neither does a program that could call it.
    unsafe { a_panic_can_be_reached() }
}
