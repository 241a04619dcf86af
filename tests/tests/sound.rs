//! Audio models agree with the values of their publishers' programs: KWT-1 in `../shared/models/kwt1`, and Whisper tiny.en in the folder that
//! `ATTOFORMER_WHISPER` names.

use attoformer::image::KvType;
use attoformer::kernels::SCALAR;
use attoformer::{Image, Session};
use attoformer_needs::needs;
use attoformer_replay::{Job, Source};
use attoformer_tests::models::shared;
use attoformer_tests::targets::{on_board, on_this_cpu};
use attoformer_tools::engine::Setup;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import;
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::transcribe::TranscribeOptions;
use attoformer_tools::run::{audio, features, transcribe};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use xtask::machines;

fn packed(model: &Path, int8: bool) -> AlignedBytes {
    let checkpoint = import::open(model, None).unwrap_or_else(|error| panic!("{error}"));
    let options = if int8 { Options { weights: Format::Int8, kv: KvType::Int8, ..Options::reference() } } else { Options::reference() };
    pack(&checkpoint, &options, &Progress::silent()).unwrap_or_else(|error| panic!("{error}")).image
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

/// Largest difference between two rows.
fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |worst, (a, b)| worst.max((a - b).abs()))
}

fn with_session<T>(image: &AlignedBytes, work: impl FnOnce(&Image, &mut Session) -> T) -> T {
    let image = Image::new(image).unwrap();
    let setup = Setup::default();
    let mut arena = setup.arena(image.config(), Path::new("image")).unwrap();
    let mut session = setup.session(&image, &mut arena).unwrap();
    work(&image, &mut session)
}

#[needs(file = "../shared/models/kwt1", file = "../shared/data/kws")]
#[test]
fn keyword_logits_equal_the_published_model_s() {
    let (model, clips) = (shared("models/kwt1"), shared("data/kws"));
    let expected = json(&model.join("expected.json"));
    let logits = |image: &Image, session: &mut Session, clip: &str| {
        let frontend = image.frontend().unwrap();
        let samples = audio::read_wav(&clips.join(clip), frontend.sample_rate).unwrap();
        session.encode_features(&audio::features(&frontend, &samples)).unwrap().to_vec()
    };
    let most_likely = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let clips_of = || expected.as_object().unwrap().iter().map(|(clip, row)| (clip.as_str(), numbers(row)));
    let mut worst = 0.0f32;
    with_session(&packed(&model, false), |image, session| {
        for (clip, want) in clips_of() {
            worst = worst.max(largest_difference(&logits(image, session, clip), &want));
        }
        let frontend = image.frontend().unwrap();
        let mut compared = 0;
        for entry in std::fs::read_dir(&model).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.file_name().unwrap().to_string_lossy().into_owned();
            let Some(clip) = name.strip_prefix("mfcc_expected_").and_then(|rest| rest.strip_suffix(".npy")) else { continue };
            let samples = audio::read_wav(&clips.join(format!("{clip}.wav")), frontend.sample_rate).unwrap();
            let found = audio::features(&frontend, &samples);
            let difference = largest_difference(&found, &features::read_npy(&entry, frontend.features()).unwrap());
            println!("features of {clip}: {difference:.1e}");
            assert!(difference < 1e-3);
            compared += 1;
        }
        assert_eq!(compared, 3);
    });
    println!("f32 logits of {} clips: {worst:.1e}", clips_of().count());
    assert!(clips_of().count() == 85 && worst < 2e-5, "{worst}");
    let same = with_session(&packed(&model, true), |image, session| {
        clips_of().filter(|(clip, want)| most_likely(&logits(image, session, clip)) == most_likely(want)).count()
    });
    println!("int8: the same label on {same} of 85");
    assert!(same >= 84);
}

/// From samples to labels on a microcontroller: the same bits as on this PC, in 256 KB of RAM.
#[needs(file = "../shared/models/kwt1", file = "../shared/data/kws", program = "qemu-system-arm")]
#[test]
fn a_cortex_m4f_recognizes_the_same_keyword() {
    let (model, clips) = (shared("models/kwt1"), shared("data/kws"));
    let machine = machines::find("mps2-an386").expect("the machine is in the table");
    let image = packed(&model, true);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&image).unwrap();
    let wav = std::fs::read(clips.join("yes_1000ms.wav")).unwrap();
    // After the header of 44 bytes.
    let samples: Vec<i16> = wav[44..].as_chunks().0.iter().take(16_000).map(|&bytes| i16::from_le_bytes(bytes)).collect();
    let job = Job { source: Source::Samples(&samples), prompt: &[], generate: 0, chunk: 1 };
    let expected = on_this_cpu(&image, &SCALAR, job).unwrap();
    let report = on_board(&machine, file.path(), job, None).unwrap();
    assert_eq!(report.output_hash, format!("{expected:08x}"));
    assert!(report.self_test);
    let ram = report.ram_bytes_arena + report.ram_bytes_frontend + report.ram_bytes_static + report.stack_high_water;
    println!(
        "{ram} bytes of RAM: {} arena, {} front end, {} static, {} stack; {} instructions; {} + {} bytes of flash",
        report.ram_bytes_arena,
        report.ram_bytes_frontend,
        report.ram_bytes_static,
        report.stack_high_water,
        report.instructions_encode,
        report.flash_bytes_code,
        report.flash_bytes_model
    );
    assert!(ram <= 256 * 1024);
}

#[needs(env = "ATTOFORMER_WHISPER", file = "../shared/data/speech", file = "../shared/models/whisper-tiny-en")]
#[test]
fn transcripts_are_those_of_whisper() {
    let (model, clips, values) = (whisper(), shared("data/speech"), shared("models/whisper-tiny-en"));
    let expected = json(&clips.join("expected.json"));
    let tokens_of = |clip: &Value| clip["tokens"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap() as u32).collect::<Vec<u32>>();
    for int8 in [false, true] {
        let mut other = Vec::new();
        with_session(&packed(&model, int8), |image, session| {
            let frontend = image.frontend().unwrap();
            for (name, clip) in expected.as_object().unwrap() {
                let samples = audio::read_wav(&clips.join(name), frontend.sample_rate).unwrap();
                if !int8 {
                    compare_steps(session, &audio::features(&frontend, &samples), name, clip, &values);
                }
                let transcript = transcribe::transcribe(session, &frontend, &samples, TranscribeOptions::default(), |_| {}).unwrap();
                if transcript.tokens != tokens_of(clip) {
                    other.push((name.clone(), clip["min_margin"].as_f64().unwrap()));
                }
            }
        });
        println!("{}: other tokens on {other:?} of {}", if int8 { "int8" } else { "f32" }, expected.as_object().unwrap().len());
        assert!(other.iter().all(|(_, margin)| int8 && *margin < 0.1));
    }
}

/// The timestamps of another program (`tests/golden/timestamps.py`), exactly in f32; int8 may differ on a few clips.
#[needs(env = "ATTOFORMER_WHISPER", file = "../shared/data/speech")]
#[test]
fn timestamps_are_those_of_faster_whisper() {
    let (model, clips) = (whisper(), shared("data/speech"));
    let golden: std::collections::BTreeMap<String, Vec<[f64; 2]>> =
        serde_json::from_str(include_str!("../golden/timestamps.json")).unwrap();
    for int8 in [false, true] {
        let mut other = Vec::new();
        with_session(&packed(&model, int8), |image, session| {
            let frontend = image.frontend().unwrap();
            let options = TranscribeOptions::new(image, None, false, true).unwrap();
            for (name, want) in &golden {
                let samples = audio::read_wav(&clips.join(name), frontend.sample_rate).unwrap();
                let parts = transcribe::transcribe(session, &frontend, &samples, options, |_| {}).unwrap().segments;
                let same =
                    |(part, want): (&transcribe::Segment, &[f64; 2])| (part.start - want[0]).abs() + (part.end - want[1]).abs() < 1e-6;
                if parts.len() != want.len() || !parts.iter().zip(want).all(same) {
                    other.push((name, parts));
                }
            }
        });
        println!("{}: other times on {} of {} clips: {other:?}", if int8 { "int8" } else { "f32" }, other.len(), golden.len());
        assert!(other.is_empty() || int8 && other.len() <= 6);
    }
}

/// Folder of Whisper tiny.en.
fn whisper() -> PathBuf {
    std::env::var_os("ATTOFORMER_WHISPER").expect("ATTOFORMER_WHISPER names a folder of Whisper tiny.en").into()
}

/// Compares features, encoder rows and first logits within 1e-3.
fn compare_steps(session: &mut Session, rows: &[f32], name: &str, clip: &Value, values: &Path) {
    let encoded = session.encode_features(rows).unwrap().to_vec();
    if name == "jfk.wav" {
        let bytes = std::fs::read(values.join("mel_expected_jfk.npy")).unwrap();
        let wanted: Vec<f32> = npy(&bytes, 80 * 1100);
        // The file has one row per mel band.
        let transposed: Vec<f32> = (0..1100 * 80).map(|at| wanted[at % 80 * 1100 + at / 80]).collect();
        let rows_wanted = npy(&std::fs::read(values.join("encoder_expected_jfk.npy")).unwrap(), 20 * 384);
        let (features, encoder) =
            (largest_difference(&rows[..transposed.len()], &transposed), largest_difference(&encoded[..rows_wanted.len()], &rows_wanted));
        println!("jfk: features {features:.1e}, encoder {encoder:.1e}");
        assert!(features < 1e-3 && encoder < 1e-3);
    }
    let prompt: Vec<u32> = session.image().generation_config().unwrap().prompt.to_vec();
    let logits = session.prefill(&prompt).unwrap();
    for first in clip["first_logits"].as_array().unwrap() {
        let difference = (logits[first[0].as_u64().unwrap() as usize] - first[1].as_f64().unwrap() as f32).abs();
        assert!(difference < 1e-3, "{name}: {difference}");
    }
}

/// Last `count` values of a NumPy file of f32.
fn npy(bytes: &[u8], count: usize) -> Vec<f32> {
    bytes[bytes.len() - 4 * count..].as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect()
}
