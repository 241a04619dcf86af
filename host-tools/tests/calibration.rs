//! Calibration: sources that do not fit are replaced, files that are no calibration are refused, and the same input gives the same bytes.

mod common;
#[path = "common/directory.rs"]
mod directory;
#[path = "common/values.rs"]
mod values;
#[path = "common/whisper.rs"]
mod whisper;

use std::path::{Path, PathBuf};

use attoformer::image::Role;
use attoformer_tools::import::{self, Checkpoint};
use attoformer_tools::pack::calibrate::Measure;
use attoformer_tools::pack::{self, Activations, Calibration, Options, Packed};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use common::Tiny;
use directory::Directory;
use serde_json::json;
use tempfile::TempDir;

fn options(weights: &str, calibration: Calibration) -> Options {
    let kv = attoformer::image::KvType::Int8;
    Options { weights: weights.parse().unwrap(), kv, calibration, activations: Activations::Auto, ..Options::reference() }
}

fn try_pack(checkpoint: &Checkpoint, options: &Options) -> Result<Packed, String> {
    pack::pack(checkpoint, options, &Progress::silent()).map_err(|error| error.to_string())
}

fn packed(checkpoint: &Checkpoint, weights: &str, calibration: Calibration) -> Packed {
    try_pack(checkpoint, &options(weights, calibration)).unwrap()
}

fn text(text: &str) -> Calibration {
    Calibration::Text(PathBuf::from("own.txt"), text.to_owned())
}

/// A decoder that knows the letters up to v.
fn decoder() -> Checkpoint {
    import::open(&Tiny::new().source(), None).unwrap()
}

/// An encoder with six words, which embeds texts.
fn encoder() -> Checkpoint {
    let config = json!({"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 2,
        "num_attention_heads": 2, "vocab_size": 8, "max_position_embeddings": 8, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
        "hidden_act": "gelu", "pad_token_id": 0});
    let tables: [(&str, &[usize]); 3] = [
        ("embeddings.word_embeddings.weight", &[8, 4]),
        ("embeddings.position_embeddings.weight", &[8, 4]),
        ("embeddings.token_type_embeddings.weight", &[1, 4]),
    ];
    let mut layers = vec![("embeddings.LayerNorm".to_owned(), vec![4])];
    for layer in 0..2 {
        for (name, shape) in [
            ("attention.self.query", vec![4, 4]),
            ("attention.self.key", vec![4, 4]),
            ("attention.self.value", vec![4, 4]),
            ("attention.output.dense", vec![4, 4]),
            ("attention.output.LayerNorm", vec![4]),
            ("intermediate.dense", vec![6, 4]),
            ("output.dense", vec![4, 6]),
            ("output.LayerNorm", vec![4]),
        ] {
            layers.push((format!("encoder.layer.{layer}.{name}"), shape));
        }
    }
    let vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\nd\n";
    whisper::layers(Directory::new(config, &tables), &layers).text("vocab.txt", vocabulary).open().unwrap()
}

/// Two hundred lines of the encoder's words.
fn words() -> String {
    (0..200).map(|line| format!("{} d {}\n", ["a b", "c a a", "b"][line % 3], ["a", "c b"][line % 2])).collect()
}

/// An encoder-decoder that reads sound.
fn listener() -> Checkpoint {
    whisper::directory(20, 16, &[1, 2]).open().unwrap()
}

#[test]
fn a_text_that_fits_is_used() {
    let own = packed(&decoder(), "int8", text(&"abc dad cab bad ".repeat(200)));
    assert_eq!(own.calibration, "own.txt");
    let loss = own.measured_loss.unwrap();
    assert!(loss.measure == Measure::Tokens && loss.count > 20 && loss.mean < 0.1, "{loss}");
    let embeddings = packed(&encoder(), "int8", text(&words()));
    assert_eq!(embeddings.calibration, "own.txt");
    let loss = embeddings.measured_loss.unwrap();
    assert!(loss.measure == Measure::Cosine && loss.count > 10 && loss.mean < 0.01, "{loss}");
}

#[test]
fn a_text_that_does_not_fit_is_replaced_by_the_next_best() {
    let decoder = decoder();
    let own = packed(&decoder, "int8", Calibration::Best);
    assert_eq!(own.calibration, "self");
    for unfit in ["abc", &"a".repeat(2000), &"\u{43c}\u{438}\u{440} ".repeat(500), &"zyx ".repeat(500), &"\n".repeat(10)] {
        let packed = packed(&decoder, "int8", text(unfit));
        assert_eq!((packed.calibration.as_str(), &packed.image[..]), ("self", &own.image[..]), "{unfit}");
    }
    // The encoder knows none of the words of the built-in text.
    for source in [Calibration::Best, Calibration::OwnText, Calibration::BuiltIn, text("a b")] {
        let packed = packed(&encoder(), "int8", source);
        assert_eq!((packed.calibration.as_str(), packed.measured_loss), ("none", None));
    }
}

#[test]
fn no_calibration_has_no_measured_loss() {
    let packed = packed(&decoder(), "int8", Calibration::None);
    assert_eq!((packed.calibration.as_str(), packed.measured_loss), ("none", None));
    let floats = self::packed(&decoder(), "f32", Calibration::Best);
    assert_eq!((floats.calibration.as_str(), floats.measured_loss), ("none", None));
}

/// `--activations 12` holds without calibration as well: for every matrix that is multiplied, not for tables.
#[test]
fn twelve_bits_need_no_calibration() {
    for calibration in [Calibration::None, Calibration::Best] {
        let packed = try_pack(&listener(), &Options { activations: Activations::Twelve, ..options("int8", calibration) }).unwrap();
        for tensor in &packed.tensors {
            let is_table = matches!(tensor.role, Role::Positions | Role::EncoderPositions);
            let twelve = tensor.format == Format::Int8 && !tensor.role.is_always_f32() && !is_table;
            assert_eq!(tensor.activations.bits() == 12, twelve, "{}", pack::tensor_name(tensor.role, tensor.layer));
        }
        assert!(packed.tensors.iter().any(|tensor| tensor.activations.bits() == 12));
    }
}

#[test]
fn a_model_that_reads_sound_is_calibrated_on_generated_sound() {
    let packed = packed(&listener(), "int8", Calibration::Best);
    assert_eq!(packed.calibration, "built-in");
    assert!(packed.measured_loss.is_some());
}

/// Whatever the number of threads, for int8 and GPTQ, decoders, encoders and encoder-decoders.
#[test]
fn the_same_input_gives_the_same_bytes() {
    for (checkpoint, calibration) in [
        (decoder(), Calibration::Best),
        (decoder(), text(&"abc dad cab bad ".repeat(200))),
        (encoder(), text(&words())),
        (listener(), Calibration::BuiltIn),
    ] {
        for weights in ["int8", "int4:32"] {
            let mut all = [1, 2, 3].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let packed = pool.install(|| packed(&checkpoint, weights, calibration.clone()));
                assert!(packed.measured_loss.is_some(), "{}", checkpoint.name);
                packed
            });
            let first = all[0].image.to_vec();
            for other in &mut all[1..] {
                assert!(other.image[..] == first[..], "{} {weights}", checkpoint.name);
            }
            assert_eq!(all[0].measured_loss, all[2].measured_loss);
        }
    }
}

/// A WAV file of 16-bit samples.
fn write_wav(path: &Path, samples: impl Iterator<Item = i16>) {
    let spec = hound::WavSpec { channels: 1, sample_rate: 1000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    samples.for_each(|sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
}

#[test]
fn a_folder_of_sounds_calibrates() {
    let folder = TempDir::new().unwrap();
    for index in 0..5_usize {
        let path = folder.path().join(format!("{index}.WAV"));
        write_wav(&path, (0..700_usize).map(|at| ((at * (index + 1) * 37 % 200) as i16 - 100) * 100));
    }
    // Neither an unreadable file nor one of another kind is in the way.
    std::fs::write(folder.path().join("damaged.wav"), "RIFF").unwrap();
    std::fs::write(folder.path().join("notes.txt"), "five sounds").unwrap();
    let packed = packed(&listener(), "int8", Calibration::Folder(folder.path().to_owned()));
    assert_eq!(packed.calibration, folder.path().to_string_lossy());
    assert!(packed.measured_loss.is_some_and(|loss| loss.mean < 0.1));
}

#[test]
fn a_folder_without_a_readable_file_is_refused() {
    let folder = TempDir::new().unwrap();
    let refused = |folder: &Path| {
        let sentence = try_pack(&listener(), &options("int8", Calibration::Folder(folder.to_owned()))).map(|_| ()).unwrap_err();
        assert!(sentence.contains(&format!("the folder {} has no readable .wav file", folder.display())), "{sentence}");
    };
    refused(folder.path());
    refused(&folder.path().join("missing"));
    std::fs::write(folder.path().join("damaged.wav"), "RIFF").unwrap();
    std::fs::create_dir(folder.path().join("folder.wav")).unwrap();
    refused(folder.path());
}

#[test]
fn data_of_another_kind_is_refused() {
    let refused = |checkpoint: &Checkpoint, calibration| try_pack(checkpoint, &options("int8", calibration)).map(|_| ()).unwrap_err();
    let sentence = refused(&listener(), text("abc"));
    assert!(sentence.contains("this model reads .wav files; name a folder of them with --calibrate"), "{sentence}");
    let sentence = refused(&decoder(), Calibration::Folder(PathBuf::from(".")));
    assert!(sentence.contains("this model reads text; name a text file with --calibrate"), "{sentence}");
}
