//! Front ends: audio and pictures to feature rows, with the same bits on every target.

#[cfg(feature = "audio")]
pub mod audio;
#[cfg(feature = "pictures")]
pub mod pictures;

#[cfg(feature = "audio")]
pub use audio::{Frames, Frontend, Samples, Sizes, Spectrum};
