//! Damaged files: truncated, altered, with extreme numbers.

pub mod images;

use attoformer::arena_bytes;
use attoformer::image::Config;
use attoformer::internals::format::HEADER_BYTES;
use attoformer::internals::format::header::{RESERVED, at};
use attoformer::{Image, Plan};
use attoformer_tools::pack::seal;

use crate::random_model::Numbers;

/// Offsets of an image's size and of its arena size.
const TOTAL_AT: usize = 12;
const ARENA_AT: usize = 24;

/// Number of damaged copies of a test: `ATTOFORMER_HOSTILE`, or the test's own number.
pub fn copies(usual: usize) -> usize {
    let asked = std::env::var("ATTOFORMER_HOSTILE").ok().map(|count| count.parse().expect("ATTOFORMER_HOSTILE is a number"));
    asked.unwrap_or(usual)
}

/// A damaged copy that differs from the original, and a description of the damage. `dense` are the ranges of numbers that a reader relies on.
pub fn damaged(original: &[u8], dense: &[std::ops::Range<usize>], numbers: &mut Numbers) -> (String, Vec<u8>) {
    loop {
        let mut copy = original.to_vec();
        let what = match numbers.below(10) {
            0 | 1 => cut(&mut copy, numbers),
            2..=5 => alter(&mut copy, dense, numbers),
            _ => extreme(&mut copy, dense, numbers),
        };
        if copy != original {
            return (what, copy);
        }
    }
}

fn cut(copy: &mut Vec<u8>, numbers: &mut Numbers) -> String {
    let limit = if numbers.below(3) == 0 { copy.len().min(1024) } else { copy.len() };
    copy.truncate(numbers.below(limit));
    format!("cut to {} bytes", copy.len())
}

/// An offset in one of the dense ranges, or anywhere.
fn place(len: usize, dense: &[std::ops::Range<usize>], numbers: &mut Numbers) -> usize {
    match dense.get(numbers.below(dense.len() + 1)) {
        Some(part) => part.start + numbers.below(part.len()),
        None => numbers.below(len),
    }
}

fn alter(copy: &mut [u8], dense: &[std::ops::Range<usize>], numbers: &mut Numbers) -> String {
    let places: Vec<usize> = (0..1 + numbers.below(6)).map(|_| place(copy.len(), dense, numbers)).collect();
    for &at in &places {
        copy[at] ^= 1 << numbers.below(8);
        if numbers.below(2) == 0 {
            copy[at] = numbers.word() as u8;
        }
    }
    format!("bytes {places:?} altered")
}

fn extreme(copy: &mut [u8], dense: &[std::ops::Range<usize>], numbers: &mut Numbers) -> String {
    let at = place(copy.len(), dense, numbers) & !3;
    let Some(word) = copy.get(at..).and_then(|rest| rest.first_chunk()) else { return "nothing".to_owned() };
    let (before, len) = (u32::from_le_bytes(*word), copy.len() as u32);
    let values =
        [0, 1, 2, 3, u32::MAX, u32::MAX - 15, 1 << 31, i32::MAX as u32, len, len - 1, len + 1, before.wrapping_add(1), f32::NAN.to_bits()];
    let value = match numbers.below(values.len() + 4) {
        0 => before.wrapping_sub(1),
        1 => 1 << numbers.below(32),
        2 => before.wrapping_mul(2),
        3 => before ^ 64 << numbers.below(8),
        index => values[index - 4],
    };
    copy[at..at + 4].copy_from_slice(&value.to_le_bytes());
    format!("word at {at} set from {before} to {value}")
}

/// Ranges of an image that a reader relies on: header, section table, and every section except the weights.
///
/// # Panics
/// If the image is invalid.
pub fn dense_parts(image: &[u8]) -> Vec<std::ops::Range<usize>> {
    let checked = Image::new(image).expect("the original is sound");
    let start = image.as_ptr() as usize;
    let section = |kind| {
        let bytes = checked.section(kind);
        let at = bytes.as_ptr() as usize - start;
        at..at + bytes.len()
    };
    let parts = [0..RESERVED.start, at::SECTION_TABLE..HEADER_BYTES].into_iter().chain([1, 2, 4, 5, 6, 7, 9, 10, 11].map(section));
    parts.filter(|part| !part.is_empty()).collect()
}

/// Corrects a damaged image's checksums, and often its size and its arena size, so that the damage passes the first checks.
pub fn made_plausible(copy: &mut Vec<u8>, numbers: &mut Numbers) {
    copy.resize(copy.len().max(HEADER_BYTES), 0);
    let len = copy.len() as u32;
    if numbers.below(4) != 0 {
        copy[TOTAL_AT..TOTAL_AT + 4].copy_from_slice(&len.to_le_bytes());
    }
    if let (1.., Ok(config)) = (numbers.below(4), Config::parse(copy)) {
        let arena = u32::try_from(arena_bytes(&config, Plan::packed(&config))).unwrap_or(u32::MAX);
        copy[ARENA_AT..ARENA_AT + 4].copy_from_slice(&arena.to_le_bytes());
    }
    seal(copy);
}
