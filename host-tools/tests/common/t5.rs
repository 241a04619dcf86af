//! Synthetic T5 directories: an encoder and a decoder of one layer and width 6, 11 tokens.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

use serde_json::json;

use crate::directory::Directory;

/// A T5 with a gated or plain MLP, without a tokenizer.
pub fn t5(gated: bool) -> Directory {
    let config = json!({"model_type": "t5", "d_model": 6, "d_kv": 4, "d_ff": 5, "num_layers": 1, "num_heads": 2, "vocab_size": 11,
        "relative_attention_num_buckets": 8, "layer_norm_epsilon": 1e-6, "decoder_start_token_id": 0, "eos_token_id": 1,
        "feed_forward_proj": if gated { "gated-gelu" } else { "relu" }});
    let mut directory = Directory::new(config, &[("shared.weight", &[11, 6])]);
    let wider: &[&str] = if gated { &["wi_0", "wi_1"] } else { &["wi"] };
    for (stack, attentions) in [("encoder", &["SelfAttention"][..]), ("decoder", &["SelfAttention", "EncDecAttention"])] {
        let name = |rest: &str| format!("{stack}.{rest}.weight");
        directory = directory
            .tensor(&name("block.0.layer.0.SelfAttention.relative_attention_bias"), &[8, 2])
            .tensor(&name("final_layer_norm"), &[6]);
        for (index, attention) in attentions.iter().enumerate() {
            for (own, shape) in [("q", [8, 6]), ("k", [8, 6]), ("v", [8, 6]), ("o", [6, 8])] {
                directory = directory.tensor(&name(&format!("block.0.layer.{index}.{attention}.{own}")), &shape);
            }
            directory = directory.tensor(&name(&format!("block.0.layer.{index}.layer_norm")), &[6]);
        }
        let last = format!("block.0.layer.{}", attentions.len());
        for own in wider {
            directory = directory.tensor(&name(&format!("{last}.DenseReluDense.{own}")), &[5, 6]);
        }
        directory =
            directory.tensor(&name(&format!("{last}.DenseReluDense.wo")), &[6, 5]).tensor(&name(&format!("{last}.layer_norm")), &[6]);
    }
    directory
}

/// The tokenizer.json of the model: three special tokens, then pieces of a, b, c and d.
pub fn tokenizer() -> String {
    let special = |(id, content)| json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false});
    let added: Vec<_> = [(0, "<pad>"), (1, "</s>"), (2, "<unk>")].into_iter().map(special).collect();
    let pieces = ["<pad>", "</s>", "<unk>", "\u{2581}", "a", "b", "c", "d", "\u{2581}a", "ab", "\u{2581}b"];
    let vocab: Vec<_> =
        pieces.iter().zip(0..).map(|(piece, id)| json!([piece, if id < 3 { 0.0 } else { -2.0 - 0.1 * f64::from(id) }])).collect();
    json!({
        "version": "1.0", "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true},
        "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [], "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
        "decoder": {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": 2, "vocab": vocab, "byte_fallback": false},
    })
    .to_string()
}
