//! What a model's files say of the sound that it reads.

use serde::Deserialize;

/// How sound becomes rows of features: frames, a spectrum, mel bands, their logarithms, and perhaps a cosine transform.
#[derive(Clone, Debug, PartialEq)]
pub struct Frontend {
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
    pub fn frontend(&self) -> Result<Frontend, String> {
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
        Ok(Frontend {
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
        })
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
    pub fn frontend(&self) -> Frontend {
        Frontend {
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
        }
    }
}
