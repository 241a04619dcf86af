//! Hugging Face decoders: every tensor of every family is imported under its name, in the right order of rows.

#[path = "common/directory.rs"]
mod directory;
#[path = "common/values.rs"]
mod values;

use attoformer::image::{Activation, MaskKind, NormKind, PositionKind};
use attoformer_tools::import::{SourceRole, rotary_frequencies};
use directory::Directory;
use serde_json::json;
use values::{assert_matrices_stay_in_the_file, expect, expect_bias, rotate_half_row, value};

const LAYER: Option<u32> = Some(0);

/// Index of a value in a tensor with this many columns whose rows keep their order.
fn plain(columns: usize) -> impl Fn(usize, usize) -> usize {
    move |row, column| row * columns + column
}

/// A decoder of Llama's shape, whose heads together are wider than the model.
fn llama(model_type: &str) -> Directory {
    let config = json!({"model_type": model_type, "hidden_size": 8, "intermediate_size": 5, "num_hidden_layers": 1, "num_attention_heads": 3,
        "num_key_value_heads": 1, "head_dim": 4, "vocab_size": 11, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 500.0,
        "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": [2, 3]});
    let tensors: [(&str, &[usize]); 11] = [
        ("model.embed_tokens.weight", &[11, 8]),
        ("model.layers.0.input_layernorm.weight", &[8]),
        ("model.layers.0.self_attn.q_proj.weight", &[12, 8]),
        ("model.layers.0.self_attn.k_proj.weight", &[4, 8]),
        ("model.layers.0.self_attn.v_proj.weight", &[4, 8]),
        ("model.layers.0.self_attn.o_proj.weight", &[8, 12]),
        ("model.layers.0.post_attention_layernorm.weight", &[8]),
        ("model.layers.0.mlp.gate_proj.weight", &[5, 8]),
        ("model.layers.0.mlp.up_proj.weight", &[5, 8]),
        ("model.layers.0.mlp.down_proj.weight", &[8, 5]),
        ("model.norm.weight", &[8]),
    ];
    let directory = Directory::new(config, &tensors);
    match model_type {
        "qwen2" => directory
            .tensor("model.layers.0.self_attn.q_proj.bias", &[12])
            .tensor("model.layers.0.self_attn.k_proj.bias", &[4])
            .tensor("model.layers.0.self_attn.v_proj.bias", &[4]),
        "qwen3" => directory.tensor("model.layers.0.self_attn.q_norm.weight", &[4]).tensor("model.layers.0.self_attn.k_norm.weight", &[4]),
        _ => directory,
    }
}

#[test]
fn llama_mistral_and_qwen_are_imported() {
    for family in ["llama", "mistral", "qwen2", "qwen3"] {
        let directory = llama(family);
        directory.assert_all_are_needed();
        let checkpoint = directory.open().unwrap();
        assert_matrices_stay_in_the_file(&checkpoint);
        let place = |row: usize| rotate_half_row(row, 4, 4);
        let name = |rest: &str| format!("model.layers.0.{rest}");
        expect(&checkpoint, SourceRole::Embedding, None, "model.embed_tokens.weight", plain(8));
        expect(&checkpoint, SourceRole::Query, LAYER, &name("self_attn.q_proj.weight"), |row, column| place(row) * 8 + column);
        expect(&checkpoint, SourceRole::Key, LAYER, &name("self_attn.k_proj.weight"), |row, column| place(row) * 8 + column);
        expect(&checkpoint, SourceRole::Value, LAYER, &name("self_attn.v_proj.weight"), plain(8));
        expect(&checkpoint, SourceRole::AttnOut, LAYER, &name("self_attn.o_proj.weight"), plain(12));
        expect(&checkpoint, SourceRole::Gate, LAYER, &name("mlp.gate_proj.weight"), plain(8));
        expect(&checkpoint, SourceRole::Up, LAYER, &name("mlp.up_proj.weight"), plain(8));
        expect(&checkpoint, SourceRole::Down, LAYER, &name("mlp.down_proj.weight"), plain(5));
        expect(&checkpoint, SourceRole::AttnNorm, LAYER, &name("input_layernorm.weight"), plain(8));
        expect(&checkpoint, SourceRole::MlpNorm, LAYER, &name("post_attention_layernorm.weight"), plain(8));
        expect(&checkpoint, SourceRole::FinalNorm, None, "model.norm.weight", plain(8));
        if family == "qwen2" {
            expect_bias(&checkpoint, SourceRole::Query, LAYER, &name("self_attn.q_proj.bias"), place);
            expect_bias(&checkpoint, SourceRole::Key, LAYER, &name("self_attn.k_proj.bias"), place);
            expect_bias(&checkpoint, SourceRole::Value, LAYER, &name("self_attn.v_proj.bias"), |row| row);
        }
        if family == "qwen3" {
            expect(&checkpoint, SourceRole::QueryNorm, LAYER, &name("self_attn.q_norm.weight"), |_, column| place(column));
            expect(&checkpoint, SourceRole::KeyNorm, LAYER, &name("self_attn.k_norm.weight"), |_, column| place(column));
        }
        let config = checkpoint.config;
        assert_eq!((config.mask, config.qk_norm, config.tied_head), (MaskKind::Causal, family == "qwen3", true));
        assert_eq!((config.bos, config.eos, config.context), (1, 2, 64));
        assert_eq!(checkpoint.rotary, rotary_frequencies(500.0, 4));
    }
}

#[test]
fn optional_tensors_of_llama_are_imported() {
    let head = llama("llama").with(json!({"tie_word_embeddings": false})).tensor("lm_head.weight", &[11, 8]);
    expect(&head.open().unwrap(), SourceRole::Head, None, "lm_head.weight", plain(8));
    head.assert_all_are_needed();
    // Files with the embedding table twice, or with a table that follows from the config.
    let twice = llama("llama").tensor("lm_head.weight", &[11, 8]).tensor("model.layers.0.self_attn.rotary_emb.inv_freq", &[2]);
    assert!(twice.open().unwrap().config.tied_head);
    let mut biased = llama("llama").with(json!({"attention_bias": true, "mlp_bias": true}));
    for (part, size) in
        [("self_attn.q", 12), ("self_attn.k", 4), ("self_attn.v", 4), ("self_attn.o", 8), ("mlp.gate", 5), ("mlp.up", 5), ("mlp.down", 8)]
    {
        biased = biased.tensor(&format!("model.layers.0.{part}_proj.bias"), &[size]);
    }
    biased.assert_all_are_needed();
    // A LlamaModel, without a head, has no prefix.
    let mut bare = llama("llama");
    bare.tensors = bare.tensors.into_iter().map(|(name, shape)| (name.trim_start_matches("model.").to_owned(), shape)).collect();
    assert!(bare.open().is_ok());
}

#[test]
fn sliding_windows_follow_the_rules_of_their_family() {
    let window = |directory: Directory| directory.open().map(|checkpoint| (checkpoint.config.mask, checkpoint.config.window));
    assert_eq!(window(llama("mistral").with(json!({"sliding_window": 9}))), Ok((MaskKind::Window, Some(9))));
    assert_eq!(window(llama("mistral").with(json!({"sliding_window": 64}))), Ok((MaskKind::Causal, None)));
    assert_eq!(window(llama("mistral").with(json!({"max_position_embeddings": 5000}))), Ok((MaskKind::Window, Some(4096))));
    assert_eq!(window(llama("llama").with(json!({"sliding_window": 9}))), Ok((MaskKind::Causal, None)));
    assert_eq!(window(llama("qwen2").with(json!({"sliding_window": 9, "use_sliding_window": false}))), Ok((MaskKind::Causal, None)));
    let used = |first: u32| json!({"sliding_window": 9, "use_sliding_window": true, "max_window_layers": first});
    assert_eq!(window(llama("qwen2").with(used(0))), Ok((MaskKind::Window, Some(9))));
    assert_eq!(window(llama("qwen3").with(used(1))), Ok((MaskKind::Causal, None)));
    let two = llama("qwen2").with(used(1)).with(json!({"num_hidden_layers": 2}));
    assert!(two.refusal().contains("max_window_layers is 1, which is not supported"));
}

#[test]
fn rope_scalings_are_computed() {
    let with = |scaling: serde_json::Value| llama("llama").with(json!({"rope_scaling": scaling}));
    let plain = rotary_frequencies(500.0, 4);
    let linear = with(json!({"type": "linear", "factor": 4.0})).open().unwrap();
    assert_eq!(linear.rotary, [plain[0] / 4.0, plain[1] / 4.0]);
    assert_eq!(with(json!({"rope_type": "dynamic", "factor": 4.0})).open().unwrap().rotary, plain);
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32});
    // In 32 tokens the first pair rotates 5.1 times, the second 0.23 times.
    assert_eq!(with(llama3).open().unwrap().rotary, [plain[0], plain[1] / 8.0]);
    let yarn = with(json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16})).open().unwrap();
    let scale = (0.1 * 4f64.ln() + 1.0).powi(2) / 2.0;
    assert!((f64::from(yarn.config.score_scale.unwrap()) - scale).abs() < 1e-7);
    let stated = with(json!({"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.0})).open().unwrap();
    assert_eq!(stated.config.score_scale, None);
    let newer = llama("llama").with(json!({"rope_theta": null, "rope_parameters": {"rope_type": "default", "rope_theta": 70.0}}));
    assert_eq!(newer.open().unwrap().rotary, rotary_frequencies(70.0, 4));
    for (scaling, what) in [
        (json!({"rope_type": "longrope", "factor": 4.0}), "the type of rope_scaling is longrope"),
        (json!({"type": "linear"}), "rope_scaling of type linear lacks factor"),
        (json!({"type": "llama3", "factor": 2.0}), "lacks low_freq_factor"),
        (json!({"type": "linear", "factor": 0.0}), "produces a frequency of inf"),
    ] {
        assert!(with(scaling).refusal().contains(what), "{what}");
    }
}

/// Queries, keys and values are one matrix, and all matrices are transposed.
#[test]
fn gpt2_is_imported() {
    let config = json!({"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 9, "vocab_size": 11,
        "layer_norm_epsilon": 1e-5, "bos_token_id": 10, "eos_token_id": 10});
    let tensors: [(&str, &[usize]); 16] = [
        ("wte.weight", &[11, 8]),
        ("wpe.weight", &[9, 8]),
        ("h.0.ln_1.weight", &[8]),
        ("h.0.ln_1.bias", &[8]),
        ("h.0.attn.c_attn.weight", &[8, 24]),
        ("h.0.attn.c_attn.bias", &[24]),
        ("h.0.attn.c_proj.weight", &[8, 8]),
        ("h.0.attn.c_proj.bias", &[8]),
        ("h.0.ln_2.weight", &[8]),
        ("h.0.ln_2.bias", &[8]),
        ("h.0.mlp.c_fc.weight", &[8, 32]),
        ("h.0.mlp.c_fc.bias", &[32]),
        ("h.0.mlp.c_proj.weight", &[32, 8]),
        ("h.0.mlp.c_proj.bias", &[8]),
        ("ln_f.weight", &[8]),
        ("ln_f.bias", &[8]),
    ];
    let directory = Directory::new(config, &tensors);
    directory.assert_all_are_needed();
    let checkpoint = directory.clone().tensor("h.0.attn.bias", &[1, 1, 9, 9]).open().unwrap();
    assert_matrices_stay_in_the_file(&checkpoint);
    expect(&checkpoint, SourceRole::Positions, None, "wpe.weight", plain(8));
    for (which, part) in [SourceRole::Query, SourceRole::Key, SourceRole::Value].into_iter().enumerate() {
        expect(&checkpoint, part, LAYER, "h.0.attn.c_attn.weight", |row, column| column * 24 + which * 8 + row);
        expect_bias(&checkpoint, part, LAYER, "h.0.attn.c_attn.bias", |row| which * 8 + row);
    }
    expect(&checkpoint, SourceRole::AttnOut, LAYER, "h.0.attn.c_proj.weight", |row, column| column * 8 + row);
    expect(&checkpoint, SourceRole::Up, LAYER, "h.0.mlp.c_fc.weight", |row, column| column * 32 + row);
    expect(&checkpoint, SourceRole::Down, LAYER, "h.0.mlp.c_proj.weight", |row, column| column * 8 + row);
    expect_bias(&checkpoint, SourceRole::Down, LAYER, "h.0.mlp.c_proj.bias", |row| row);
    let norm = checkpoint.tensor(SourceRole::FinalNorm, None).unwrap().values();
    assert_eq!((norm[1], norm[9]), (value("ln_f.weight", 1), value("ln_f.bias", 1)));
    let config = checkpoint.config;
    assert_eq!((config.activation, config.positions, config.norm), (Activation::GeluTanh, PositionKind::LearnedAbsolute, NormKind::Layer));
    assert_eq!((config.tied_head, config.d_hidden, config.eos), (true, 32, 10));

    let mut prefixed = directory.clone();
    prefixed.tensors = prefixed.tensors.into_iter().map(|(name, shape)| (format!("transformer.{name}"), shape)).collect();
    assert!(prefixed.tensor("lm_head.weight", &[11, 8]).open().is_ok());
    assert!(directory.with(json!({"scale_attn_by_inverse_layer_idx": true})).refusal().contains("scale_attn_by_inverse_layer_idx"));
    assert!(directory.with(json!({"n_head": 3})).refusal().contains("n_embd 8 is not divisible by 3 attention heads"));
}

/// Queries, keys and values are one matrix, head by head, with RoPE on a part of each head.
#[test]
fn gpt_neox_is_imported() {
    let config = json!({"model_type": "gpt_neox", "hidden_size": 20, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2,
        "vocab_size": 11, "max_position_embeddings": 9, "rotary_pct": 0.4, "rotary_emb_base": 100, "hidden_act": "gelu"});
    let tensors: [(&str, &[usize]); 16] = [
        ("gpt_neox.embed_in.weight", &[11, 20]),
        ("gpt_neox.layers.0.input_layernorm.weight", &[20]),
        ("gpt_neox.layers.0.input_layernorm.bias", &[20]),
        ("gpt_neox.layers.0.attention.query_key_value.weight", &[60, 20]),
        ("gpt_neox.layers.0.attention.query_key_value.bias", &[60]),
        ("gpt_neox.layers.0.attention.dense.weight", &[20, 20]),
        ("gpt_neox.layers.0.attention.dense.bias", &[20]),
        ("gpt_neox.layers.0.post_attention_layernorm.weight", &[20]),
        ("gpt_neox.layers.0.post_attention_layernorm.bias", &[20]),
        ("gpt_neox.layers.0.mlp.dense_h_to_4h.weight", &[6, 20]),
        ("gpt_neox.layers.0.mlp.dense_h_to_4h.bias", &[6]),
        ("gpt_neox.layers.0.mlp.dense_4h_to_h.weight", &[20, 6]),
        ("gpt_neox.layers.0.mlp.dense_4h_to_h.bias", &[20]),
        ("gpt_neox.final_layer_norm.weight", &[20]),
        ("gpt_neox.final_layer_norm.bias", &[20]),
        ("embed_out.weight", &[11, 20]),
    ];
    let directory = Directory::new(config, &tensors);
    directory.assert_all_are_needed();
    let checkpoint = directory.clone().tensor("gpt_neox.layers.0.attention.masked_bias", &[1]).open().unwrap();
    assert_matrices_stay_in_the_file(&checkpoint);
    // Rows of a head in the file: ten of the query, ten of the key, ten of the value. RoPE rotates four of ten.
    for (which, part) in [SourceRole::Query, SourceRole::Key, SourceRole::Value].into_iter().enumerate() {
        let place = move |row: usize| {
            let own = if part == SourceRole::Value { row % 10 } else { rotate_half_row(row % 10, 10, 4) };
            row / 10 * 30 + which * 10 + own
        };
        let name = "gpt_neox.layers.0.attention.query_key_value";
        expect(&checkpoint, part, LAYER, &format!("{name}.weight"), |row, column| place(row) * 20 + column);
        expect_bias(&checkpoint, part, LAYER, &format!("{name}.bias"), place);
    }
    expect(&checkpoint, SourceRole::Up, LAYER, "gpt_neox.layers.0.mlp.dense_h_to_4h.weight", plain(20));
    expect(&checkpoint, SourceRole::Head, None, "embed_out.weight", plain(20));
    let config = checkpoint.config;
    assert_eq!((config.parallel, config.rotary_dim(), config.activation), (true, 4, Activation::GeluErf));
    assert_eq!(checkpoint.rotary, rotary_frequencies(100.0, 4));
    assert!(!directory.with(json!({"use_parallel_residual": false})).open().unwrap().config.parallel);
    assert!(directory.with(json!({"rotary_pct": 0.0})).refusal().contains("rotary_pct 0 rotates 0"));
    assert!(directory.with(json!({"rotary_pct": 0.3})).refusal().contains("cannot rotate 3 dimensions of a head"));
}

/// Rotary pairs are interleaved, attention and MLP share a norm, the head has a bias.
#[test]
fn gptj_is_imported() {
    let config = json!({"model_type": "gptj", "n_embd": 12, "n_layer": 1, "n_head": 2, "n_positions": 9, "vocab_size": 11, "rotary_dim": 4,
        "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5});
    let tensors: [(&str, &[usize]); 15] = [
        ("transformer.wte.weight", &[11, 12]),
        ("transformer.h.0.ln_1.weight", &[12]),
        ("transformer.h.0.ln_1.bias", &[12]),
        ("transformer.h.0.attn.q_proj.weight", &[12, 12]),
        ("transformer.h.0.attn.k_proj.weight", &[12, 12]),
        ("transformer.h.0.attn.v_proj.weight", &[12, 12]),
        ("transformer.h.0.attn.out_proj.weight", &[12, 12]),
        ("transformer.h.0.mlp.fc_in.weight", &[48, 12]),
        ("transformer.h.0.mlp.fc_in.bias", &[48]),
        ("transformer.h.0.mlp.fc_out.weight", &[12, 48]),
        ("transformer.h.0.mlp.fc_out.bias", &[12]),
        ("transformer.ln_f.weight", &[12]),
        ("transformer.ln_f.bias", &[12]),
        ("lm_head.weight", &[11, 12]),
        ("lm_head.bias", &[11]),
    ];
    let directory = Directory::new(config, &tensors);
    directory.assert_all_are_needed();
    let checkpoint = directory.open().unwrap();
    expect(&checkpoint, SourceRole::Query, LAYER, "transformer.h.0.attn.q_proj.weight", plain(12));
    expect(&checkpoint, SourceRole::Key, LAYER, "transformer.h.0.attn.k_proj.weight", plain(12));
    expect_bias(&checkpoint, SourceRole::Head, None, "lm_head.bias", |row| row);
    let norm = |part| checkpoint.tensor(part, LAYER).unwrap().values();
    assert_eq!(norm(SourceRole::AttnNorm), norm(SourceRole::MlpNorm));
    let config = checkpoint.config;
    assert_eq!((config.parallel, config.rotary_dim(), config.d_hidden, checkpoint.rotary.len()), (true, 4, 48, 2));
    let tied = directory.with(json!({"tie_word_embeddings": true})).open().unwrap();
    expect_bias(&tied, SourceRole::Embedding, None, "lm_head.bias", |row| row);
    assert!(directory.with(json!({"rotary_dim": 8})).refusal().contains("rotary_dim 8 rotates 8 of the"));
}

#[test]
fn weights_in_several_files_are_imported_by_their_index() {
    let directory = llama("llama");
    let folder = directory.write();
    let first = |name: &str| name.contains("mlp");
    let (one, two) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
    directory.write_weights(&folder.path().join(one), first);
    directory.write_weights(&folder.path().join(two), |name| !first(name));
    let files: serde_json::Map<String, serde_json::Value> =
        directory.tensors.keys().map(|name| (name.clone(), json!(if first(name) { one } else { two }))).collect();
    let index = folder.path().join("model.safetensors.index.json");
    let write = |files: &serde_json::Map<_, _>| std::fs::write(&index, json!({"metadata": {}, "weight_map": files}).to_string()).unwrap();
    let open = || attoformer_tools::import::open(folder.path(), None);
    write(&files);
    let checkpoint = open().unwrap();
    assert_eq!(checkpoint.path, index);
    assert_eq!(checkpoint.tensors.len(), directory.open().unwrap().tensors.len());
    expect(&checkpoint, SourceRole::Up, LAYER, "model.layers.0.mlp.up_proj.weight", plain(8));

    for (name, file, what) in [
        ("model.norm.weight", "../outside.safetensors", "the index names ../outside.safetensors, which is not a file name in its folder"),
        ("model.norm.weight", "", "which is not a file name in its folder"),
        ("model.norm.weight", "nowhere.safetensors", "nowhere.safetensors: no such file"),
        ("nothing.weight", one, "places the tensor nothing.weight in"),
    ] {
        let mut changed = files.clone();
        changed.insert(name.to_owned(), json!(file));
        write(&changed);
        let sentence = open().map(|_| ()).expect_err("it was imported").to_string();
        assert!(sentence.contains(what), "{sentence}");
    }
    // A tensor that both files have.
    write(&files);
    directory.write_weights(&folder.path().join(one), |name| first(name) || name == "model.norm.weight");
    assert!(open().map(|_| ()).expect_err("it was imported").to_string().contains("the tensor model.norm.weight occurs twice"));
}

#[test]
fn decoder_configs_that_are_inconsistent_are_refused() {
    for (fields, what) in [
        (json!({"model_type": "mamba"}), "model_type is mamba"),
        (json!({"model_type": null}), "model_type is (not stated)"),
        (json!({"hidden_size": null}), "missing field `hidden_size`"),
        (json!({"num_key_value_heads": 2}), "3 attention heads are not divisible by 2"),
        (json!({"num_key_value_heads": 0}), "number of key/value heads is 0"),
        (json!({"num_hidden_layers": 4_000_000_000_u32}), "number of layers is 4000000000"),
        (json!({"head_dim": 4_000_000_000_u32}), "cannot rotate 4000000000 dimensions"),
        (json!({"head_dim": null}), "hidden_size 8 is not divisible by 3 attention heads"),
        (json!({"max_position_embeddings": 0}), "context is 0"),
        (json!({"vocab_size": 12}), "has the shape [11, 8], but config.json implies [12, 8]"),
        (json!({"num_hidden_layers": 2}), "the tensor model.layers.1.input_layernorm.weight is missing"),
        (json!({"hidden_act": "xielu"}), "xielu"),
        (json!({"rms_norm_eps": -1.0}), "epsilon"),
        (json!({"eos_token_id": 11}), "BOS 1 or EOS 11 is outside the vocabulary of 11 tokens"),
        (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor"),
    ] {
        let sentence = llama("llama").with(fields).refusal();
        assert!(sentence.contains(what), "{sentence}");
    }
}
