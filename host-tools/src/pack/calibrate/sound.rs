//! Calibration sounds, generated: syllables, whispers, noise bursts, noise, tones and near silence.
//!
//! Vowels are glottal pulses through a cascade of formant resonators (Klatt 1980). The samples depend on arithmetic and `libm` only, so they are
//! the same on every PC.

use std::f64::consts::{PI, TAU};
use std::iter::repeat_n;

/// Formants of a, i, o, u in Hz: averages of Peterson and Barney (1952), rounded.
const VOWELS: [[f64; 3]; 4] = [[730.0, 1090.0, 2440.0], [270.0, 2290.0, 3010.0], [570.0, 840.0, 2410.0], [300.0, 870.0, 2240.0]];
/// Bandwidths of the formants in Hz.
const BANDWIDTHS: [f64; 3] = [80.0, 100.0, 140.0];
/// The highest sample rate; sounds for a higher one are generated at this rate, so that a syllable stays short.
const RATE_MAX: u32 = 384_000;
/// Samples between two updates of the formants.
const UPDATE: usize = 32;

enum Sound {
    /// A consonant (filtered noise), a vowel that glides, and a pause. `pitch` is a range in Hz; `breath` is the share of noise in the vowels (1: a
    /// whisper), `consonant` the share of the consonants (1: no vowels), `pause` the longest pause in seconds.
    Syllables { pitch: [f64; 2], breath: f64, consonant: f64, pause: f64 },
    /// Tones of two partials, separated by silence.
    Tones,
    /// Noise of equal power per octave.
    Pink,
    /// Noise of equal power per Hz.
    White,
}

const fn speech(low: f64, high: f64, breath: f64, consonant: f64, pause: f64) -> Sound {
    Sound::Syllables { pitch: [low, high], breath, consonant, pause }
}

/// Sounds, their peaks, and the level of the white noise that the peak includes, as fractions of full scale.
const CLIPS: [(Sound, f64, f64); 12] = [
    (speech(90.0, 150.0, 0.05, 0.3, 0.15), 0.5, 0.001),
    (speech(170.0, 300.0, 0.1, 0.3, 0.1), 0.98, 0.0),
    (speech(110.0, 220.0, 0.05, 0.2, 0.6), 0.25, 0.0),
    (speech(120.0, 240.0, 0.1, 0.3, 0.2), 0.03, 0.0005),
    (speech(100.0, 200.0, 0.1, 0.3, 0.2), 0.6, 0.1),
    (speech(90.0, 300.0, 0.0, 0.0, 0.0), 0.7, 0.0),
    (speech(100.0, 100.0, 1.0, 0.4, 0.15), 0.2, 0.001),
    (speech(100.0, 100.0, 0.0, 1.0, 0.3), 0.8, 0.0),
    (Sound::Tones, 0.5, 0.0002),
    (Sound::Pink, 0.6, 0.0),
    (Sound::White, 0.3, 0.0),
    (Sound::White, 0.0001, 0.0),
];

/// Number of clips.
pub const KINDS: usize = CLIPS.len();

/// Generates [`KINDS`] clips of `samples` samples each, from near silence to near full scale.
pub fn clips(sample_rate: u32, samples: usize) -> Vec<Vec<i16>> {
    let clip = |((sound, peak, floor), seed): (&(Sound, f64, f64), u64)| {
        let noise = &mut Noise(seed);
        let mut values = sound.generate(f64::from(sample_rate.clamp(1, RATE_MAX)), samples, noise);
        values.truncate(samples);
        let largest = values.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        let scale = (peak - floor) / largest;
        values.into_iter().map(|value| ((value * scale + floor * noise.white()) * 32767.0).round() as i16).collect()
    };
    CLIPS.iter().zip(1..).map(clip).collect()
}

impl Sound {
    /// At least `samples` values of any scale.
    fn generate(&self, rate: f64, samples: usize, noise: &mut Noise) -> Vec<f64> {
        let mut values = Vec::new();
        let mut rows = [0.0; 12];
        let mut last = Target { pitch: 100.0, formants: VOWELS[0] };
        while values.len() < samples {
            match *self {
                Sound::Syllables { pitch, breath, consonant, pause } => {
                    let mut filter = Resonator::default();
                    filter.set(noise.between(1500.0, 6500.0) / rate, 1200.0 / rate);
                    // About as loud as the vowels, whatever the center.
                    filter.coefficients[0] = 0.3;
                    let count = length(noise.between(0.04, 0.12), rate);
                    values.extend((0..count).map(|at| consonant * envelope(at, count) * filter.next(noise.white())));
                    let next = Target { pitch: noise.between(pitch[0], pitch[1]), formants: VOWELS[(noise.unit() * 4.0) as usize] };
                    values.extend(vowel(&last, &next, breath, rate, noise).iter().map(|value| (1.0 - consonant) * value));
                    last = next;
                    values.extend(repeat_n(0.0, (noise.unit() * pause * rate) as usize));
                }
                Sound::Tones => {
                    let (count, angle) = (length(noise.between(0.1, 0.5), rate), TAU * noise.between(150.0, 2000.0) / rate);
                    let partials = |at: usize| libm::sin(angle * at as f64) + 0.4 * libm::sin(2.0 * angle * at as f64);
                    values.extend((0..count).map(|at| envelope(at, count) * partials(at)));
                    values.extend(repeat_n(0.0, length(0.1, rate)));
                }
                Sound::Pink => {
                    // Voss and McCartney: row k changes every 2^(k + 1) samples.
                    rows[(values.len().trailing_zeros() as usize).min(11)] = noise.white();
                    values.push(rows.iter().sum());
                }
                Sound::White => values.push(noise.white()),
            }
        }
        values
    }
}

/// One end of a vowel's glide, in Hz.
struct Target {
    pitch: f64,
    formants: [f64; 3],
}

fn vowel(from: &Target, to: &Target, breath: f64, rate: f64, noise: &mut Noise) -> Vec<f64> {
    let (mut phase, mut cascade) = (0.0, <[Resonator; 3]>::default());
    let count = length(noise.between(0.12, 0.35), rate);
    let value = |at: usize| {
        let mix = |from: f64, to: f64| from + (to - from) * (at as f64 / count as f64);
        if at.is_multiple_of(UPDATE) {
            for (k, filter) in cascade.iter_mut().enumerate() {
                filter.set(mix(from.formants[k], to.formants[k]) / rate, BANDWIDTHS[k] / rate);
            }
        }
        phase = (phase + mix(from.pitch, to.pitch) / rate) % 1.0;
        // The derivative of the glottal flow t^2 (0.6 - t); from 0.6 on the glottis is closed.
        let pulse = if phase < 0.6 { phase * (1.2 - 3.0 * phase) } else { 0.0 };
        let excitation = (1.0 - breath) * pulse + 0.3 * breath * noise.white();
        envelope(at, count) * cascade.iter_mut().fold(excitation, |value, filter| filter.next(value))
    };
    (0..count).map(value).collect()
}

/// Samples in this many seconds, at least one.
fn length(seconds: f64, rate: f64) -> usize {
    ((seconds * rate) as usize).max(1)
}

/// Rises from 0 and falls back to 0 over `count` samples, with a flat top.
fn envelope(at: usize, count: usize) -> f64 {
    let offset = 2.0 * at as f64 / count as f64 - 1.0;
    1.0 - offset * offset * (offset * offset)
}

/// A two-pole resonator of gain 1 at 0 Hz.
#[derive(Default)]
struct Resonator {
    coefficients: [f64; 3],
    last: [f64; 2],
}

impl Resonator {
    /// Sets center and bandwidth, as fractions of the sample rate. With a center near or above the Nyquist frequency it passes everything.
    fn set(&mut self, center: f64, bandwidth: f64) {
        let radius = libm::exp(-PI * bandwidth);
        let [b, c] = if center < 0.45 { [2.0 * radius * libm::cos(TAU * center), -radius * radius] } else { [0.0; 2] };
        self.coefficients = [1.0 - b - c, b, c];
    }

    fn next(&mut self, input: f64) -> f64 {
        let ([a, b, c], [y1, y2]) = (self.coefficients, self.last);
        self.last = [a * input + b * y1 + c * y2, y1];
        self.last[0]
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Noise(u64);

impl Noise {
    /// Uniform in `[0, 1)`.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn white(&mut self) -> f64 {
        self.between(-1.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_sounds_cover_the_range_of_levels() {
        let clips = clips(16_000, 32_000);
        assert_eq!(clips, super::clips(16_000, 32_000));
        for (index, (clip, (_, peak, _))) in clips.iter().zip(&CLIPS).enumerate() {
            let largest = clip.iter().map(|value| value.unsigned_abs()).max().unwrap();
            assert!(clip.len() == 32_000 && !clips[..index].contains(clip));
            assert!(largest > 0 && f64::from(largest) <= peak * 32_767.0 + 1.0, "{largest} of {peak}");
        }
        // 50 ms without a sound.
        assert!(clips.iter().any(|clip| clip.windows(800).any(|part| part.iter().all(|value| *value == 0))));
    }

    #[test]
    fn calibration_sounds_have_any_rate_and_length() {
        for (rate, samples) in [(0, 10), (1, 10), (8000, 0), (8000, 1), (u32::MAX, 100)] {
            assert!(clips(rate, samples).iter().all(|clip| clip.len() == samples));
        }
    }
}
