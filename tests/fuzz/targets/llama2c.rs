//! Any bytes as a llama2.c checkpoint and its tokenizer: refused with one sentence, or packed into images that pass their self-test.
//!
//! Input: a byte, the checkpoint's length in two bytes, the checkpoint, its tokenizer. A byte of 1 resizes the checkpoint to the size that its
//! header implies.
#![no_main]

mod packed;

use attoformer_tools::import;
use libfuzzer_sys::{Corpus, fuzz_target};
use packed::FLOATS_MAX;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&[kind, low, high], rest)) = data.split_first_chunk() else { return Corpus::Reject };
    let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (model, tokenizer) = rest.split_at(length);
    let model = if kind & 1 == 1 { resized(model) } else { model.to_vec() };
    let folder = packed::folder();
    for (name, bytes) in [("model.bin", &model[..]), ("tokenizer.bin", tokenizer)] {
        std::fs::write(folder.join(name), bytes).expect("a temporary file");
    }
    match import::open(&folder.join("model.bin"), None) {
        Ok(checkpoint) => packed::run(&checkpoint),
        Err(error) => packed::check_refusal(&error.to_string()),
    }
    Corpus::Keep
});

/// A checkpoint truncated or repeated to the size that its header implies, if that is small.
fn resized(model: &[u8]) -> Vec<u8> {
    let Some((header, weights)) = model.split_first_chunk::<28>() else { return model.to_vec() };
    let fields: Vec<u64> = header.as_chunks::<4>().0.iter().map(|&word| u64::from(i32::from_le_bytes(word).unsigned_abs())).collect();
    let [dim, hidden, layers, heads, kv_heads, vocab, context] = fields[..] else { return model.to_vec() };
    if fields.iter().any(|&size| size > 2048) || weights.is_empty() || heads == 0 {
        return model.to_vec();
    }
    let kv_dim = dim / heads * kv_heads;
    let untied = i32::from_le_bytes([header[20], header[21], header[22], header[23]]) < 0;
    let layer = 2 * dim + 2 * dim * dim + 2 * kv_dim * dim + 3 * hidden * dim;
    let floats = vocab * dim * (1 + u64::from(untied)) + layers * layer + dim + context * (dim / heads / 2) * 2;
    if floats > 2 * FLOATS_MAX {
        return model.to_vec();
    }
    header.iter().chain(weights.iter().cycle().take(4 * floats as usize)).copied().collect()
}
