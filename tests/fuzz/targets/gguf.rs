//! Any bytes as a GGUF file: refused with one sentence, or packed into images that pass their self-test.
//!
//! Input: the file.
#![no_main]

mod packed;

use std::path::Path;

use attoformer_tools::Error;
use attoformer_tools::import::gguf;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let path = Path::new("fuzz.gguf");
    match gguf::open(path, &data.to_vec().into()) {
        Ok(checkpoint) => packed::run(&checkpoint),
        Err(error) => packed::check_refusal(&Error::file(path)(error).to_string()),
    }
});
