//! Audio front ends of two published models, without their files.

use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::preprocess::audio::{AudioFrontend, LogMel, Mfcc};
use serde_json::json;

/// KWT-1's front end: 98 rows of 40 cepstral coefficients (MFCC) from one second.
///
/// # Panics
/// If the importer no longer supports it.
pub fn mfcc() -> AudioFrontend {
    let config = json!({
        "type": "mfcc", "sample_rate": 16000, "num_samples": 16000, "window_size": 480, "hop": 160, "centre_padding": false, "preemphasis": 0.0,
        "window": "hann", "window_periodic": true, "fft_size": 512, "spectrum": "magnitude", "mel_bins": 80, "mel_low_hz": 20.0,
        "mel_high_hz": 7600.0, "mel_scale": "htk", "log": "natural", "log_epsilon": 1e-12, "dct_type": 2, "num_coefficients": 40
    });
    serde_json::from_value::<Mfcc>(config).expect("all fields are present").frontend().expect("a known front end")
}

/// Whisper's front end for clips of `samples` samples; 480,000 for the model itself.
///
/// # Panics
/// If the importer needs other fields.
pub fn log_mel(samples: u32) -> AudioFrontend {
    let config = json!({"feature_size": 80, "sampling_rate": 16000, "hop_length": 160, "n_fft": 400, "n_samples": samples});
    serde_json::from_value::<LogMel>(config).expect("all fields are present").frontend().expect("a known front end")
}

/// Front-end section of an image.
pub fn section(frontend: &AudioFrontend) -> AlignedBytes {
    let mut bytes = Vec::new();
    attoformer_tools::pack::frontend::section(frontend, &mut bytes);
    AlignedBytes::copy_of(&bytes)
}
