//! Runs a packed image: text generation, chat, speech transcription, embeddings and classification, and the readers of their input files.

pub mod audio;
#[cfg(feature = "chat")]
pub mod chat;
pub mod chunks;
pub mod classify;
pub mod embed;
pub mod features;
pub mod generate;
pub mod npy;
#[cfg(feature = "pictures")]
pub mod pictures;
pub mod resample;
pub mod transcribe;
