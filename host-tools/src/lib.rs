//! Everything around the [`attoformer`] engine that runs on a PC: from a trained checkpoint to a packed image, and what an
//! image is worth.
//!
//! ```text
//! source file --import--> Checkpoint --pack (quantize, layout)--> image --engine--> eval, report
//! ```
//!
//! The binary `atto` is a thin shell over this library: `src/cli/` has one file per subcommand, which parses, calls and
//! prints.

pub mod bench;
pub mod chat;
pub mod classify;
pub mod embed;
pub mod engine;
pub mod error;
pub mod eval;
pub mod features;
pub mod files;
pub mod import;
pub mod inspect;
pub mod pack;
pub mod pictures;
pub mod quantize;
pub mod report;
pub mod resample;
pub mod run;
pub mod scaling;
pub mod sound;
pub mod threads;
pub mod transcribe;

pub use error::Error;
