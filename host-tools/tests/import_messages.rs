//! The messages of refused models, as snapshots: a change of wording shows up in review.
//!
//! After a change run this test with `INSTA_UPDATE=always` and commit the files of `snapshots/`.

mod common;
#[path = "common/directory.rs"]
mod directory;
#[path = "common/gguf.rs"]
mod gguf;
#[path = "common/values.rs"]
mod values;

use std::fmt::Write as _;
use std::path::Path;

use attoformer_tools::import;
use attoformer_tools::import::tokenizer::json as tokenizer_json;
use common::{Tiny, checkpoint, header, tokenizer};
use directory::Directory;
use gguf::{Builder, text};
use serde_json::{Value, json};

/// Messages, one per line: the case, then the message without the path of the temporary folder.
#[derive(Default)]
struct Messages(String);

impl Messages {
    fn add(&mut self, case: &str, folder: &Path, message: &str) {
        let folder = folder.to_string_lossy();
        assert!(message.starts_with(&*folder) && message.lines().count() == 1, "{case}: {message}");
        writeln!(self.0, "{case:36} {}", message.replace(&*folder, "")).expect("a string takes any text");
    }

    fn refused<T>(&mut self, case: &str, folder: &Path, result: Result<T, attoformer_tools::Error>) {
        match result {
            Ok(_) => panic!("{case}: imported"),
            Err(error) => self.add(case, folder, &error.to_string()),
        }
    }
}

#[test]
fn messages_of_llama2c_checkpoints() {
    let mut messages = Messages::default();
    let mut refused = |case: &str, checkpoint: &[u8], tokenizer: &[u8]| {
        let tiny = Tiny::with(checkpoint, tokenizer);
        messages.refused(case, tiny.folder.path(), import::open(&tiny.source(), None));
    };
    let with_header = |field: usize, value: i32| {
        let mut numbers = header();
        numbers[field] = value;
        let head: Vec<u8> = numbers.into_iter().flat_map(i32::to_le_bytes).collect();
        [&head, &checkpoint()[28..]].concat()
    };
    refused("empty", b"", b"");
    refused("image", b"ATTO....", b"");
    refused("later version", b"24ka....", b"");
    refused("short", b"short", b"");
    refused("negative width", &with_header(0, -1), b"");
    refused("no vocabulary", &with_header(5, 0), b"");
    refused("odd heads", &with_header(3, 5), b"");
    refused("truncated", &checkpoint()[..1000], b"");
    let mut infinite = checkpoint();
    infinite[28..32].copy_from_slice(&f32::INFINITY.to_le_bytes());
    refused("infinite weight", &infinite, b"");
    refused("tokenizer: one byte", &checkpoint(), b"x");
    refused("tokenizer: truncated", &checkpoint(), &tokenizer()[..100]);
    refused("tokenizer: too long", &checkpoint(), &[&tokenizer()[..], b"more"].concat());
    let mut shifted = tokenizer();
    shifted[12] ^= 0xff;
    refused("tokenizer: not UTF-8", &checkpoint(), &shifted);
    let folder = tempfile::tempdir().unwrap();
    messages.refused("empty folder", folder.path(), import::open(folder.path(), None));
    messages.refused("no file", folder.path(), import::open(&folder.path().join("model.bin"), None));
    insta::assert_snapshot!("llama2c", messages.0);
}

/// A decoder without tensors.
fn decoder() -> Builder {
    let key = |name: &str| format!("llama.{name}");
    Builder::new("llama")
        .size(&key("embedding_length"), 12)
        .size(&key("feed_forward_length"), 7)
        .size(&key("block_count"), 1)
        .size(&key("attention.head_count"), 3)
        .size(&key("context_length"), 40)
        .number(&key("attention.layer_norm_rms_epsilon"), 1e-5)
        .tensor("token_embd.weight", &[11, 12], &[0.0; 132])
}

#[test]
fn messages_of_gguf_files() {
    let mut messages = Messages::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let mut refused = |case: &str, file: &Builder| {
        std::fs::write(&path, file.bytes()).unwrap();
        messages.refused(case, folder.path(), import::open(&path, None));
    };
    let other_tensor = |kind: u32, sizes: &[u64]| {
        let mut file = decoder();
        (file.tensors[0].2, file.tensors[0].1) = (kind, sizes.to_vec());
        file
    };
    refused("version", &Builder { version: 1, ..decoder() });
    refused("big-endian", &Builder { version: 3_u32.swap_bytes(), ..decoder() });
    refused("architecture", &Builder::new("mamba"));
    refused("no architecture", &decoder().without("general.architecture"));
    refused("split file", &decoder().size("split.count", 3));
    refused("key twice", &decoder().size("llama.block_count", 1));
    refused("missing key", &decoder().without("llama.block_count"));
    refused("type of a value", &decoder().without("llama.block_count").number("llama.block_count", 0.5));
    refused("unknown type of a value", &decoder().with("x", 13, vec![]));
    refused("bool", &decoder().with("x", 7, vec![2]));
    refused("text that is not UTF-8", &decoder().with("x", 8, [&1_u64.to_le_bytes()[..], &[0xff]].concat()));
    refused("nested array", &decoder().with("x", 9, [&9_u32.to_le_bytes()[..], &[1; 8]].concat()));
    refused("truncated", &decoder().with("x", 8, u64::MAX.to_le_bytes().to_vec()));
    refused("alignment", &decoder().size("general.alignment", 48));
    refused("element type", &other_tensor(10, &[12, 11]));
    refused("partial block", &other_tensor(2, &[12, 11]));
    refused("dimensions", &other_tensor(0, &[1, 1, 1, 1, 1]));
    refused("sizes", &other_tensor(0, &[1 << 40, 1 << 40]));
    refused("tensor truncated", &other_tensor(0, &[12, 1 << 20]));
    refused("missing tensor", &decoder());
    refused("mixture of experts", &decoder().size("llama.expert_count", 8));
    refused("key and value heads", &decoder().size("llama.attention.head_count_kv", 2));
    refused("heads", &decoder().without("llama.attention.head_count").size("llama.attention.head_count", 5));
    refused("layers", &decoder().without("llama.block_count").size("llama.block_count", u32::MAX));
    refused("RoPE base", &decoder().number("llama.rope.freq_base", 0.0));
    refused("RoPE dimensions", &decoder().size("llama.rope.dimension_count", 8));
    let longrope = decoder().with("llama.rope.scaling.type", 8, text("longrope")).number("llama.rope.scaling.factor", 2.0);
    refused("RoPE scaling", &longrope);
    refused("RoPE factors", &decoder().tensor("rope_freqs.weight", &[1], &[1.0]));
    refused("BOS", &decoder().size("tokenizer.ggml.bos_token_id", 11));
    let tokenizer = |model: &str| decoder().with("tokenizer.ggml.model", 8, text(model));
    refused("no merges", &tokenizer("gpt2"));
    refused("no scores", &tokenizer("llama"));
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, decoder().bytes()).unwrap();
    messages.refused("--tokenizer", folder.path(), import::open(&path, Some(&path)));
    insta::assert_snapshot!("gguf", messages.0);
}

/// A Llama of one layer.
fn llama() -> Directory {
    let config = json!({"model_type": "llama", "hidden_size": 8, "intermediate_size": 5, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "vocab_size": 11, "max_position_embeddings": 20, "bos_token_id": 1, "eos_token_id": [2, 3],
        "tie_word_embeddings": true});
    Directory::new(
        config,
        &[
            ("model.embed_tokens.weight", &[11, 8]),
            ("model.layers.0.input_layernorm.weight", &[8]),
            ("model.layers.0.self_attn.q_proj.weight", &[8, 8]),
            ("model.layers.0.self_attn.k_proj.weight", &[4, 8]),
            ("model.layers.0.self_attn.v_proj.weight", &[4, 8]),
            ("model.layers.0.self_attn.o_proj.weight", &[8, 8]),
            ("model.layers.0.post_attention_layernorm.weight", &[8]),
            ("model.layers.0.mlp.gate_proj.weight", &[5, 8]),
            ("model.layers.0.mlp.up_proj.weight", &[5, 8]),
            ("model.layers.0.mlp.down_proj.weight", &[8, 5]),
            ("model.norm.weight", &[8]),
        ],
    )
}

#[test]
fn messages_of_model_directories() {
    let mut messages = Messages::default();
    let mut refused = |case: &str, directory: &Directory| {
        let folder = directory.write();
        directory.write_weights(&folder.path().join("model.safetensors"), |_| true);
        messages.refused(case, folder.path(), import::open(folder.path(), None));
    };
    assert!(llama().open().is_ok());
    refused("model_type", &llama().with(json!({"model_type": "mamba"})));
    refused("missing field", &llama().with(json!({"hidden_size": null})));
    refused("type of a field", &llama().with(json!({"hidden_size": "wide"})));
    refused("heads", &llama().with(json!({"num_attention_heads": 3})));
    refused("key and value heads", &llama().with(json!({"num_attention_heads": 4, "num_key_value_heads": 3})));
    refused("layers", &llama().with(json!({"num_hidden_layers": 0})));
    refused("activation", &llama().with(json!({"hidden_act": "xielu"})));
    refused("epsilon", &llama().with(json!({"rms_norm_eps": -1.0})));
    refused("EOS", &llama().with(json!({"eos_token_id": 11})));
    refused("rope_scaling", &llama().with(json!({"rope_scaling": {"rope_type": "longrope", "factor": 4.0}})));
    refused("rope_scaling without factor", &llama().with(json!({"rope_scaling": {"type": "linear"}})));
    refused("rope_scaling of 0", &llama().with(json!({"rope_scaling": {"type": "linear", "factor": 0.0}})));
    refused("missing tensor", &llama().without("model.norm.weight"));
    refused("unexpected tensor", &llama().tensor("model.layers.0.mlp.router.weight", &[2]));
    refused("shape", &llama().with(json!({"intermediate_size": 6})));
    refused("tokenizer.json", &llama().text("tokenizer.json", "{"));
    refused("module", &llama().text("modules.json", r#"[{"path": "", "type": "sentence_transformers.models.Dense"}]"#));
    refused("tokenizer_config.json", &llama().text("tokenizer_config.json", "[").text("vocab.json", "{}").text("merges.txt", "a b"));
    let whisper = json!({"model_type": "whisper", "d_model": 6, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 5, "decoder_ffn_dim": 5, "activation_function": "gelu", "vocab_size": 11,
        "num_mel_bins": 4, "max_source_positions": 7, "max_target_positions": 9, "decoder_start_token_id": 9, "eos_token_id": 1});
    let whisper = Directory::new(whisper, &[]);
    refused("whisper: no front end", &whisper);
    refused("whisper: front end fields", &whisper.clone().text("preprocessor_config.json", "{}"));
    let front_end = |hop: u32, samples: u32| {
        let file = json!({"feature_size": 4, "sampling_rate": 100, "hop_length": hop, "n_fft": 8, "n_samples": samples});
        whisper.clone().text("preprocessor_config.json", &file.to_string())
    };
    refused("whisper: hop length", &front_end(9, 70));
    refused("whisper: clip length", &front_end(5, 80));
    refused(
        "whisper: start token",
        &front_end(5, 70).text("generation_config.json", r#"{"decoder_start_token_id": 7, "no_timestamps_token_id": 8}"#),
    );
    refused("whisper: stacks", &front_end(5, 70).with(json!({"decoder_ffn_dim": 6})));
    let vit = json!({"model_type": "vit", "hidden_size": 4, "intermediate_size": 3, "num_hidden_layers": 1, "num_attention_heads": 2,
        "hidden_act": "gelu", "layer_norm_eps": 1e-6, "image_size": 6, "patch_size": 2});
    let vit = Directory::new(vit, &[]);
    refused("vit: patches", &vit.with(json!({"patch_size": 70_000})));
    refused("vit: picture size", &vit.clone().text("preprocessor_config.json", r#"{"size": 9}"#));
    let bert = json!({"model_type": "bert", "architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "2": "yes"}});
    refused("bert: fields", &Directory::new(bert.clone(), &[]));
    refused(
        "bert: labels",
        &Directory::new(bert, &[]).with(json!({"hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1,
        "num_attention_heads": 2, "vocab_size": 8, "max_position_embeddings": 12, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
        "hidden_act": "gelu"})),
    );
    insta::assert_snapshot!("directories", messages.0);
}

/// A `tokenizer.json` with a byte-level BPE of the 256 bytes.
fn byte_bpe() -> Value {
    let letters = (33..=126).chain(161..=172).chain(174..=255).chain(256..=323);
    let vocab = letters.filter_map(char::from_u32).enumerate().map(|(id, letter)| (letter.to_string(), id.into()));
    let vocab: serde_json::Map<String, Value> =
        vocab.chain([("ab".to_owned(), 256.into()), ("<|endoftext|>".to_owned(), 257.into())]).collect();
    json!({"model": {"type": "BPE", "vocab": vocab, "merges": ["a b"]}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
        "added_tokens": [{"id": 257, "content": "<|endoftext|>", "special": true}]})
}

/// A `tokenizer.json` with a WordPiece vocabulary.
fn wordpiece() -> Value {
    json!({"model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3}},
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}})
}

/// A `tokenizer.json` with a Unigram vocabulary.
fn unigram() -> Value {
    json!({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["</s>", 0.0], ["▁a", -1.0], ["a", -2.0]]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}})
}

#[test]
fn messages_of_tokenizers() {
    let mut messages = Messages::default();
    let folder = tempfile::tempdir().unwrap();
    let mut refused = |case: &str, mut file: Value, change: &dyn Fn(&mut Value)| {
        let write = |file: &Value| std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
        write(&file);
        tokenizer_json::open(folder.path()).unwrap_or_else(|error| panic!("{case}: {error}"));
        change(&mut file);
        write(&file);
        messages.refused(case, folder.path(), tokenizer_json::open(folder.path()));
    };
    refused("byte BPE: merge", byte_bpe(), &|file| file["model"]["merges"] = json!(["abc"]));
    refused("byte BPE: piece of a merge", byte_bpe(), &|file| file["model"]["merges"] = json!(["b c"]));
    refused("byte BPE: normalizer", byte_bpe(), &|file| file["normalizer"] = json!({"type": "NFKC"}));
    refused("byte BPE: pre_tokenizer", byte_bpe(), &|file| file["pre_tokenizer"]["add_prefix_space"] = true.into());
    refused("byte BPE: id of an added token", byte_bpe(), &|file| file["added_tokens"][0]["id"] = 3.into());
    refused("byte BPE: single word", byte_bpe(), &|file| file["added_tokens"][0]["single_word"] = true.into());
    refused("byte BPE: dropout", byte_bpe(), &|file| file["model"]["dropout"] = 0.1.into());
    refused("byte BPE: post_processor", byte_bpe(), &|file| {
        file["post_processor"] = json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "B"}}]});
    });
    refused("SentencePiece: byte tokens", byte_bpe(), &|file| file["model"]["byte_fallback"] = true.into());
    refused("WordPiece: normalizer", wordpiece(), &|file| file["normalizer"]["type"] = "NFC".into());
    refused("WordPiece: no pre_tokenizer", wordpiece(), &|file| file["pre_tokenizer"] = Value::Null);
    refused("WordPiece: field", wordpiece(), &|file| file["model"]["unk_token"] = 0.into());
    refused("WordPiece: unk_token", wordpiece(), &|file| file["model"]["unk_token"] = "<unk>".into());
    refused("WordPiece: ids", wordpiece(), &|file| file["model"]["vocab"]["a"] = 7.into());
    refused("WordPiece: longest word", wordpiece(), &|file| file["model"]["max_input_chars_per_word"] = 0.into());
    refused("WordPiece: prefix", wordpiece(), &|file| file["model"]["continuing_subword_prefix"] = "@@".into());
    refused("Unigram: unk_id", unigram(), &|file| file["model"]["unk_id"] = Value::Null);
    refused("Unigram: score", unigram(), &|file| file["model"]["vocab"][2][1] = 3.5.into());
    refused("Unigram: space", unigram(), &|file| file["model"]["vocab"][2][0] = "a b".into());
    refused("Unigram: normalizer", unigram(), &|file| file["normalizer"] = json!({"type": "NFKC"}));
    refused("Unigram: charsmap", unigram(), &|file| file["normalizer"] = json!({"type": "Precompiled", "precompiled_charsmap": "AA=="}));
    refused("Unigram: prepend_scheme", unigram(), &|file| file["pre_tokenizer"]["prepend_scheme"] = "last".into());
    refused("Unigram: EOS", unigram(), &|file| file["model"]["vocab"][1][0] = "end".into());
    let folder = tempfile::tempdir().unwrap();
    messages.refused("no tokenizer", folder.path(), tokenizer_json::open(folder.path()));
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("vocab.json", r#"{"a": 0}"#);
    write("merges.txt", "#version: 0.2\nab\n");
    write("config.json", r#"{"model_type": "clip"}"#);
    messages.refused("merges.txt", folder.path(), tokenizer_json::open(folder.path()));
    write("merges.txt", "a a\n");
    messages.refused("tokenizer class", folder.path(), tokenizer_json::open(folder.path()));
    insta::assert_snapshot!("tokenizers", messages.0);
}
