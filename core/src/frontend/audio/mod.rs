//! Audio to feature rows: log-mel spectra (Whisper) and MFCC (Davis and Mermelstein 1980), frame by frame.
//!
//! A frame of `frame_len` samples starts every `hop_length` samples. It is multiplied by a window (Hann), padded to `n_fft` and transformed; a mel
//! filterbank sums the spectrum's bins into bands; their logarithms are the features, or a DCT makes MFCC of them.
//!
//! The packer makes all tables that need a logarithm or a cosine of their own (window, mel filterbank, DCT) and stores them in the image's
//! front-end section; `docs/image.md` describes it.

pub mod fft;
mod mel;
mod section;
mod stream;

pub use mel::Samples;
pub use section::{Frontend, Sizes, Spectrum};
pub use stream::Frames;
