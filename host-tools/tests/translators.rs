//! Hugging Face encoder-decoders: every tensor of every family is imported under its name.

#[path = "common/directory.rs"]
mod directory;
#[path = "common/t5.rs"]
mod t5;
#[path = "common/values.rs"]
mod values;

use attoformer::image::{Activation, Architecture, NormPlacement, PositionKind};
use attoformer_tools::import::SourceRole;
use directory::Directory;
use serde_json::json;
use t5::t5;
use values::{assert_matrices_stay_in_the_file, expect, expect_bias, value, values};

/// Index of a value in a tensor with this many columns whose rows keep their order.
fn plain(columns: usize) -> impl Fn(usize, usize) -> usize {
    move |row, column| row * columns + column
}

fn marian() -> Directory {
    let config = json!({"model_type": "marian", "d_model": 6, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 5,
        "decoder_ffn_dim": 5, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "vocab_size": 11, "max_position_embeddings": 7,
        "activation_function": "swish", "scale_embedding": true, "decoder_start_token_id": 10, "pad_token_id": 10, "eos_token_id": 0,
        "bad_words_ids": [[10], [3, 4]]});
    let mut directory = Directory::new(config, &[("model.shared.weight", &[11, 6]), ("final_logits_bias", &[1, 11])]);
    for (stack, attentions) in [("encoder", &["self_attn"][..]), ("decoder", &["self_attn", "encoder_attn"])] {
        let name = |rest: &str| format!("model.{stack}.layers.0.{rest}");
        let mut parts: Vec<(String, Vec<usize>)> =
            vec![(name("fc1"), vec![5, 6]), (name("fc2"), vec![6, 5]), (name("final_layer_norm"), vec![6])];
        for attention in attentions {
            parts.extend(["q", "k", "v", "out"].map(|own| (name(&format!("{attention}.{own}_proj")), vec![6, 6])));
            parts.push((name(&format!("{attention}_layer_norm")), vec![6]));
        }
        for (name, shape) in parts {
            directory = directory.tensor(&format!("{name}.weight"), &shape).tensor(&format!("{name}.bias"), &shape[..1]);
        }
    }
    directory
}

/// The layers of the encoder are numbered first, then those of the decoder.
#[test]
fn marian_is_imported() {
    let directory = marian();
    directory.assert_all_are_needed();
    let checkpoint =
        directory.clone().tensor("lm_head.weight", &[11, 6]).tensor("model.encoder.embed_tokens.weight", &[11, 6]).open().unwrap();
    assert_matrices_stay_in_the_file(&checkpoint);
    expect(&checkpoint, SourceRole::Embedding, None, "model.shared.weight", plain(6));
    expect_bias(&checkpoint, SourceRole::Embedding, None, "final_logits_bias", |row| row);
    for (layer, stack) in [(0, "encoder"), (1, "decoder")] {
        let name = |rest: &str| format!("model.{stack}.layers.0.{rest}");
        for (part, own) in [(SourceRole::Query, "q"), (SourceRole::Key, "k"), (SourceRole::Value, "v"), (SourceRole::AttnOut, "out")] {
            expect(&checkpoint, part, Some(layer), &name(&format!("self_attn.{own}_proj.weight")), plain(6));
            expect_bias(&checkpoint, part, Some(layer), &name(&format!("self_attn.{own}_proj.bias")), |row| row);
        }
        expect(&checkpoint, SourceRole::Up, Some(layer), &name("fc1.weight"), plain(6));
        expect(&checkpoint, SourceRole::Down, Some(layer), &name("fc2.weight"), plain(5));
    }
    for (part, own) in
        [(SourceRole::CrossQuery, "q"), (SourceRole::CrossKey, "k"), (SourceRole::CrossValue, "v"), (SourceRole::CrossOut, "out")]
    {
        expect(&checkpoint, part, Some(1), &format!("model.decoder.layers.0.encoder_attn.{own}_proj.weight"), plain(6));
    }
    let norm = checkpoint.tensor(SourceRole::CrossNorm, Some(1)).unwrap().values();
    assert_eq!(norm[7], value("model.decoder.layers.0.encoder_attn_layer_norm.bias", 1));
    let config = checkpoint.config;
    assert_eq!(
        (config.architecture, config.placement, config.activation),
        (Architecture::EncoderDecoder, NormPlacement::Post, Activation::Silu)
    );
    assert_eq!((config.encoder_layers, config.layers, config.bos, config.eos, config.tied_head), (1, 1, 10, 0, true));
    assert_eq!((config.embedding_scale, config.final_norm, config.encoder_context), (Some(6f32.sqrt()), false, 7));
    let decoding = checkpoint.generation_config.unwrap();
    assert_eq!((decoding.prompt, decoding.suppress_tokens), (vec![10], vec![10]));
}

/// Sines, then cosines, of position / 10000^(2 pair / width); a table of the file takes precedence.
#[test]
fn positions_of_marian_are_computed_or_imported() {
    let checkpoint = marian().open().unwrap();
    let table = checkpoint.tensor(SourceRole::EncoderPositions, None).unwrap();
    for position in 0..7 {
        for pair in 0..3 {
            let angle = position as f64 * 10_000f64.powf(-(pair as f64) / 3.0);
            assert!((f64::from(table.values()[position * 6 + pair]) - angle.sin()).abs() < 1e-6);
            assert!((f64::from(table.values()[position * 6 + 3 + pair]) - angle.cos()).abs() < 1e-6);
        }
    }
    assert_eq!(table.values(), checkpoint.tensor(SourceRole::Positions, None).unwrap().values());
    let name = "model.decoder.embed_positions.weight";
    let stored = marian().tensor(name, &[7, 6]).open().unwrap();
    assert_eq!(stored.tensor(SourceRole::Positions, None).unwrap().values(), values(name, &[7, 6]));
    assert_eq!(stored.tensor(SourceRole::EncoderPositions, None).unwrap().values(), table.values());
}

#[test]
fn marian_configs_that_are_not_supported_are_refused() {
    for (fields, what) in [
        (json!({"decoder_ffn_dim": 6}), "different numbers of attention heads or MLP widths"),
        (json!({"share_encoder_decoder_embeddings": false}), "do not share one embedding table"),
        (json!({"decoder_vocab_size": 12}), "do not share one embedding table"),
        (json!({"normalize_before": true}), "normalize_before"),
        (json!({"decoder_start_token_id": 11}), "BOS 11 or EOS 0 is outside the vocabulary of 11 tokens"),
        (json!({"decoder_start_token_id": null, "pad_token_id": null}), "decoder_start_token_id is missing"),
        (json!({"encoder_layers": 0}), "number of encoder layers is 0"),
    ] {
        let sentence = marian().with(fields).refusal();
        assert!(sentence.contains(what), "{sentence}");
    }
}

#[test]
fn t5_is_imported() {
    for gated in [false, true] {
        let directory = t5(gated);
        directory.assert_all_are_needed();
        let checkpoint = directory.clone().tensor("encoder.embed_tokens.weight", &[11, 6]).open().unwrap();
        for (layer, stack, mlp) in [(0, "encoder", 1), (1, "decoder", 2)] {
            let name = |rest: &str| format!("{stack}.block.0.layer.{rest}.weight");
            expect(&checkpoint, SourceRole::Query, Some(layer), &name("0.SelfAttention.q"), plain(6));
            expect(&checkpoint, SourceRole::AttnOut, Some(layer), &name("0.SelfAttention.o"), plain(8));
            expect(&checkpoint, SourceRole::AttnNorm, Some(layer), &name("0.layer_norm"), plain(6));
            expect(&checkpoint, SourceRole::MlpNorm, Some(layer), &name(&format!("{mlp}.layer_norm")), plain(6));
            expect(&checkpoint, SourceRole::Down, Some(layer), &name(&format!("{mlp}.DenseReluDense.wo")), plain(5));
            let up = if gated { "wi_1" } else { "wi" };
            expect(&checkpoint, SourceRole::Up, Some(layer), &name(&format!("{mlp}.DenseReluDense.{up}")), plain(6));
            if gated {
                expect(&checkpoint, SourceRole::Gate, Some(layer), &name(&format!("{mlp}.DenseReluDense.wi_0")), plain(6));
            }
        }
        expect(&checkpoint, SourceRole::CrossKey, Some(1), "decoder.block.0.layer.1.EncDecAttention.k.weight", plain(6));
        expect(&checkpoint, SourceRole::CrossOut, Some(1), "decoder.block.0.layer.1.EncDecAttention.o.weight", plain(8));
        expect(&checkpoint, SourceRole::CrossNorm, Some(1), "decoder.block.0.layer.1.layer_norm.weight", plain(6));
        for (part, stack) in [(SourceRole::EncoderScoreBias, "encoder"), (SourceRole::ScoreBias, "decoder")] {
            let name = format!("{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight");
            expect(&checkpoint, part, None, &name, |head, bucket| bucket * 2 + head);
        }
        let config = checkpoint.config;
        assert_eq!((config.positions, config.buckets, config.score_scale, config.gated), (PositionKind::T5Relative, 8, Some(1.0), gated));
        assert_eq!((config.head_dim, config.bos, config.eos, config.context), (4, 0, 1, 512));
    }
}

/// With tied embeddings the head reads rows divided by sqrt(d_model); a head of its own reads them unscaled.
#[test]
fn t5_with_tied_embeddings_scales_the_final_norm() {
    let norm = |directory: &Directory| directory.open().unwrap().tensor(SourceRole::FinalNorm, None).unwrap().values()[2];
    let stated = value("decoder.final_layer_norm.weight", 2);
    assert!((norm(&t5(true)) - stated / 6f32.sqrt()).abs() < 1e-7);
    let own = t5(true).with(json!({"tie_word_embeddings": false})).tensor("lm_head.weight", &[11, 6]);
    own.assert_all_are_needed();
    assert_eq!(norm(&own), stated);
    for (fields, what) in [
        (json!({"feed_forward_proj": "gated-relu"}), "gated-relu"),
        (json!({"relative_attention_num_buckets": 6}), "relative_attention_num_buckets is 6"),
        (json!({"relative_attention_max_distance": 64}), "relative_attention_max_distance is 64"),
        (json!({"eos_token_id": 11}), "outside the vocabulary"),
    ] {
        assert!(t5(false).with(fields).refusal().contains(what), "{what}");
    }
}
