//! A real model: its known text, its known perplexity, and the cost of quantization.

mod common;

use std::path::Path;

use attoformer::image::KvType;
use attoformer::{Image, Sampler};
use attoformer_tools::engine::{OpenImage, Setup};
use attoformer_tools::eval::perplexity::{self, Metrics};
use attoformer_tools::pack::{self, Options, Packed};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::generate::{self, Observer, Outcome, Request};
use attoformer_tools::threads::all_cores;
use attoformer_tools::{Error, import};
use common::shared;
use sha2::{Digest, Sha256};

const BEGIN: u32 = 1;
/// Stories of the smaller measurement.
const STORIES: usize = 6;

fn packed(source: &Path, weights: &str, kv: KvType) -> Packed {
    let options = Options { weights: weights.parse().unwrap(), kv, ..Options::reference() };
    pack::pack(&import::open(source, None).unwrap(), &options, &Progress::silent()).unwrap()
}

struct NoObserver;

impl Observer for NoObserver {
    fn text(&mut self, _: &str) -> Result<(), Error> {
        Ok(())
    }

    fn logits(&mut self, _: &[f32]) -> Result<(), Error> {
        Ok(())
    }

    fn wants_logits(&self) -> bool {
        false
    }
}

fn greedy(packed: &Packed, limit: usize) -> Outcome {
    let image = Image::new(&packed.image).unwrap();
    let setup = Setup::default();
    let mut arena = setup.arena(image.config(), Path::new("stories260K")).unwrap();
    let mut session = setup.session(&image, &mut arena).unwrap();
    let request = Request { prompt: &[BEGIN], limit: Some(limit), stops: &[], sampler: Sampler::greedy() };
    generate::generate(&mut session, &request, &mut NoObserver, |error| Error::request(error.to_string())).unwrap()
}

fn measure(packed: &Packed, reference: Option<&Packed>, documents: &[&str]) -> Metrics {
    let path = Path::new("stories260K.bin");
    let image = Image::new(&packed.image).unwrap();
    let other = reference.map(|reference| Image::new(&reference.image).unwrap());
    let open = |image| OpenImage { image, path };
    let (other, documents) = (other.as_ref().map(open), documents.iter().copied());
    perplexity::measure(open(&image), other, &Setup::default(), all_cores(), documents, &Progress::silent()).unwrap()
}

#[test]
fn the_f32_text_is_the_published_one() {
    let Some(source) = shared("models/stories260K/stories260K.bin") else { return };
    let text = greedy(&packed(&source, "f32", KvType::F32), 200).text;
    assert!(text.starts_with("Once upon a time, there was a little girl named Lily."));
    let hash: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, "beeb5cb46785efee81a8545300b31e396b595e5ce6f3b77db201545501981d14");
}

#[test]
fn int8_agrees_with_f32_along_its_text() {
    let Some(source) = shared("models/stories260K/stories260K.bin") else { return };
    let text = greedy(&packed(&source, "f32", KvType::F32), 200).tokens;
    let int8 = packed(&source, "int8", KvType::Int8);
    let image = Image::new(&int8.image).unwrap();
    let setup = Setup::default();
    let mut arena = setup.arena(image.config(), Path::new("stories260K")).unwrap();
    let mut session = setup.session(&image, &mut arena).unwrap();
    let fed: Vec<u32> = std::iter::once(BEGIN).chain(text.iter().copied()).take(200).collect();
    let mut agreements = 0;
    let likeliest = |logits: &[f32]| (0..logits.len()).fold(0, |best, index| if logits[index] > logits[best] { index } else { best });
    session.prefill_each(&fed, |position, logits| agreements += usize::from(likeliest(logits) == text[position] as usize)).unwrap();
    println!("int8 agrees at {agreements} of 200 positions");
    assert!(agreements >= 195, "{agreements}");
}

#[test]
fn perplexity_is_close_to_f32() {
    let Some(source) = shared("models/stories260K/stories260K.bin") else { return };
    let Some(text) = shared("data/tinystories_dev.txt") else { return };
    let text = std::fs::read_to_string(text).unwrap();
    let documents: Vec<&str> = perplexity::documents(&text).take(STORIES).collect();
    let reference = packed(&source, "f32", KvType::F32);
    for (weights, kv, over_at_most) in [("int8", KvType::Int8, 0.01), ("f16", KvType::F16, 0.001), ("int4:32", KvType::Int8, 0.3)] {
        let metrics = measure(&packed(&source, weights, kv), Some(&reference), &documents);
        let over = metrics.perplexity / metrics.reference_perplexity.unwrap() - 1.0;
        println!("{weights}: perplexity {:.4}, {:+.2} % over f32", metrics.perplexity, 100.0 * over);
        assert!(over < over_at_most, "{weights}: {over}");
    }
}

/// The full measurement takes minutes without optimization: `cargo test --release -- --ignored`.
#[test]
#[ignore = "takes minutes in a debug build"]
fn perplexity_over_all_stories() {
    let Some(source) = shared("models/stories260K/stories260K.bin") else { return };
    let Some(text) = shared("data/tinystories_dev.txt") else { return };
    let text = std::fs::read_to_string(text).unwrap();
    let documents: Vec<&str> = perplexity::documents(&text).collect();
    let reference = measure(&packed(&source, "f32", KvType::F32), None, &documents);
    assert_eq!((reference.tokens, format!("{:.4}", reference.perplexity)), (58_892, "5.4988".to_owned()));
    let int8 = measure(&packed(&source, "int8", KvType::Int8), None, &documents);
    assert!(int8.perplexity / reference.perplexity < 1.005, "{}", int8.perplexity);
}
