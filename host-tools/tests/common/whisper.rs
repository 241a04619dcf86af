//! Synthetic Whisper directories: an encoder and a decoder of one layer and width 6, clips of 70 samples at 100 Hz.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

use serde_json::json;

use crate::directory::Directory;

/// Layers of weights and biases: `name.weight` (rows, columns) and `name.bias` (rows).
pub fn layers(directory: Directory, layers: &[(String, Vec<usize>)]) -> Directory {
    layers.iter().fold(directory, |directory, (name, shape)| {
        directory.tensor(&format!("{name}.weight"), shape).tensor(&format!("{name}.bias"), &shape[..1])
    })
}

/// A Whisper with this vocabulary and context, BOS and EOS.
pub fn directory(vocab: usize, context: usize, [start, end]: &[u32; 2]) -> Directory {
    let config = json!({"model_type": "whisper", "d_model": 6, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 5, "decoder_ffn_dim": 5, "activation_function": "gelu", "vocab_size": vocab,
        "num_mel_bins": 4, "max_source_positions": 7, "max_target_positions": context, "decoder_start_token_id": start, "eos_token_id": end});
    let tables: [(&str, &[usize]); 3] = [
        ("model.decoder.embed_tokens.weight", &[vocab, 6]),
        ("model.encoder.embed_positions.weight", &[7, 6]),
        ("model.decoder.embed_positions.weight", &[context, 6]),
    ];
    let mut parts = vec![("model.encoder.conv1".to_owned(), vec![6, 4, 3]), ("model.encoder.conv2".to_owned(), vec![6, 6, 3])];
    let mut keys = Vec::new();
    for (stack, attentions) in [("encoder", &["self_attn"][..]), ("decoder", &["self_attn", "encoder_attn"])] {
        let name = |rest: &str| format!("model.{stack}.layers.0.{rest}");
        parts.extend([(name("fc1"), vec![5, 6]), (name("fc2"), vec![6, 5]), (name("final_layer_norm"), vec![6])]);
        parts.push((format!("model.{stack}.layer_norm"), vec![6]));
        for attention in attentions {
            parts.extend(["q", "v", "out"].map(|own| (name(&format!("{attention}.{own}_proj")), vec![6, 6])));
            parts.push((name(&format!("{attention}_layer_norm")), vec![6]));
            keys.push(name(&format!("{attention}.k_proj.weight")));
        }
    }
    let sound = r#"{"feature_size": 4, "sampling_rate": 100, "hop_length": 5, "n_fft": 8, "n_samples": 70}"#;
    let directory = layers(Directory::new(config, &tables), &parts).text("preprocessor_config.json", sound);
    keys.iter().fold(directory, |directory, name| directory.tensor(name, &[6, 6]))
}
