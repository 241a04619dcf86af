//! Any bytes as a Hugging Face directory: refused with a sentence that names one of its files, or packed into images that pass their self-test.
//!
//! Input: see `directory.rs`.
#![no_main]

mod directory;
mod packed;

use attoformer_tools::import;
use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|data: &[u8]| -> Corpus {
    let folder = packed::folder();
    if directory::write(data, &folder).is_none() {
        return Corpus::Reject;
    }
    match import::open(&folder, None) {
        Ok(checkpoint) => packed::run(&checkpoint),
        Err(error) => {
            let sentence = error.to_string();
            packed::check_refusal(&sentence);
            assert!(sentence.starts_with(&*folder.to_string_lossy()), "it names no file: {sentence}");
        }
    }
    Corpus::Keep
});
