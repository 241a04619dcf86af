//! Hugging Face directories of every family, at minimal size.

use super::charsmap::precompiled;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::path::Path;

use attoformer_tools::import;
use serde_json::{Map, Value, json};

use super::directory;
use super::values::values;

/// Names, and the files other than the weights.
pub fn all() -> Vec<(&'static str, Value)> {
    let spoken = json!({"tokenizer.json": byte_bpe(), "tokenizer_config.json": {"eos_token": "<|end|>", "chat_template":
        "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools') }}{% endif %}{{ m.content | trim }}{% endfor %}"}});
    let words = json!({"vocab.txt": "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n"});
    let pooled = json!({"vocab.txt": words["vocab.txt"], "modules.json": [{"path": "", "type": "x.Transformer"},
        {"path": "1_Pooling", "type": "x.Pooling"}, {"path": "2_Normalize", "type": "x.Normalize"}], "1_Pooling/config.json":
        {"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}, "sentence_bert_config.json": {"max_seq_length": 7}});
    let pieces = json!({"tokenizer.json": unigram()});
    vec![
        ("llama", with(&spoken, llama("llama", json!({"rope_scaling": {"type": "linear", "factor": 2.0}, "tie_word_embeddings": true})))),
        (
            "mistral",
            with(
                &json!({}),
                llama(
                    "mistral",
                    json!({"sliding_window": 5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
            "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 6}}),
                ),
            ),
        ),
        ("qwen2", with(&spoken, llama("qwen2", json!({"rope_scaling": {"type": "yarn", "factor": 4.0}})))),
        ("qwen3", with(&json!({}), llama("qwen3", json!({})))),
        (
            "gpt2",
            with(
                &spoken,
                json!({"model_type": "gpt2", "n_embd": 4, "n_inner": 3, "n_layer": 1, "n_head": 2, "n_positions": 12, "vocab_size": 11,
            "layer_norm_epsilon": 1e-5}),
            ),
        ),
        (
            "gptj",
            with(
                &json!({}),
                json!({"model_type": "gptj", "n_embd": 8, "n_inner": 3, "n_layer": 1, "n_head": 2, "n_positions": 12, "vocab_size": 9,
            "rotary_dim": 2, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5}),
            ),
        ),
        (
            "gpt_neox",
            with(
                &json!({}),
                json!({"model_type": "gpt_neox", "hidden_size": 8, "intermediate_size": 3, "num_hidden_layers": 1,
            "num_attention_heads": 2, "vocab_size": 9, "max_position_embeddings": 12, "rotary_pct": 0.5}),
            ),
        ),
        (
            "bert",
            with(&words, bert("bert", json!({"architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "1": "yes"}}))),
        ),
        ("sentences", with(&pooled, bert("bert", json!({})))),
        ("roberta", with(&pieces, bert("roberta", json!({"architectures": ["RobertaForTokenClassification"], "pad_token_id": 1})))),
        (
            "distilbert",
            with(
                &words,
                json!({"model_type": "distilbert", "dim": 4, "hidden_dim": 3, "n_layers": 1, "n_heads": 2, "vocab_size": 6,
            "max_position_embeddings": 8, "activation": "gelu"}),
            ),
        ),
        (
            "vit",
            with(
                &json!({}),
                json!({"model_type": "vit", "hidden_size": 4, "intermediate_size": 3, "num_hidden_layers": 1, "num_attention_heads": 2,
            "hidden_act": "gelu", "layer_norm_eps": 1e-5, "image_size": 4, "patch_size": 2, "num_channels": 1, "qkv_bias": false}),
            ),
        ),
        ("kwt", with(&json!({}), kwt())),
        (
            "whisper",
            with(
                &json!({"preprocessor_config.json": {"feature_size": 4, "sampling_rate": 8000, "hop_length": 20, "n_fft": 40,
            "n_samples": 320}, "generation_config.json": {"decoder_start_token_id": 1, "no_timestamps_token_id": 2, "suppress_tokens": [3],
            "begin_suppress_tokens": [4]}}),
                whisper(),
            ),
        ),
        (
            "marian",
            with(
                &json!({}),
                json!({"model_type": "marian", "d_model": 4, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 3,
            "decoder_ffn_dim": 3, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "vocab_size": 9, "max_position_embeddings": 7,
            "activation_function": "swish", "decoder_start_token_id": 8, "eos_token_id": 0, "bad_words_ids": [[8]]}),
            ),
        ),
        (
            "t5",
            with(
                &pieces,
                json!({"model_type": "t5", "d_model": 4, "d_kv": 2, "d_ff": 3, "num_layers": 1, "num_heads": 2, "vocab_size": 9,
            "relative_attention_num_buckets": 8, "layer_norm_epsilon": 1e-6, "decoder_start_token_id": 0, "eos_token_id": 1,
            "feed_forward_proj": "gated-gelu", "n_positions": 12}),
            ),
        ),
    ]
}

/// A directory's files, with its config.json.
fn with(files: &Value, config: Value) -> Value {
    merged(json!({"config.json": config}), files.clone())
}

fn merged(mut object: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

fn llama(family: &str, more: Value) -> Value {
    let config = json!({"model_type": family, "hidden_size": 4, "intermediate_size": 3, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "vocab_size": 11, "max_position_embeddings": 12, "bos_token_id": 0, "eos_token_id": [1, 2]});
    merged(config, more)
}

fn bert(family: &str, more: Value) -> Value {
    let config = json!({"model_type": family, "hidden_size": 4, "intermediate_size": 3, "num_hidden_layers": 1, "num_attention_heads": 2,
        "vocab_size": 6, "max_position_embeddings": 8, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "hidden_act": "gelu"});
    merged(config, more)
}

fn kwt() -> Value {
    json!({"model_type": "kwt", "hidden_size": 6, "intermediate_size": 3, "num_hidden_layers": 1, "num_attention_heads": 2, "head_dim": 2,
        "hidden_act": "gelu_pytorch_tanh", "norm_placement": "post", "layer_norm_eps": 1e-6, "attention_scale": 0.25, "patch_size": [1, 3],
        "num_positions": 9, "num_labels": 2, "labels": ["yes", "no"], "frontend": {"type": "mfcc", "sample_rate": 100, "num_samples": 45,
            "window_size": 8, "hop": 5, "centre_padding": false, "preemphasis": 0.0, "window": "hann", "window_periodic": true,
            "fft_size": 8, "spectrum": "magnitude", "mel_bins": 4, "mel_low_hz": 2.0, "mel_high_hz": 40.0, "mel_scale": "htk",
            "log": "natural", "log_epsilon": 1e-12, "dct_type": 2, "num_coefficients": 3}})
}

fn whisper() -> Value {
    json!({"model_type": "whisper", "d_model": 4, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 3, "decoder_ffn_dim": 3, "activation_function": "gelu", "vocab_size": 9,
        "num_mel_bins": 4, "max_source_positions": 8, "max_target_positions": 7, "decoder_start_token_id": 1, "eos_token_id": 0})
}

fn byte_bpe() -> Value {
    json!({"model": {"type": "BPE", "vocab": {"<|end|>": 0, "<|im|>": 1, "Ġ": 2, "t": 3, "h": 4, "e": 5, "th": 6, "the": 7, "Ã": 8, "©": 9, "Ã©": 10},
        "merges": ["t h", ["th", "e"], "Ã ©"]}, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "added_tokens": [{"id": 0, "content": "<|end|>", "special": true}, {"id": 1, "content": "<|im|>", "special": true, "lstrip": true}]})
}

/// A character map with a minimal trie.
pub fn charmap() -> Vec<u8> {
    let pairs = [("\t", " "), ("\u{1}", ""), ("A", "a")].map(|(key, replacement)| (key.to_owned(), replacement.to_owned()));
    precompiled(&pairs.into())
}

fn unigram() -> Value {
    json!({"model": {"type": "Unigram", "unk_id": 2, "vocab": [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁", -1.5], ["▁a", -2.0], ["b", -2.5]]},
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": BASE64_STANDARD.encode(charmap())},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}, "post_processor": {"type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}]}})
}

/// The fuzz input of a directory. Its tensors are found by the importer's errors, one at a time, by name and by shape.
pub fn input(files: &Value) -> Vec<u8> {
    let files = files.as_object().expect("files by name");
    let mut tensors: Vec<(String, Vec<usize>)> = Vec::new();
    loop {
        let input = made(files, &tensors);
        let folder = tempfile::tempdir().unwrap();
        directory::write(&input, folder.path()).unwrap();
        let Err(error) = import::open(folder.path(), None) else { return input };
        ask(&error.to_string(), &mut tensors);
    }
}

/// A fuzz input with these tensors.
fn made(files: &Map<String, Value>, tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let tensors: Vec<(&str, &str, &[usize])> = tensors.iter().map(|(name, shape)| (name.as_str(), "F32", &shape[..])).collect();
    let data: Vec<u8> = values("data", &[13]).into_iter().flat_map(f32::to_le_bytes).collect();
    directory::input(0, files, &tensors, &data)
}

/// Adds the tensor that the error reports as missing, or corrects the shape that it reports.
fn ask(sentence: &str, tensors: &mut Vec<(String, Vec<usize>)>) {
    let (_, tensor) = sentence.split_once("the tensor ").unwrap_or_else(|| panic!("{sentence}"));
    let (name, fault) = tensor.split_once(' ').unwrap();
    match fault.split_once(" implies ") {
        None => tensors.push((name.to_owned(), vec![1])),
        Some((_, shape)) => {
            let tensor = tensors.iter_mut().find(|(found, _)| found == name).unwrap();
            tensor.1 = serde_json::from_str(shape).unwrap();
        }
    }
}

/// Whether an input is a readable directory.
pub fn passes(input: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let open = |folder: &Path| import::open(folder, None).map(|_| ()).map_err(|error| error.to_string());
    directory::write(input, folder.path()).ok_or("it is too short".to_owned()).and_then(|()| open(folder.path()))
}
