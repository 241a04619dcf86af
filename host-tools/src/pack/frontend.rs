//! The audio front-end section: parameters (n_fft, hop length, mel bands) and the tables derived from them: Hann window, mel filterbank, DCT.

use std::f64::consts::PI;

use crate::import::preprocess::audio::{AudioFrontend, MelScale};

/// Appends the audio front-end section.
pub fn section(frontend: &AudioFrontend, out: &mut Vec<u8>) {
    let filters: Vec<(u16, Vec<f32>)> = (0..frontend.bands).map(|band| filter(frontend, band)).collect();
    let weights: usize = filters.iter().map(|(_, weights)| weights.len()).sum();
    let flags = u32::from(frontend.power) | u32::from(frontend.centred) << 1 | u32::from(frontend.decimal_range.is_some()) << 2;
    let words = [
        frontend.sample_rate,
        frontend.samples,
        frontend.frame_len,
        frontend.hop,
        frontend.fft_len,
        flags,
        frontend.bands,
        frontend.coefficients,
        frontend.log_floor.to_bits(),
        frontend.decimal_range.unwrap_or(0.0).to_bits(),
        weights as u32,
    ];
    let start = out.len();
    out.extend(words.into_iter().flat_map(u32::to_le_bytes));
    out.resize(start + 64, 0);
    let frame = f64::from(frontend.frame_len);
    put(out, (0..frontend.frame_len).map(|n| 0.5 - 0.5 * libm::cos(2.0 * PI * f64::from(n) / frame)));
    for (first, weights) in &filters {
        out.extend(first.to_le_bytes());
        out.extend((weights.len() as u16).to_le_bytes());
    }
    let mut at = 0u32;
    for (_, weights) in &filters {
        out.extend(at.to_le_bytes());
        at += weights.len() as u32;
    }
    put(out, filters.iter().flat_map(|(_, weights)| weights).map(|&weight| f64::from(weight)));
    let bands = f64::from(frontend.bands);
    let cosine = |k: u32, n: u32| libm::sqrt(2.0 / bands) * libm::cos(PI * f64::from(k) * f64::from(2 * n + 1) / (2.0 * bands));
    put(out, (0..frontend.coefficients).flat_map(|k| (0..frontend.bands).map(move |n| cosine(k, n))));
}

fn put(out: &mut Vec<u8>, values: impl Iterator<Item = f64>) {
    out.extend(values.flat_map(|value| (value as f32).to_le_bytes()));
}

/// The triangular filter of one mel band: its first FFT bin and the weights from there on.
fn filter(frontend: &AudioFrontend, band: u32) -> (u16, Vec<f32>) {
    let mel = |hz: f64| mels(frontend.scale, hz);
    let [low, high] = frontend.range_hz.map(mel);
    // Edges are equidistant in mel; the triangles are linear in mel (HTK) or in Hz (Slaney).
    let edge = |index: u32| low + (high - low) * f64::from(index) / f64::from(frontend.bands + 1);
    let axis = |mel: f64| if frontend.scale == MelScale::Htk { mel } else { hertz(mel) };
    let [left, peak, right] = [0, 1, 2].map(|side| axis(edge(band + side)));
    let area = if frontend.scale == MelScale::Slaney { 2.0 / (right - left) } else { 1.0 };
    let weight = |bin: u32| {
        let hz = f64::from(bin) * f64::from(frontend.sample_rate) / f64::from(frontend.fft_len);
        let at = if frontend.scale == MelScale::Htk { mel(hz) } else { hz };
        let inside = ((at - left) / (peak - left)).min((right - at) / (right - peak)).max(0.0);
        // HTK ignores the DC bin.
        if frontend.scale == MelScale::Htk && bin == 0 { 0.0 } else { inside * area }
    };
    let weights: Vec<f64> = (0..=frontend.fft_len / 2).map(weight).collect();
    let first = weights.iter().position(|&weight| weight > 0.0).unwrap_or(0);
    let end = weights.iter().rposition(|&weight| weight > 0.0).map_or(first, |last| last + 1);
    (first as u16, weights[first..end].iter().map(|&weight| weight as f32).collect())
}

/// Slaney's mel scale is linear up to this frequency and logarithmic above.
const KNEE_HZ: f64 = 1000.0;
const KNEE_MEL: f64 = 15.0;
/// Mels per factor e above the knee: 27 mels are a factor of 6.4.
fn slope() -> f64 {
    27.0 / libm::log(6.4)
}

fn mels(scale: MelScale, hz: f64) -> f64 {
    match scale {
        MelScale::Htk => 1127.0 * libm::log(1.0 + hz / 700.0),
        MelScale::Slaney if hz < KNEE_HZ => hz * KNEE_MEL / KNEE_HZ,
        MelScale::Slaney => KNEE_MEL + slope() * libm::log(hz / KNEE_HZ),
    }
}

/// The frequency of a mel on Slaney's scale, in Hz.
fn hertz(mel: f64) -> f64 {
    if mel < KNEE_MEL { mel * KNEE_HZ / KNEE_MEL } else { KNEE_HZ * libm::exp((mel - KNEE_MEL) / slope()) }
}
