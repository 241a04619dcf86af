//! Any bytes as a GGUF file: refused in a sentence, or packed into images that pass their self-test.
//!
//! Input: the file.
#![no_main]

mod packed;

use std::path::Path;

use attoformer_tools::import::gguf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match gguf::open(Path::new("fuzz.gguf"), data) {
        Ok(checkpoint) => packed::run(&checkpoint),
        Err(sentence) => packed::check_refusal(&sentence),
    }
});
