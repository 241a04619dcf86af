//! A Hugging Face folder that takes no time to pack.

#[path = "../../fuzz/targets/directory.rs"]
mod directory;

use std::path::Path;

use serde_json::{Map, Value, json};

/// Writes a Hugging Face folder: a Llama with byte-level BPE and random weights.
pub fn write(folder: &Path) {
    std::fs::create_dir(folder).expect("a new folder");
    let (width, hidden, vocab) = (16, 24, 257);
    let letters = (33..=126).chain(161..=172).chain(174..=255).chain(256..=323).filter_map(char::from_u32);
    let pieces: Map<String, Value> = letters.zip(0..).map(|(letter, id)| (letter.to_string(), Value::from(id))).collect();
    let end = json!({"id": 256, "content": "<|endoftext|>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let tokenizer = json!({"version": "1.0", "added_tokens": [end],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": pieces, "merges": []}});
    let config = json!({"model_type": "llama", "hidden_size": width, "intermediate_size": hidden, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": vocab, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": true, "bos_token_id": 256, "eos_token_id": 256});
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let tensors: [(String, &[usize]); 11] = [
        ("model.embed_tokens.weight".to_owned(), &[vocab, width]),
        (layer("input_layernorm"), &[width]),
        (layer("self_attn.q_proj"), &[width, width]),
        (layer("self_attn.k_proj"), &[width / 2, width]),
        (layer("self_attn.v_proj"), &[width / 2, width]),
        (layer("self_attn.o_proj"), &[width, width]),
        (layer("post_attention_layernorm"), &[width]),
        (layer("mlp.gate_proj"), &[hidden, width]),
        (layer("mlp.up_proj"), &[hidden, width]),
        (layer("mlp.down_proj"), &[width, hidden]),
        ("model.norm.weight".to_owned(), &[width]),
    ];
    let tensors = tensors.each_ref().map(|(name, shape)| (name.as_str(), "F32", *shape));
    let values: usize = tensors.iter().map(|(.., shape)| shape.iter().product::<usize>()).sum();
    // A linear congruential generator, mapped to -1..1.
    let numbers = std::iter::successors(Some(1u32), |state| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    let data: Vec<u8> = numbers.take(values).flat_map(|state| ((state >> 16) as f32 / 32_768.0 - 1.0).to_le_bytes()).collect();
    let files = Map::from_iter([("config.json".to_owned(), config), ("tokenizer.json".to_owned(), tokenizer)]);
    directory::write(&directory::input(0, &files, &tensors, &data), folder).expect("a whole input");
}
