//! Audio front end: how the files of a model describe the computation of its mel features or MFCCs.

use attoformer::frontend::audio::fft;
use serde::Deserialize;

/// Settings of the features: frames under a Hann window, an FFT (n_fft samples), a mel filterbank, logarithms, and perhaps a DCT (MFCC).
#[derive(Clone, Debug, PartialEq)]
pub struct AudioFrontend {
    /// Sample rate, Hz.
    pub sample_rate: u32,
    /// Samples of a clip.
    pub samples: u32,
    /// Samples of a frame, under a periodic Hann window.
    pub frame_len: u32,
    /// Hop length: samples from the start of a frame to the start of the next.
    pub hop: u32,
    /// Samples of the FFT (n_fft).
    pub fft_len: u32,
    /// Whether the spectrum is the power |X|^2 instead of the magnitude |X|.
    pub power: bool,
    /// Whether frames are centred on their sample; the clip is reflected at its ends.
    pub centred: bool,
    /// Bands of the mel filterbank.
    pub bands: u32,
    /// Mel scale.
    pub scale: MelScale,
    /// Lowest and highest frequency of the mel filterbank, Hz.
    pub range_hz: [f64; 2],
    /// Coefficients of the DCT (MFCCs); 0 for the logarithms of the bands themselves.
    pub coefficients: u32,
    /// Lower bound of a band before its logarithm.
    pub log_floor: f32,
    /// `Some` for decimal logarithms, clamped to this range below the loudest and scaled as Whisper does; `None` for natural logarithms.
    pub decimal_range: Option<f32>,
}

/// Mel scale, and shape of the filterbank's triangles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MelScale {
    /// `1127 ln(1 + f / 700)`; triangles linear in mel with a peak of 1; the DC bin has weight 0.
    Htk,
    /// Linear below 1 kHz (Slaney 1998); triangles linear in Hz with an area of 1.
    Slaney,
}

/// Reason why the engine cannot compute the features.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// A size outside the supported range.
    #[error("{name} is {value}; supported: {min} to {max}")]
    Range {
        /// Name of the size.
        name: &'static str,
        /// Its value.
        value: u32,
        /// Smallest supported value.
        min: u32,
        /// Largest supported value.
        max: u32,
    },
    /// An FFT length without fast factors.
    #[error("an FFT of {0} samples (n_fft) is not supported; supported: twice a product of twos and fives, up to {FFT_MAX}")]
    FftLength(u32),
    /// The mel filterbank reaches beyond the Nyquist frequency.
    #[error("mel range {low} to {high} Hz exceeds the Nyquist frequency of {sample_rate} Hz audio")]
    MelRange {
        /// Lowest frequency.
        low: f64,
        /// Highest frequency.
        high: f64,
        /// Sample rate.
        sample_rate: u32,
    },
    /// A lower bound without a logarithm.
    #[error("log floor is {0}; it must be a normal number above 0")]
    LogFloor(f32),
    /// A clip with too many features.
    #[error("a clip has {0} features; at most {FEATURES_MAX} are supported")]
    TooManyFeatures(u64),
    /// Another kind of features.
    #[error(
        "unsupported frontend; supported: mfcc of periodic Hann frames without centre padding and pre-emphasis, HTK mel scale, natural logarithms, DCT \
         of type 2"
    )]
    NotMfcc,
}

/// Longest FFT, samples.
const FFT_MAX: u32 = 1 << 14;
/// Most features of a clip.
const FEATURES_MAX: u64 = 1 << 24;

impl AudioFrontend {
    /// Checks that the engine can compute the features.
    ///
    /// # Errors
    /// [`AudioError`] with the first setting that is not supported.
    fn checked(self) -> Result<Self, AudioError> {
        let [low, high] = self.range_hz;
        let check = |name: &'static str, value: u32, min: u32, max: u32| {
            if (min..=max).contains(&value) { Ok(()) } else { Err(AudioError::Range { name, value, min, max }) }
        };
        check("sample rate", self.sample_rate, 1, 1 << 20)?;
        check("clip length in samples", self.samples, 1, 1 << 22)?;
        check("frame length in samples", self.frame_len, 1, self.samples.min(self.fft_len).min(FFT_MAX))?;
        check("hop length", self.hop, 1, self.frame_len)?;
        check("number of mel bands", self.bands, 1, 1 << 10)?;
        check("number of MFCCs", self.coefficients, 0, self.bands)?;
        if self.fft_len > FFT_MAX || !fft::is_supported(self.fft_len as usize) {
            return Err(AudioError::FftLength(self.fft_len));
        }
        // A NaN is in no range.
        let supported = 0.0..=f64::from(self.sample_rate) / 2.0;
        if !supported.contains(&low) || !supported.contains(&high) || low >= high {
            return Err(AudioError::MelRange { low, high, sample_rate: self.sample_rate });
        }
        if !(self.log_floor.is_normal() && self.log_floor > 0.0) {
            return Err(AudioError::LogFloor(self.log_floor));
        }
        let values = u64::from(self.samples / self.hop + 1) * u64::from(self.bands);
        if values > FEATURES_MAX { Err(AudioError::TooManyFeatures(values)) } else { Ok(self) }
    }
}

/// `frontend` in the `config.json` of a keyword transformer: MFCCs.
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
    /// [`AudioError`] with the first setting that is not supported.
    pub fn frontend(&self) -> Result<AudioFrontend, AudioError> {
        let is_supported = self.kind == "mfcc"
            && !self.centre_padding
            && self.preemphasis == 0.0
            && self.window == "hann"
            && self.window_periodic
            && self.mel_scale == "htk"
            && self.log == "natural"
            && self.dct_type == 2;
        if !is_supported || !["magnitude", "power"].contains(&&self.spectrum[..]) {
            return Err(AudioError::NotMfcc);
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

/// Whisper's `preprocessor_config.json`: a log-mel spectrogram.
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
    /// [`AudioError`] with the first setting that is not supported.
    pub fn frontend(&self) -> Result<AudioFrontend, AudioError> {
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
    fn settings_that_the_engine_cannot_compute_are_refused() {
        let whisper = || LogMel { feature_size: 80, sampling_rate: 16000, hop_length: 160, n_fft: 400, n_samples: 480_000 };
        assert!(whisper().frontend().is_ok());
        let refusal = |form: LogMel| form.frontend().unwrap_err().to_string();
        assert_eq!(refusal(LogMel { hop_length: 0, ..whisper() }), "hop length is 0; supported: 1 to 400");
        assert!(refusal(LogMel { n_fft: 402, ..whisper() }).contains("an FFT of 402 samples"));
        assert_eq!(refusal(LogMel { n_fft: u32::MAX, ..whisper() }), "frame length in samples is 4294967295; supported: 1 to 16384");
        assert_eq!(refusal(LogMel { n_samples: 399, ..whisper() }), "frame length in samples is 400; supported: 1 to 399");
        assert!(refusal(LogMel { feature_size: 0, ..whisper() }).contains("number of mel bands is 0"));
        assert!(refusal(LogMel { sampling_rate: 0, ..whisper() }).contains("sample rate is 0"));
        assert!(refusal(LogMel { n_samples: 1 << 22, hop_length: 1, ..whisper() }).contains("features; at most 16777216"));
    }
}
