//! Import of audio models from Hugging Face directories: every tensor has its role.

#[path = "common/directory.rs"]
mod directory;
#[path = "common/values.rs"]
mod values;
#[path = "common/whisper.rs"]
mod whisper;

use std::path::Path;

use attoformer::Image;
use attoformer::image::{Classifier, InputStem, NormPlacement};
use attoformer_tools::engine::{OpenImage, Setup};
use attoformer_tools::import::{Checkpoint, SourceRole};
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::classify::logits_of_file;
use directory::Directory;
use serde_json::json;
use values::{assert_matrices_stay_in_the_file, expect, expect_bias};
use whisper::layers;

/// Index in rows of this many columns without a permutation.
fn plain(columns: usize) -> impl Fn(usize, usize) -> usize {
    move |row, column| row * columns + column
}

fn whisper() -> Directory {
    whisper::directory(11, 8, &[9, 10])
}

/// Keys have no bias; convolutions are stored tap by tap.
#[test]
fn whisper_tensors_are_mapped() {
    let directory = whisper();
    directory.assert_all_are_needed();
    let checkpoint = directory.open().unwrap();
    assert_matrices_stay_in_the_file(&checkpoint);
    // Column tap * inputs + channel of the engine is (channel, tap) in the file.
    for (part, name, inputs) in [(SourceRole::Conv1, "model.encoder.conv1", 4), (SourceRole::Conv2, "model.encoder.conv2", 6)] {
        let place = |row: usize, column: usize| (row * inputs + column % inputs) * 3 + column / inputs;
        expect(&checkpoint, part, None, &format!("{name}.weight"), place);
        expect_bias(&checkpoint, part, None, &format!("{name}.bias"), |row| row);
    }
    expect(&checkpoint, SourceRole::EncoderPositions, None, "model.encoder.embed_positions.weight", plain(6));
    expect(&checkpoint, SourceRole::Positions, None, "model.decoder.embed_positions.weight", plain(6));
    for (layer, stack) in [(0, "encoder"), (1, "decoder")] {
        let name = |rest: &str| format!("model.{stack}.layers.0.{rest}");
        expect(&checkpoint, SourceRole::Query, Some(layer), &name("self_attn.q_proj.weight"), plain(6));
        expect_bias(&checkpoint, SourceRole::Query, Some(layer), &name("self_attn.q_proj.bias"), |row| row);
        expect(&checkpoint, SourceRole::Key, Some(layer), &name("self_attn.k_proj.weight"), plain(6));
        assert_eq!(checkpoint.tensor(SourceRole::Key, Some(layer)).unwrap().bias, None);
        expect(&checkpoint, SourceRole::Down, Some(layer), &name("fc2.weight"), plain(5));
    }
    expect(&checkpoint, SourceRole::CrossValue, Some(1), "model.decoder.layers.0.encoder_attn.v_proj.weight", plain(6));
    assert_eq!(checkpoint.tensor(SourceRole::CrossKey, Some(1)).unwrap().bias, None);
    let config = checkpoint.config;
    assert_eq!((config.input_stem, config.features, config.encoder_context, config.context), (InputStem::Convolution, 4, 7, 8));
    assert_eq!((config.placement, config.tied_head, config.bos, config.eos), (NormPlacement::Pre, true, 9, 10));
    let sound = checkpoint.audio.unwrap();
    assert_eq!((checkpoint.generation_config, sound.bands, sound.samples, sound.centred), (None, 4, 70, true));
}

#[test]
fn whisper_prompt_follows_the_generation_config() {
    let english = r#"{"decoder_start_token_id": 9, "no_timestamps_token_id": 8, "suppress_tokens": [1, 2], "begin_suppress_tokens": [10]}"#;
    let decoding = whisper().text("generation_config.json", english).open().unwrap().generation_config.unwrap();
    assert_eq!((decoding.prompt, decoding.suppress_tokens, decoding.begin_suppress_tokens), (vec![9, 8], vec![1, 2], vec![10]));
    let many = r#"{"decoder_start_token_id": 9, "no_timestamps_token_id": 8, "is_multilingual": true,
        "lang_to_id": {"<|de|>": 3, "<|en|>": 4}, "task_to_id": {"transcribe": 5, "translate": 6}}"#;
    assert_eq!(whisper().text("generation_config.json", many).open().unwrap().generation_config.unwrap().prompt, [9, 4, 5, 8]);
    for (generation, cause) in [
        (english.replace("[10]", "[11]"), "token 11 is outside the vocabulary of 11 tokens"),
        (english.replace(": 9", ": 7"), "decoder_start_token_id is 7, but config.json states 9"),
    ] {
        let sentence = whisper().text("generation_config.json", &generation).refusal();
        assert!(sentence.contains("generation_config.json") && sentence.contains(cause), "{sentence}");
    }
    let sound = r#"{"feature_size": 4, "sampling_rate": 100, "hop_length": 5, "n_fft": 8, "n_samples": 80}"#;
    let sentence = whisper().text("preprocessor_config.json", sound).refusal();
    assert!(sentence.contains("yields 8 positions of 4 mel bands, but config.json states 7 of 4"), "{sentence}");
    let sentence = whisper().text("generation_config.json", "{}").refusal();
    assert!(sentence.contains("generation_config.json") && sentence.contains("decoder_start_token_id"), "{sentence}");
    assert!(whisper().with(json!({"decoder_ffn_dim": 6})).refusal().contains("different numbers of attention heads or MLP widths"));
    assert!(whisper().text("preprocessor_config.json", "{}").refusal().contains("preprocessor_config.json: invalid configuration"));
    assert!(whisper().text("preprocessor_config.json", "{").refusal().contains("preprocessor_config.json: invalid JSON"));
    let mut without_front_end = whisper();
    without_front_end.texts.clear();
    assert!(without_front_end.refusal().contains("the folder has no preprocessor_config.json"));
    assert!(whisper().with(json!({"num_mel_bins": 0})).refusal().contains("of 4 mel bands, but config.json states 7 of 0"));
}

#[test]
fn keyword_transformer_tensors_are_mapped() {
    let config = json!({"model_type": "kwt", "hidden_size": 6, "intermediate_size": 5, "num_hidden_layers": 1, "num_attention_heads": 2,
        "head_dim": 4, "hidden_act": "gelu_pytorch_tanh", "norm_placement": "post", "layer_norm_eps": 1e-6, "attention_scale": 0.25,
        "patch_size": [1, 3], "num_positions": 9, "num_labels": 2, "labels": ["yes", "no"],
        "frontend": {"type": "mfcc", "sample_rate": 100, "num_samples": 45, "window_size": 8, "hop": 5, "centre_padding": false,
            "preemphasis": 0.0, "window": "hann", "window_periodic": true, "fft_size": 8, "spectrum": "magnitude", "mel_bins": 4,
            "mel_low_hz": 2.0, "mel_high_hz": 40.0, "mel_scale": "htk", "log": "natural", "log_epsilon": 1e-12, "dct_type": 2,
            "num_coefficients": 3}});
    let tables: [(&str, &[usize]); 5] = [
        ("embeddings.cls_token", &[1, 1, 6]),
        ("embeddings.position_embeddings", &[1, 9, 6]),
        ("encoder.layer.0.attention.attention.query.weight", &[8, 6]),
        ("encoder.layer.0.attention.attention.key.weight", &[8, 6]),
        ("encoder.layer.0.attention.attention.value.weight", &[8, 6]),
    ];
    let all = [
        ("embeddings.patch_embeddings.projection", vec![6, 3]),
        ("encoder.layer.0.attention.output.dense", vec![6, 8]),
        ("encoder.layer.0.attention.output.LayerNorm", vec![6]),
        ("encoder.layer.0.intermediate.dense", vec![5, 6]),
        ("encoder.layer.0.output.dense", vec![6, 5]),
        ("encoder.layer.0.output.LayerNorm", vec![6]),
        ("classifier", vec![2, 6]),
    ];
    let directory = layers(Directory::new(config, &tables), &all.map(|(name, shape)| (name.to_owned(), shape)));
    directory.assert_all_are_needed();
    let checkpoint = directory.open().unwrap();
    expect(&checkpoint, SourceRole::Conv1, None, "embeddings.patch_embeddings.projection.weight", plain(3));
    expect(&checkpoint, SourceRole::Query, Some(0), "encoder.layer.0.attention.attention.query.weight", plain(6));
    expect(&checkpoint, SourceRole::AttnOut, Some(0), "encoder.layer.0.attention.output.dense.weight", plain(8));
    expect(&checkpoint, SourceRole::Classifier, None, "classifier.weight", plain(6));
    a_longer_clip_is_told(&checkpoint);
    let config = checkpoint.config;
    assert_eq!((config.input_stem, config.class_token, config.features, config.score_scale), (InputStem::Patches, true, 3, Some(0.25)));
    assert_eq!((config.classifier, checkpoint.labels), (Classifier::Sequence, vec!["yes".to_owned(), "no".to_owned()]));
    assert_eq!(checkpoint.audio.unwrap().coefficients, 3);
    assert!(directory.with(json!({"frontend": null})).refusal().contains("missing field `frontend`"));
    assert!(directory.with(json!({"labels": ["yes"]})).refusal().contains("num_labels is 2, but there are 1 labels"));
}

/// The clip length is 45 samples at 100 Hz; half of a clip of 0.9 s is ignored.
fn a_longer_clip_is_told(checkpoint: &Checkpoint) {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.wav");
    let form = hound::WavSpec { channels: 1, sample_rate: 1000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(&clip, form).unwrap();
    (0..900).for_each(|sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    let bytes = pack(checkpoint, &Options::reference(), &Progress::silent()).unwrap().image;
    let image = Image::new(&bytes).unwrap();
    let subject = OpenImage { image: &image, path: Path::new("kwt.atto") };
    let unheard = Setup::default().with_session(subject, |session| logits_of_file(session, subject, &clip).map(|(_, unheard)| unheard));
    assert_eq!(unheard.unwrap(), 0.45);
}
