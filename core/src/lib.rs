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
//! # The main types
//!
//! - [`Image`]: a packed model in flash, in memory or in a mapped file. `atto pack` writes it; `docs/image.md` defines its bytes.
//! - [`Arena`]: one buffer for everything that changes while a model runs. Its size, [`arena_bytes`], is exact and a `const fn`.
//! - [`Session`]: one sequence. [`Session::step`] and [`Session::prefill`] take tokens, [`Session::generate`] takes text,
//!   [`Session::encode`] returns an encoder's embedding.
//! - [`Sampler`]: greedy, or seeded with temperature, top-k, top-p (nucleus) and a repetition penalty.
//!
//! # Guarantees
//!
//! - **The same bits** for every target, kernel set, prefill chunk, batch and number of threads ([`Parallel`]). The scalar kernels are the
//!   specification; every other kernel set is compared with them bit for bit, and [`OutputHash`] compares two machines by one word.
//!   `docs/numerics.md` states the rules.
//! - **No heap, no panic.** The tests link every public method with a panic handler that cannot link.
//! - **Parse, don't validate.** [`Image::new`] refuses everything that a hostile file could misstate; nothing is left to check after it.
//! - **`unsafe` only in [`kernels`]**, each block with its proof.
//!
//! # Features
//!
//! A feature determines which images can be opened; it never changes an output bit: an image that needs a part that was left out is refused with
//! [`Error::NotBuiltIn`]. All but `defmt` are on by default; `atto info --features` prints the list that an image needs.
//!
//! | feature | part |
//! |---|---|
//! | `bpe`, `byte-bpe`, `wordpiece`, `unigram` | tokenizers |
//! | `int8`, `int4`, `f16`, `f32` | weight formats |
//! | `a12` | int8 weights with activations of twelve bits |
//! | `kv-int8`, `kv-float` | KV cache formats |
//! | `encoder` | bidirectional stacks: encoders, encoder-decoders with cross-attention, prefix masks |
//! | `linear-attention` | attention with a constant state |
//! | `audio`, `pictures` | front ends |
//! | `defmt` (off) | `defmt::Format` for errors |
//!
//! # Targets
//!
//! | target | kernels | selected |
//! |---|---|---|
//! | any little-endian target | `scalar` | when no other set fits |
//! | x86-64 with AVX2 and F16C | `avx2` | at run time, without std |
//! | x86-64 with AVX-512 and VNNI | `avx512-vnni` | at run time, without std |
//! | Cortex-M4F, M7 (`thumbv7em`) | `cortex-m-dsp` | by the target |
//! | Cortex-M33, M55 with DSP | `cortex-m-dsp` | by `--cfg attoformer_backend="cortex-m-dsp"` in RUSTFLAGS |
//!
//! The Cortex-M55 runs the DSP kernels; there are no Helium (MVE) kernels yet.
//!
//! The minimum supported Rust version is stated in `Cargo.toml` (`rust-version`).
#![no_std]
#![deny(unsafe_code)]
#![warn(missing_debug_implementations)]

#[cfg(target_endian = "big")]
compile_error!("images are little-endian and used in place: Attoformer runs on little-endian targets only");

mod error;
mod features;
mod format;
pub mod frontend;
mod hash;
pub mod image;
pub mod kernels;
mod layers;
mod memory;
mod model;
mod numeric;
mod parallel;
pub mod probe;
mod sampling;
mod session;
mod slices;
mod tokenizer;
mod version;

pub use error::Error;
pub use features::Feature;
pub use hash::OutputHash;
pub use image::Image;
pub use memory::{Arena, Plan, arena_bytes};
pub use parallel::{Inline, Parallel};
pub use probe::Probe;
pub use sampling::Sampler;
pub use session::{End, Generation, Hooks, Limits, Piece, Session, Work};
pub use tokenizer::{Decoder, Encoding, MAX_STOP_BYTES, StopMatcher, Tokenizer};
pub use version::{FORMAT_VERSION, NUMERICS};

/// Items that the host tool, the firmware and the tests of this repository use. They are not part of the public API and change without notice.
#[doc(hidden)]
pub mod internals {
    /// The image's bytes, for the packer.
    pub mod format {
        pub use crate::format::*;
    }
    /// Layers that a test runs alone.
    pub mod layers {
        pub use crate::layers::*;
    }
    /// Sizes of the arena's parts.
    pub mod memory {
        pub use crate::memory::*;
    }
    /// Functions of the numeric specification.
    pub mod numeric {
        pub use crate::numeric::*;
    }
    /// Constants of the tokenizer section, for the packer.
    pub mod tokenizer {
        pub use crate::tokenizer::flags;
    }
}
