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
pub mod engine;
pub mod error;
pub mod eval;
pub mod files;
pub mod import;
pub mod inspect;
pub mod pack;
pub mod quantize;
pub mod report;
pub mod run;
pub mod threads;

pub use error::Error;
