//! Tools around the [`attoformer`] engine on a PC: from a trained checkpoint to a packed image, and the measurement of an image.
//!
//! ```text
//! source file --import--> Checkpoint --pack (fuse, smooth, quantize, layout)--> image --run, eval, bench, inspect--> report
//! ```
//!
//! The binary `atto` is a thin layer on this library: `src/cli/` has one file per subcommand, which parses, calls and prints.

pub mod bench;
pub mod device;
pub mod engine;
pub mod error;
pub mod eval;
pub mod files;
pub mod flash;
pub mod import;
pub mod inspect;
pub mod pack;
pub mod quantize;
pub mod report;
pub mod run;
pub mod sign;
pub mod threads;

pub use error::Error;
