//! GGUF files: tensors, metadata, and the refusal of damaged files.

#[path = "common/gguf.rs"]
mod builder;
#[path = "common/values.rs"]
mod values;

use attoformer::image::{Activation, Architecture, Pooling};
use attoformer_tools::files::FileBytes;
use attoformer_tools::import::gguf::reader::{Gguf, Value};
use attoformer_tools::import::{self, Checkpoint, SourceRole};
use builder::{Builder, text};
use values::{assert_matrices_stay_in_the_file, expect, expect_bias, rotate_half_row, value, values};

/// Made by ggml's own Python package with make.py beside it.
const BLOCKS: &[u8] = include_bytes!("../../tests/golden/gguf/blocks.gguf");
const BLOCK_VALUES: &[u8] = include_bytes!("../../tests/golden/gguf/blocks.f32");

const WIDTH: usize = 12;
const HIDDEN: usize = 7;
const HEADS: usize = 3;
const KV_HEADS: usize = 1;
const HEAD: usize = 6;
const VOCAB: usize = 11;
const KV: usize = KV_HEADS * HEAD;
const Q: usize = HEADS * HEAD;

fn open(file: &Builder) -> Result<Checkpoint, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, file.bytes()).unwrap();
    import::open(&path, None).map_err(|error| {
        let sentence = error.to_string();
        assert!(sentence.starts_with(&*path.to_string_lossy()), "{sentence}");
        sentence
    })
}

fn refusal(file: &Builder) -> String {
    open(file).map(|_| ()).expect_err("it was imported")
}

/// A decoder of one layer whose heads together are wider than the model.
fn decoder(architecture: &str) -> Builder {
    let key = |rest: &str| format!("{architecture}.{rest}");
    let mut file = Builder::new(architecture)
        .size(&key("embedding_length"), WIDTH as u32)
        .size(&key("feed_forward_length"), HIDDEN as u32)
        .size(&key("block_count"), 1)
        .size(&key("attention.head_count"), HEADS as u32)
        .size(&key("attention.head_count_kv"), KV_HEADS as u32)
        .size(&key("attention.key_length"), HEAD as u32)
        .size(&key("context_length"), 40)
        .number(&key("attention.layer_norm_rms_epsilon"), 1e-5)
        .number(&key("rope.freq_base"), 10_000.0);
    let own: &[(&str, &[usize])] = match architecture {
        "qwen2" => &[("blk.0.attn_q.bias", &[Q]), ("blk.0.attn_k.bias", &[KV]), ("blk.0.attn_v.bias", &[KV])],
        "qwen3" => &[("blk.0.attn_q_norm.weight", &[HEAD]), ("blk.0.attn_k_norm.weight", &[HEAD])],
        _ => &[],
    };
    let common: [(&str, &[usize]); 11] = [
        ("token_embd.weight", &[VOCAB, WIDTH]),
        ("blk.0.attn_norm.weight", &[WIDTH]),
        ("blk.0.attn_q.weight", &[Q, WIDTH]),
        ("blk.0.attn_k.weight", &[KV, WIDTH]),
        ("blk.0.attn_v.weight", &[KV, WIDTH]),
        ("blk.0.attn_output.weight", &[WIDTH, Q]),
        ("blk.0.ffn_norm.weight", &[WIDTH]),
        ("blk.0.ffn_gate.weight", &[HIDDEN, WIDTH]),
        ("blk.0.ffn_up.weight", &[HIDDEN, WIDTH]),
        ("blk.0.ffn_down.weight", &[WIDTH, HIDDEN]),
        ("output_norm.weight", &[WIDTH]),
    ];
    for (name, shape) in common.iter().chain(own) {
        file = file.tensor(name, shape, &values(name, shape));
    }
    file
}

/// Every element type is dequantized bit for bit as by ggml's own package.
#[test]
fn blocks_of_every_type_are_dequantized() {
    let file = FileBytes::from(BLOCKS.to_vec());
    let gguf = Gguf::read(&file).unwrap();
    let mut weights = gguf.into_weights().unwrap();
    let expected: Vec<u32> = BLOCK_VALUES.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect();
    let types = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"];
    for (name, expected) in types.iter().zip(expected.chunks(512)) {
        let found: Vec<u32> =
            weights.take(&format!("tensor.{name}"), &[2, 256]).unwrap().read().iter().copied().map(f32::to_bits).collect();
        assert_eq!(found, expected, "{name}");
    }
    assert_eq!(expected.len(), 512 * types.len());
    weights.finish().unwrap();
}

#[test]
fn metadata_of_every_type_is_read() {
    let file = FileBytes::from(BLOCKS.to_vec());
    let gguf = Gguf::read(&file).unwrap();
    for (key, expected) in [
        ("u8", Value::Unsigned(200)),
        ("i8", Value::Signed(-100)),
        ("u16", Value::Unsigned(60_000)),
        ("i16", Value::Signed(-30_000)),
        ("u32", Value::Unsigned(4_000_000_000)),
        ("i32", Value::Signed(-2_000_000_000)),
        ("f32", Value::Float(0.5)),
        ("bool", Value::Bool(true)),
        ("text", Value::Text("日本 text")),
        ("u64", Value::Unsigned(1 << 63)),
        ("i64", Value::Signed(-(1 << 62))),
        ("f64", Value::Float(1e300)),
    ] {
        assert_eq!(gguf.value(key), Some(expected), "{key}");
    }
    assert_eq!(gguf.array("texts").unwrap().unwrap().texts(), Some(vec!["a", "", "日"]));
    assert!(gguf.array("numbers").unwrap().unwrap().values().eq([1, -2, 3].map(Value::Signed)));
    assert_eq!(gguf.array("numbers").unwrap().unwrap().texts(), None);
    assert_eq!((gguf.value("nothing"), gguf.size("nothing")), (None, Ok(None)));
    assert!(gguf.size("u64").unwrap_err().to_string().contains("u64 is not an integer from 0 to 4294967295"));
    assert!(gguf.text("u8").unwrap_err().to_string().contains("u8 is not a string"));
    assert!(gguf.required_size("nothing").unwrap_err().to_string().contains("lacks nothing"));
}

/// Files of the llama architecture store queries and keys with interleaved rotary pairs, the others in `rotate_half` order.
#[test]
fn gguf_decoders_are_imported() {
    for architecture in ["llama", "qwen2", "qwen3"] {
        let checkpoint = open(&decoder(architecture)).unwrap();
        assert_matrices_stay_in_the_file(&checkpoint);
        let place = |row: usize| if architecture == "llama" { row } else { rotate_half_row(row, HEAD, HEAD) };
        let plain = |columns: usize| move |row: usize, column: usize| row * columns + column;
        let layer = Some(0);
        expect(&checkpoint, SourceRole::Embedding, None, "token_embd.weight", plain(WIDTH));
        expect(&checkpoint, SourceRole::Query, layer, "blk.0.attn_q.weight", |row, column| place(row) * WIDTH + column);
        expect(&checkpoint, SourceRole::Key, layer, "blk.0.attn_k.weight", |row, column| place(row) * WIDTH + column);
        expect(&checkpoint, SourceRole::Value, layer, "blk.0.attn_v.weight", plain(WIDTH));
        expect(&checkpoint, SourceRole::AttnOut, layer, "blk.0.attn_output.weight", plain(Q));
        expect(&checkpoint, SourceRole::Gate, layer, "blk.0.ffn_gate.weight", plain(WIDTH));
        expect(&checkpoint, SourceRole::Up, layer, "blk.0.ffn_up.weight", plain(WIDTH));
        expect(&checkpoint, SourceRole::Down, layer, "blk.0.ffn_down.weight", plain(HIDDEN));
        expect(&checkpoint, SourceRole::AttnNorm, layer, "blk.0.attn_norm.weight", plain(WIDTH));
        expect(&checkpoint, SourceRole::MlpNorm, layer, "blk.0.ffn_norm.weight", plain(WIDTH));
        expect(&checkpoint, SourceRole::FinalNorm, None, "output_norm.weight", plain(WIDTH));
        if architecture == "qwen2" {
            expect_bias(&checkpoint, SourceRole::Query, layer, "blk.0.attn_q.bias", place);
            expect_bias(&checkpoint, SourceRole::Key, layer, "blk.0.attn_k.bias", place);
            expect_bias(&checkpoint, SourceRole::Value, layer, "blk.0.attn_v.bias", |row| row);
        }
        if architecture == "qwen3" {
            expect(&checkpoint, SourceRole::QueryNorm, layer, "blk.0.attn_q_norm.weight", |_, column| place(column));
            expect(&checkpoint, SourceRole::KeyNorm, layer, "blk.0.attn_k_norm.weight", |_, column| place(column));
        }
        let config = checkpoint.config;
        assert_eq!((config.tied_head, config.qk_norm, config.vocab, config.context), (true, architecture == "qwen3", VOCAB as u32, 40));
        assert_eq!((config.kv_heads, config.head_dim, checkpoint.rotary.len()), (KV_HEADS as u32, HEAD as u32, HEAD / 2));
    }
}

#[test]
fn optional_parts_of_gguf_decoders_are_imported() {
    let head = decoder("llama").tensor("output.weight", &[VOCAB, WIDTH], &values("output.weight", &[VOCAB, WIDTH]));
    let checkpoint = open(&head.with("tokenizer.chat_template", 8, text("{{ x }}")).size("tokenizer.ggml.eos_token_id", 2)).unwrap();
    expect(&checkpoint, SourceRole::Head, None, "output.weight", |row, column| row * WIDTH + column);
    assert_eq!((checkpoint.config.tied_head, checkpoint.config.eos), (false, 2));
    assert_eq!(checkpoint.chat_template.as_deref(), Some("{{ x }}"));

    let plain = open(&decoder("llama")).unwrap().rotary;
    let factors = decoder("llama").tensor("rope_freqs.weight", &[3], &[1.0, 2.0, 8.0]);
    let stretched = open(&factors).unwrap().rotary;
    assert_eq!(stretched, [plain[0], plain[1] / 2.0, plain[2] / 8.0]);
    let linear = decoder("llama").with("llama.rope.scaling.type", 8, text("linear")).number("llama.rope.scaling.factor", 4.0);
    assert_eq!(open(&linear).unwrap().rotary[1], plain[1] / 4.0);
    let yarn = decoder("llama").with("llama.rope.scaling.type", 8, text("yarn")).number("llama.rope.scaling.factor", 4.0);
    let yarn = open(&yarn).unwrap();
    let scale = (1.0 + 0.1 * 4f64.ln()).powi(2) / 6f64.sqrt();
    assert!((f64::from(yarn.config.score_scale.unwrap()) - scale).abs() < 1e-7);
    assert_eq!(open(&decoder("llama").size("llama.rope.dimension_count", 4)).unwrap().config.partial_rotary_dim, Some(4));
}

#[test]
fn gguf_sentence_encoders_are_imported() {
    let mut file = Builder::new("bert")
        .size("bert.embedding_length", 12)
        .size("bert.feed_forward_length", 7)
        .size("bert.block_count", 1)
        .size("bert.attention.head_count", 3)
        .size("bert.context_length", 9)
        .size("bert.pooling_type", 2)
        .number("bert.attention.layer_norm_epsilon", 1e-12);
    let shapes: [(&str, &[usize]); 12] = [
        ("token_embd.weight", &[VOCAB, 12]),
        ("position_embd.weight", &[9, 12]),
        ("token_types.weight", &[2, 12]),
        ("blk.0.attn_q.weight", &[12, 12]),
        ("blk.0.attn_k.weight", &[12, 12]),
        ("blk.0.attn_v.weight", &[12, 12]),
        ("blk.0.attn_output.weight", &[12, 12]),
        ("blk.0.ffn_up.weight", &[7, 12]),
        ("blk.0.ffn_down.weight", &[12, 7]),
        ("token_embd_norm.weight", &[12]),
        ("blk.0.attn_output_norm.weight", &[12]),
        ("blk.0.layer_output_norm.weight", &[12]),
    ];
    for (name, shape) in shapes {
        file = file.tensor(name, shape, &values(name, shape));
        let bias = name.replace("weight", "bias");
        if name.starts_with("blk") || name.starts_with("token_embd_norm") {
            file = file.tensor(&bias, &shape[..1], &values(&bias, &shape[..1]));
        }
    }
    let checkpoint = open(&file).unwrap();
    assert_eq!(
        checkpoint.tensor(SourceRole::Positions, None).unwrap().values()[13],
        value("position_embd.weight", 13) + value("token_types.weight", 1)
    );
    expect(&checkpoint, SourceRole::Query, Some(0), "blk.0.attn_q.weight", |row, column| row * 12 + column);
    expect_bias(&checkpoint, SourceRole::Up, Some(0), "blk.0.ffn_up.bias", |row| row);
    let norm = checkpoint.tensor(SourceRole::AttnNorm, Some(0)).unwrap();
    assert_eq!(norm.values()[12], value("blk.0.attn_output_norm.bias", 0));
    let config = checkpoint.config;
    assert_eq!((config.architecture, config.pooling, config.activation), (Architecture::Encoder, Pooling::First, Activation::GeluErf));
    assert!(
        refusal(&file.clone().without("bert.pooling_type").size("bert.pooling_type", 4))
            .contains("bert.pooling_type is 4, which is not supported")
    );
}

#[test]
fn missing_and_unexpected_gguf_tensors_are_refused() {
    let file = decoder("qwen3");
    for index in 0..file.tensors.len() {
        let mut file = file.clone();
        let name = file.tensors.remove(index).0;
        assert!(refusal(&file).contains(&format!("the tensor {name} is missing")), "{name}");
    }
    let more = file.clone().tensor("blk.0.ffn_gate_inp.weight", &[2, 2], &[0.0; 4]);
    assert!(refusal(&more).contains("unexpected tensor blk.0.ffn_gate_inp.weight"));
    let other = file.clone().without("qwen3.feed_forward_length").size("qwen3.feed_forward_length", 8);
    assert!(refusal(&other).contains("the tensor blk.0.ffn_gate.weight has the shape [7, 12], but the metadata implies [8, 12]"));
    let mut infinite = file;
    infinite.tensors[0].3[8..12].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert!(refusal(&infinite).contains("value 2 of the tensor token_embd.weight is inf"));
}

#[test]
fn inconsistent_metadata_is_refused() {
    let sizes = |key: &str, size: u32| decoder("llama").without(key).size(key, size);
    for (file, what) in [
        (Builder::new("mamba"), "the architecture mamba is not supported; supported: llama, qwen2, qwen3, bert"),
        (decoder("llama").without("general.architecture"), "lacks general.architecture"),
        (decoder("llama").without("llama.block_count"), "lacks llama.block_count"),
        (decoder("llama").size("split.count", 3), "one of 3 parts"),
        (decoder("llama").size("llama.expert_count", 8), "mixture of experts"),
        (decoder("llama").size("tokenizer.ggml.bos_token_id", 11), "bos_token_id is 11, outside the vocabulary of 11 tokens"),
        (decoder("llama").size("llama.attention.value_length", 8), "value_length is 8, which is not supported"),
        (decoder("llama").size("llama.rope.dimension_count", 8), "cannot rotate 8 dimensions of a head of 6"),
        (decoder("llama").size("llama.rope.dimension_count", 5), "cannot rotate 5 dimensions"),
        (sizes("llama.attention.head_count_kv", 2), "3 attention heads are not divisible by 2"),
        (sizes("llama.attention.head_count_kv", 0), "number of key/value heads is 0"),
        (sizes("llama.block_count", u32::MAX), "number of layers is 4294967295"),
        (sizes("llama.block_count", 2), "the tensor blk.1.attn_norm.weight is missing"),
        (sizes("llama.attention.key_length", u32::MAX), "4294967295"),
        (sizes("llama.context_length", 0), "context is 0"),
        (sizes("llama.rope.freq_base", 0), "RoPE base (rope_theta) is 0"),
        (decoder("llama").with("llama.rope.scaling.type", 8, text("longrope")).number("llama.rope.scaling.factor", 2.0), "longrope"),
        (decoder("llama").tensor("rope_freqs.weight", &[2], &[1.0, 1.0]), "2 RoPE factors for 3 rotary pairs"),
    ] {
        let sentence = refusal(&file);
        assert!(sentence.contains(what), "{sentence}");
    }
}

#[test]
fn an_invalid_container_is_refused() {
    let tensor = |kind: u32, sizes: &[u64]| {
        let mut file = decoder("llama");
        (file.tensors[0].2, file.tensors[0].1) = (kind, sizes.to_vec());
        file
    };
    let alignment = |size: u32| decoder("llama").size("general.alignment", size);
    for (file, what) in [
        (Builder { version: 1, ..decoder("llama") }, "version 1"),
        (Builder { version: 3u32.swap_bytes(), ..decoder("llama") }, "big-endian"),
        (decoder("llama").size("llama.block_count", 1), "states llama.block_count twice"),
        (decoder("llama").tensor("output_norm.weight", &[1], &[0.0]), "the tensor output_norm.weight occurs twice"),
        (tensor(10, &[12, 11]), "type 10 (Q2_K)"),
        (tensor(99, &[12, 11]), "element type 99 (unknown)"),
        (tensor(2, &[12, 11]), "not a multiple of its block size 32"),
        (tensor(0, &[]), "0 dimensions"),
        (tensor(0, &[1, 1, 1, 1, 1]), "5 dimensions"),
        (tensor(0, &[0, 11]), "empty or too large"),
        (tensor(0, &[1 << 40, 1 << 40]), "empty or too large"),
        (tensor(0, &[12, 1 << 40]), "overlap"),
        (tensor(0, &[12, 12]), "overlap"),
        (alignment(0), "general.alignment"),
        (alignment(48), "general.alignment"),
        (alignment(1 << 30), "general.alignment"),
        (decoder("llama").with("x", 13, vec![]), "x is of unknown type 13"),
        (decoder("llama").with("x", 7, vec![2]), "neither true nor false"),
        (decoder("llama").with("x", 8, [&1u64.to_le_bytes()[..], &[0xff]].concat()), "not UTF-8"),
        (decoder("llama").with("x", 9, [&9u32.to_le_bytes()[..], &[1; 8]].concat()), "array of arrays"),
        (decoder("llama").with("x", 9, [&0u32.to_le_bytes()[..], &[0xff; 8]].concat()), "it may be truncated"),
        (decoder("llama").with("x", 8, u64::MAX.to_le_bytes().to_vec()), "it may be truncated"),
        (decoder("llama").with("", 7, vec![1]), "0 bytes"),
    ] {
        let sentence = refusal(&file);
        assert!(sentence.contains(what), "{sentence}");
    }
    let unaligned = Builder { alignment: 4, ..decoder("llama") };
    assert!(refusal(&unaligned).contains("not a multiple of 32"));
    assert!(open(&Builder { alignment: 8, ..decoder("llama").size("general.alignment", 8) }).is_ok());
}

#[test]
fn wrong_counts_and_truncated_files_are_refused() {
    let bytes = decoder("llama").size("tokenizer.ggml.eos_token_id", 2).bytes();
    for end in 0..bytes.len() {
        assert!(Gguf::read(&bytes[..end].to_vec().into()).is_err(), "cut at {end}");
    }
    for at in [8, 16] {
        for count in [0, 1, 1 << 20, 1 << 40, u64::MAX] {
            let mut altered = bytes.clone();
            altered[at..at + 8].copy_from_slice(&u64::to_le_bytes(count));
            // Refused, or read as a file with fewer tensors, at once and without allocating what the count states.
            let _ = Gguf::read(&altered.into()).map(|gguf| gguf.into_weights().map(|_| ()));
        }
    }
}

/// A file with any altered byte is refused or imported; nothing panics.
#[test]
fn no_altered_byte_of_a_gguf_file_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    for file in [decoder("llama"), decoder("qwen3").with("tokenizer.chat_template", 8, text("x"))] {
        let bytes = file.bytes();
        let header = bytes.len() - file.tensors.iter().map(|tensor| tensor.3.len()).sum::<usize>();
        for at in 0..header {
            for flip in [0x01, 0x80, 0xff] {
                let mut altered = bytes.clone();
                altered[at] ^= flip;
                if Gguf::read(&altered.clone().into()).is_ok() {
                    std::fs::write(&path, &altered).unwrap();
                    let _ = import::open(&path, None);
                }
            }
        }
    }
}
