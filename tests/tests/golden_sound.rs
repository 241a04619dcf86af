//! Audio front ends agree with an independent implementation (`tests/golden/sound.py`) and with the features of published models.

use std::path::Path;
use std::process::Command;

use attoformer::frontend::Frontend;
use attoformer_needs::needs;
use attoformer_replay::sound;
use attoformer_tests::golden::{list, number, whole};
use attoformer_tests::models::shared;
use attoformer_tests::sounds::{log_mel, mfcc, section};
use attoformer_tools::import::preprocess::audio as frontend;
use attoformer_tools::run::audio::{features, read_wav};
use attoformer_tools::run::features::read_npy;
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/sound.json")).unwrap()
}

fn rows_of(frontend: &frontend::AudioFrontend, samples: &[f32]) -> Vec<f32> {
    features(&Frontend::new(&section(frontend)).unwrap(), samples)
}

/// Prints the largest difference and checks it against the bound.
fn assert_close(name: &str, bound: f64, found: &[f32], want: impl ExactSizeIterator<Item = f64>) {
    assert_eq!(found.len(), want.len(), "{name}");
    let worst = found.iter().zip(want).fold(0.0, |worst: f64, (&found, want)| worst.max((f64::from(found) - want).abs()));
    println!("{name}: worst error {worst:.2e}, bound {bound:.0e}");
    assert!(worst <= bound, "{name}: {worst:e}");
}

fn compare_with_golden(name: &str, bound: f64, frontend: impl Fn(u32) -> frontend::AudioFrontend) {
    let golden = &golden()[name];
    let samples = whole(&golden["samples"]);
    let clip: Vec<f32> = sound(samples as usize, whole(&golden["seed"])).iter().map(|&x| f32::from(x) / 32768.0).collect();
    let found = rows_of(&frontend(samples), &clip);
    for (row, want) in list(&golden["rows"]).iter().zip(list(&golden["values"])) {
        let (row, want) = (whole(row) as usize, list(want));
        assert_close(&format!("{name}, row {row}"), bound, &found[row * want.len()..(row + 1) * want.len()], want.iter().map(number));
    }
}

#[test]
fn cepstra_of_a_sweep() {
    compare_with_golden("mfcc", 2e-4, |_| mfcc());
}

#[test]
fn log_mel_spectra_of_a_sweep() {
    compare_with_golden("log_mel", 2e-5, log_mel);
}

#[needs(python = "3")]
#[test]
fn sound_py_still_writes_sound_json() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let made = Command::new("python3").arg("sound.py").current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (today, golden) = (serde_json::from_slice::<Value>(&made.stdout).unwrap(), golden());
    for name in ["mfcc", "log_mel"] {
        let numbers = |value: &Value| list(&value[name]["values"]).iter().flat_map(list).map(number).collect::<Vec<f64>>();
        let (today, golden) = (numbers(&today), numbers(&golden));
        // C libraries differ in the last digit.
        assert!(today.len() == golden.len() && today.iter().zip(&golden).all(|(a, b)| (a - b).abs() < 3e-7), "{name}");
    }
}

/// The published features are f32 as well, with an error of 1.8e-4 against float64.
#[needs(file = "../shared/models/kwt1", file = "../shared/data/kws")]
#[test]
fn kwt_features_equal_the_published_model_s() {
    for clip in ["yes_1000ms", "noise_1000ms", "stop_en-gb_130"] {
        let (expected, wav) = (shared(&format!("models/kwt1/mfcc_expected_{clip}.npy")), shared(&format!("data/kws/{clip}.wav")));
        let found = rows_of(&mfcc(), &read_wav(&wav, 16000).unwrap());
        assert_close(clip, 4e-4, &found, read_npy(&expected, 40).unwrap().into_iter().map(f64::from));
    }
}

#[needs(file = "../shared/models/whisper-tiny-en", file = "../shared/data/speech")]
#[test]
fn whisper_features_equal_the_published_model_s() {
    let (expected, wav) = (shared("models/whisper-tiny-en/mel_expected_jfk.npy"), shared("data/speech/jfk.wav"));
    let found = rows_of(&log_mel(480_000), &read_wav(&wav, 16000).unwrap());
    // The file has one row per mel band, with the clip's 1,100 frames as columns.
    let expected = read_npy(&expected, 1100).unwrap();
    let transposed: Vec<f64> = (0..1100 * 80).map(|index| f64::from(expected[index % 80 * 1100 + index / 80])).collect();
    assert_close("jfk", 1e-4, &found[..1100 * 80], transposed.into_iter());
}
