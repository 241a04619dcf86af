//! Any bytes as a model's files: refused, or packed into an image that passes its self-test.
//!
//! Input: a byte, the length of a first file in two bytes, that file, a second one. The byte says what they are: 0 a llama2.c checkpoint and
//! its tokenizer, 1 the same, the checkpoint brought to the size that its header implies, 2 a GGUF file and nothing, 3 a Hugging Face
//! directory's config.json and model.safetensors.
#![no_main]

use std::fs;
use std::path::Path;

use attoformer::image::header::KvType;
use attoformer::{Image, Plan, Session, arena_bytes};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::{self, Checkpoint, gguf, llama2c, rotary_frequencies};
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use libfuzzer_sys::{Corpus, fuzz_target};

/// Larger models are sound and slow.
const FLOATS_MAX: u64 = 20_000;
const ARENA_MAX: usize = 16 << 20;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&[kind, low, high], rest)) = data.split_first_chunk() else { return Corpus::Reject };
    let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
    let (first, second) = rest.split_at(length);
    let read = match kind {
        0 => llama2c_checkpoint(first, second),
        1 => llama2c_checkpoint(&resized(first), second),
        2 => gguf::open(Path::new("fuzz.gguf"), first).ok(),
        3 => directory(first, second),
        _ => return Corpus::Reject,
    };
    read.iter().for_each(run);
    Corpus::Keep
});

fn llama2c_checkpoint(model: &[u8], vocabulary: &[u8]) -> Option<Checkpoint> {
    let read = llama2c::model(model);
    let vocab = read.as_ref().map_or(283, |(config, _)| config.vocab);
    let tokenizer = llama2c::tokenizer(vocabulary, vocab);
    let (config, tensors) = read.ok()?;
    Some(Checkpoint {
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
        pictures: None,
        decoding: None,
    })
}

/// A directory with a vocabulary of a few words.
fn directory(config: &[u8], weights: &[u8]) -> Option<Checkpoint> {
    let folder = std::env::temp_dir().join(format!("attoformer-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder can be made");
    for (name, bytes) in [("config.json", config), ("model.safetensors", weights), ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n")] {
        fs::write(folder.join(name), bytes).expect("a temporary file can be written");
    }
    import::open(&folder, None).ok()
}

/// Packs a checkpoint, where it is small, and runs what was packed.
fn run(checkpoint: &Checkpoint) {
    let config = &checkpoint.config;
    if arena_bytes(config, Plan::packed(config)) > ARENA_MAX || checkpoint.parameters() > FLOATS_MAX {
        return;
    }
    for (weights, kv) in [(Format::Int8, KvType::Int8), (Format::Int4 { group: 32 }, KvType::F16), (Format::F32, KvType::F32)] {
        if let Ok(packed) = pack(checkpoint, &Options { weights, kv, ..Options::reference() }, &Progress::silent()) {
            let image = Image::new(&packed.image).expect("what was packed can be opened");
            let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
            let mut session = Session::new(&image, &mut arena).expect("the arena has the stated size");
            session.self_test().expect("the packer's bits are the engine's");
        }
    }
}

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
