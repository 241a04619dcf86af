//! Exports of the wasm module: the host reserves memory, writes image and prompt into it, and requests the hash.

use crate::{Job, Source, features_hash, replay};
use attoformer::kernels;

/// Reserves `bytes` bytes for the lifetime of the module.
#[unsafe(no_mangle)]
pub extern "C" fn reserve(bytes: usize) -> *mut u8 {
    Vec::leak(vec![0u32; bytes.div_ceil(4)]).as_mut_ptr().cast()
}

/// Returns the hash of the job in the lower half; bit 32 marks an error.
///
/// # Safety
/// `image` and `prompt` must come from [`reserve`], with at least `image_bytes` bytes and `prompt_tokens` tokens.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn run(
    image: *const u8,
    image_bytes: usize,
    prompt: *const u32,
    prompt_tokens: usize,
    generate: u32,
    chunk: usize,
) -> u64 {
    // SAFETY: the caller upholds the contract above; `reserve` aligns to four bytes and never frees.
    let (image, prompt) = unsafe { (core::slice::from_raw_parts(image, image_bytes), core::slice::from_raw_parts(prompt, prompt_tokens)) };
    match replay(image, kernels::best(), Job { source: Source::Nothing, prompt, generate, chunk }) {
        Ok(hash) => u64::from(hash),
        Err(_) => 1 << 32,
    }
}

/// Returns the hash of a clip's features in the lower half; bit 32 marks an error.
///
/// # Safety
/// `section` must come from [`reserve`], with at least `section_bytes` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn features(section: *const u8, section_bytes: usize) -> u64 {
    // SAFETY: the caller upholds the contract above; `reserve` never frees.
    match features_hash(unsafe { core::slice::from_raw_parts(section, section_bytes) }) {
        Ok(hash) => u64::from(hash),
        Err(_) => 1 << 32,
    }
}
