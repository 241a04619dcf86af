//! How audio and pictures become rows of features.

pub mod audio;
pub mod pictures;
