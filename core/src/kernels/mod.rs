//! The hot loops: one set of kernels per instruction set, each bit-identical to [`scalar`].
//!
//! Matrix-vector products (GEMV, one token), matrix-matrix products (GEMM, a prefill's tokens), attention over an int8 or float KV
//! cache, norms, activations and quantization. A PC selects its set when a session is opened ([`best`]); a microcontroller's set is fixed when it is
//! compiled, so only that one is linked. Nothing is dispatched per dot product: a call covers a whole matrix, row or cache.
//! Kernels know matrices, rows and caches, but not transformers.
//!
//! | set | CPUs | microkernel |
//! |---|---|---|
//! | `scalar` | all | the specification |
//! | `avx2` | x86-64 with AVX2 and F16C | eight rows of weights by one token, or four by two |
//! | `avx512-vnni` | x86-64 with AVX-512 and VNNI | panels of 48 packed rows by eight tokens |
//! | `cortex-m-dsp` | Cortex-M4F, M7, M33, M55 | pairs of rows by one or two tokens |
//!
//! Cortex-M55 runs the DSP kernels; no kernel uses Helium (MVE).

#[cfg(attoformer_backend = "cortex-m-dsp")]
#[cfg_attr(not(all(feature = "int8", feature = "int4", feature = "f16", feature = "f32", feature = "kv-int8")), allow(dead_code))]
mod cortex_m;
#[cfg(feature = "kv-float")]
pub mod float_cache;
#[cfg_attr(not(feature = "kv-int8"), allow(dead_code))]
pub mod int8_cache;
pub mod layout;
pub mod scalar;
mod set;
mod views;
#[cfg(target_arch = "x86_64")]
#[cfg_attr(not(all(feature = "int8", feature = "int4", feature = "f16", feature = "f32", feature = "kv-int8")), allow(dead_code))]
mod x86;

#[doc(hidden)]
pub use set::Functions;
pub use set::Kernels;
pub use views::{ActivationBits, KeyRows, Matrix, QuantizedRows, QueryTile, SoftmaxNorm, ValueBlocks};

/// The specification.
pub static SCALAR: Kernels = Kernels::new(scalar::FUNCTIONS);

/// Kernel sets beyond scalar that this CPU can run, the fastest last: found at run time on a PC, known to the compiler on a microcontroller.
fn native() -> impl DoubleEndedIterator<Item = &'static Kernels> {
    #[cfg(target_arch = "x86_64")]
    return x86::sets();
    #[cfg(attoformer_backend = "cortex-m-dsp")]
    return core::iter::once(&cortex_m::CORTEX_M_DSP);
    #[cfg(not(any(target_arch = "x86_64", attoformer_backend = "cortex-m-dsp")))]
    core::iter::empty()
}

/// Every kernel set that this CPU can run, scalar first.
pub fn all() -> impl Iterator<Item = &'static Kernels> {
    core::iter::once(&SCALAR).chain(native())
}

/// The fastest kernel set that this CPU can run.
#[must_use]
pub fn best() -> &'static Kernels {
    native().next_back().unwrap_or(&SCALAR)
}

/// A kernel set by its name; `None` if this CPU cannot run it.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Kernels> {
    all().find(|kernels| kernels.name() == name)
}
