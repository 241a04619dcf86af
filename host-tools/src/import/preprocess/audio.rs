//! What a model's files say of the sound that it reads.

use attoformer::frontend::audio::fft;
use serde::Deserialize;

/// How sound becomes rows of features: frames, a spectrum, mel bands, their logarithms, and perhaps a cosine transform.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioFrontend {
    /// Samples per second.
    pub sample_rate: u32,
    /// Samples of a clip.
    pub samples: u32,
    /// Samples of a frame, under a periodic Hann window.
    pub frame_len: u32,
    /// Samples from one frame to the next.
    pub hop: u32,
    /// Length of the transform.
    pub fft_len: u32,
    /// |X|^2 instead of |X|.
    pub power: bool,
    /// Frames lie around their sample, the clip is reflected at its ends.
    pub centred: bool,
    /// Mel bands, their scale and their range in Hz.
    pub bands: u32,
    /// How mels are counted.
    pub scale: MelScale,
    /// Lowest and highest frequency in Hz.
    pub range_hz: [f64; 2],
    /// Coefficients of the cosine transform; 0 for the bands themselves.
    pub coefficients: u32,
    /// Bands below it count as it.
    pub log_floor: f32,
    /// Decimal logarithms, held to this range below the loudest and scaled as Whisper does; natural ones without.
    pub decimal_range: Option<f32>,
}

/// How mels are counted, and what a band's triangle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MelScale {
    /// `1127 ln(1 + f / 700)`, triangles linear in mel with a peak of 1, nothing of the constant part.
    Htk,
    /// Linear below 1 kHz (Slaney 1998), triangles linear in Hz with an area of 1.
    Slaney,
}

impl AudioFrontend {
    /// Itself, if the engine can compute it.
    ///
    /// # Errors
    /// A sentence's end: the first value that cannot be.
    fn checked(self) -> Result<Self, String> {
        let [low, high] = self.range_hz;
        let within = |name: &str, value: u32, from: u32, to: u32| {
            if (from..=to).contains(&value) {
                Ok(())
            } else {
                Err(format!("its front end has {value} {name}, between {from} and {to} can be"))
            }
        };
        within("samples a second", self.sample_rate, 1, 1 << 20)?;
        within("samples in a clip", self.samples, 1, 1 << 22)?;
        within("samples in a frame", self.frame_len, 1, self.samples.min(self.fft_len).min(1 << 14))?;
        within("samples from frame to frame", self.hop, 1, self.frame_len)?;
        within("mel bands", self.bands, 1, 1 << 10)?;
        within("coefficients", self.coefficients, 0, self.bands)?;
        if self.fft_len > 1 << 14 || !fft::is_supported(self.fft_len as usize) {
            return Err(format!("its front end transforms {} samples, not twice a product of twos and fives up to 16384", self.fft_len));
        }
        // A NaN is in no range.
        let held = 0.0..=f64::from(self.sample_rate) / 2.0;
        if !held.contains(&low) || !held.contains(&high) || low >= high {
            return Err(format!("its front end hears from {low} to {high} Hz, which {} samples a second cannot hold", self.sample_rate));
        }
        if !(self.log_floor.is_normal() && self.log_floor > 0.0) {
            return Err(format!("its front end's smallest value is {}, which has no logarithm", self.log_floor));
        }
        let values = u64::from(self.samples / self.hop + 1) * u64::from(self.bands);
        if values > 1 << 24 { Err(format!("its front end makes {values} features of a clip, more than 16 million")) } else { Ok(self) }
    }
}

/// The `frontend` of a keyword transformer's config.json.
#[derive(Deserialize)]
pub struct Mfcc {
    #[serde(rename = "type")]
    kind: String,
    sample_rate: u32,
    num_samples: u32,
    window_size: u32,
    hop: u32,
    centre_padding: bool,
    preemphasis: f64,
    window: String,
    window_periodic: bool,
    fft_size: u32,
    spectrum: String,
    mel_bins: u32,
    mel_low_hz: f64,
    mel_high_hz: f64,
    mel_scale: String,
    log: String,
    log_epsilon: f32,
    dct_type: u32,
    num_coefficients: u32,
}

impl Mfcc {
    /// The front end.
    ///
    /// # Errors
    /// A sentence's end: what is not known.
    pub fn frontend(&self) -> Result<AudioFrontend, String> {
        let known = self.kind == "mfcc"
            && !self.centre_padding
            && self.preemphasis == 0.0
            && self.window == "hann"
            && self.window_periodic
            && self.mel_scale == "htk"
            && self.log == "natural"
            && self.dct_type == 2;
        if !known || !["magnitude", "power"].contains(&&self.spectrum[..]) {
            return Err(
                "its frontend is not the one that can be read: mfcc of periodic Hann frames from the clip's start, without pre-emphasis, \
                        htk mels, natural logarithms, a DCT of type 2"
                    .to_owned(),
            );
        }
        let frontend = AudioFrontend {
            sample_rate: self.sample_rate,
            samples: self.num_samples,
            frame_len: self.window_size,
            hop: self.hop,
            fft_len: self.fft_size,
            power: self.spectrum == "power",
            centred: false,
            bands: self.mel_bins,
            scale: MelScale::Htk,
            range_hz: [self.mel_low_hz, self.mel_high_hz],
            coefficients: self.num_coefficients,
            log_floor: self.log_epsilon,
            decimal_range: None,
        };
        frontend.checked()
    }
}

/// Whisper's preprocessor_config.json.
#[derive(Deserialize)]
pub struct LogMel {
    feature_size: u32,
    sampling_rate: u32,
    hop_length: u32,
    n_fft: u32,
    n_samples: u32,
}

impl LogMel {
    /// The front end (Radford et al. 2022, section 2.2).
    ///
    /// # Errors
    /// A sentence's end: what cannot be.
    pub fn frontend(&self) -> Result<AudioFrontend, String> {
        let frontend = AudioFrontend {
            sample_rate: self.sampling_rate,
            samples: self.n_samples,
            frame_len: self.n_fft,
            hop: self.hop_length,
            fft_len: self.n_fft,
            power: true,
            centred: true,
            bands: self.feature_size,
            scale: MelScale::Slaney,
            range_hz: [0.0, f64::from(self.sampling_rate) / 2.0],
            coefficients: 0,
            log_floor: 1e-10,
            decimal_range: Some(8.0),
        };
        frontend.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::LogMel;

    #[test]
    fn what_the_engine_cannot_compute_is_refused_in_words() {
        let whisper = || LogMel { feature_size: 80, sampling_rate: 16000, hop_length: 160, n_fft: 400, n_samples: 480_000 };
        assert!(whisper().frontend().is_ok());
        let refusal = |form: LogMel| form.frontend().unwrap_err();
        assert!(refusal(LogMel { hop_length: 0, ..whisper() }).contains("0 samples from frame to frame, between 1 and 400"));
        assert!(refusal(LogMel { n_fft: 402, ..whisper() }).contains("transforms 402 samples"));
        assert!(refusal(LogMel { n_fft: u32::MAX, ..whisper() }).contains("4294967295 samples in a frame, between 1 and 16384"));
        assert!(refusal(LogMel { n_samples: 399, ..whisper() }).contains("400 samples in a frame, between 1 and 399"));
        assert!(refusal(LogMel { feature_size: 0, ..whisper() }).contains("0 mel bands"));
        assert!(refusal(LogMel { sampling_rate: 0, ..whisper() }).contains("0 samples a second"));
        assert!(refusal(LogMel { n_samples: 1 << 22, hop_length: 1, ..whisper() }).contains("more than 16 million"));
    }
}
