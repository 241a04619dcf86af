//! Attoformer runs quantized transformers from one packed image, with the same output bits on every target: microcontrollers, PCs, wasm.
//!
//! ```
//! use attoformer::{Arena, Error, Image, Limits, Sampler, Session, include_image};
//!
//! const TALES: &[u8] = include_image!(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tales/tales.atto"));
//!
//! fn main() -> Result<(), Error> {
//!     let image = Image::new(TALES)?; // checked once, then trusted
//!     let mut arena = Arena::<{ Image::arena_bytes(TALES) }>::new(); // sized by the compiler; a `static` in firmware
//!     let mut session = Session::new(&image, arena.bytes())?; // no heap, no copy of the weights
//!     session.self_test()?; // the golden vector, on this very chip
//!
//!     let mut story = session.generate("Once upon a time", Sampler::greedy(), Limits::tokens(80))?;
//!     while let Some(piece) = story.next_piece()? {
//!         print!("{piece}");
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # The four nouns
//!
//! - [`Image`]: a packed model in memory, flash or a mapped file. `atto pack` makes it; `docs/image.md` says what every byte means.
//! - [`Arena`]: one buffer for all that changes. [`arena_bytes`] is exact and a `const fn`.
//! - [`Session`]: one sequence at work. [`Session::step`] and [`Session::prefill`] take tokens, [`Session::generate`] takes text,
//!   [`Session::encode`] makes an encoder's embedding.
//! - [`Sampler`]: greedy, or seeded with temperature, top-k, top-p and a repetition penalty.
//!
//! # What holds
//!
//! - **The same bits** for every target, kernel set, prefill chunk, batch and number of threads ([`Parallel`]): [`kernels::scalar`] is the specification, every other set is compared
//!   with it bit for bit, and [`OutputHash`] tells two machines apart by one word. `docs/numerics.md` states the rules.
//! - **No heap, no panic.** The tests link everything above with a panic handler that cannot link.
//! - **Parse, don't validate.** [`Image::new`] refuses what a hostile file could lie about; after it there is nothing left to check.
//! - **`unsafe` only in [`kernels`]**, each block with its proof.
//!
//! # Targets
//!
//! | target | kernels | chosen |
//! |---|---|---|
//! | any | `scalar` | when nothing else fits |
//! | x86-64 with AVX2 and F16C | `avx2` | at run time, without std |
//! | Cortex-M4F, M7 (`thumbv7em`) | `cortex-m-dsp` | by the target |
//! | Cortex-M33, M55 with DSP | `cortex-m-dsp` | by `--cfg attoformer_backend="cortex-m-dsp"` in RUSTFLAGS |
//!
//! The crate has no features: nothing a user switches changes a result.
#![no_std]
#![deny(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("images are little-endian and used in place: Attoformer runs on little-endian targets only");

pub mod error;
mod features;
pub mod format;
pub mod frontend;
mod hash;
pub mod image;
pub mod kernels;
pub mod layers;
pub mod memory;
pub mod model;
pub mod numeric;
pub mod parallel;
pub mod probe;
pub mod sampling;
pub mod session;
mod slices;
pub mod tokenizer;
mod version;

pub use error::Error;
pub use features::Feature;
pub use hash::OutputHash;
pub use image::Image;
pub use memory::{Arena, Plan, arena_bytes};
pub use parallel::Parallel;
pub use probe::Probe;
pub use sampling::Sampler;
pub use session::{End, Generation, Hooks, Limits, Piece, Session, Work};
pub use tokenizer::Tokenizer;
pub use version::{FORMAT_VERSION, NUMERICS};
