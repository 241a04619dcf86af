//! Any bytes as a llama2.c checkpoint and its tokenizer: refused, or packed into an image that passes its self-test.
//!
//! Input: one byte of flags (1 gives the checkpoint the size that its header implies), the checkpoint's length in two bytes, the
//! checkpoint, the tokenizer.
#![no_main]

use attoformer::image::header::KvType;
use attoformer::{Image, Plan, Session, arena_bytes};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::{Checkpoint, llama2c, rotary_frequencies};
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use libfuzzer_sys::{Corpus, fuzz_target};

/// Larger models are sound and slow.
const FLOATS_MAX: u64 = 20_000;
const ARENA_MAX: usize = 16 << 20;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&[flags, low, high], rest)) = data.split_first_chunk() else { return Corpus::Reject };
    let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (model, vocabulary) = rest.split_at(length);
    let model = if flags & 1 != 0 { resized(model) } else { model.to_vec() };
    let read = llama2c::model(&model);
    let vocab = read.as_ref().map_or(283, |(config, _)| config.vocab);
    let tokenizer = llama2c::tokenizer(vocabulary, vocab);
    let Ok((config, tensors)) = read else { return Corpus::Keep };
    let checkpoint = Checkpoint {
        name: "fuzz".to_owned(),
        path: "fuzz.bin".into(),
        sha256: [0; 32],
        config,
        rotary: rotary_frequencies(llama2c::ROTARY_BASE, config.head_dim),
        tensors,
        tokenizer: tokenizer.ok(),
        labels: Vec::new(),
        chat_template: None,
        frontend: None,
        decoding: None,
    };
    if arena_bytes(&config, Plan::packed(&config)) > ARENA_MAX || checkpoint.parameters() > FLOATS_MAX {
        return Corpus::Keep;
    }
    for (weights, kv) in [(Format::Int8, KvType::Int8), (Format::Int4 { group: 32 }, KvType::F16), (Format::F32, KvType::F32)] {
        if let Ok(packed) = pack(&checkpoint, &Options { weights, kv, ..Options::reference() }, &Progress::silent()) {
            let image = Image::new(&packed.image).expect("what was packed can be opened");
            let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
            let mut session = Session::new(&image, &mut arena).expect("the arena has the stated size");
            session.self_test().expect("the packer's bits are the engine's");
        }
    }
    Corpus::Keep
});

/// A checkpoint cut or repeated to the size that its header implies, where that is small.
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
