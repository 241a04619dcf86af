//! A damaged image with corrected checksums is refused or runs to the end, with the same bits with every kernel set.
//!
//! Input: the image, then one byte of flags: 1 corrects the stated size, 2 the stated arena size.
#![no_main]

mod work;

use attoformer::internals::format::HEADER_BYTES;
use attoformer::image::Config;
use attoformer::{Image, Plan, arena_bytes, kernels};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::seal;
use attoformer_tools::report::summary::ImageSummary;
use libfuzzer_sys::{Corpus, fuzz_target};

const TOTAL_AT: usize = 12;
const ARENA_AT: usize = 24;

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&flags, bytes)) = data.split_last() else { return Corpus::Reject };
    if bytes.len() < HEADER_BYTES {
        return Corpus::Reject;
    }
    let mut bytes = AlignedBytes::copy_of(bytes);
    make_plausible(&mut bytes, flags);
    let Ok(image) = Image::new(&bytes) else { return Corpus::Keep };
    let _ = ImageSummary::of_image(&image);
    if arena_bytes(image.config(), Plan::packed(image.config())) > work::ARENA_MAX {
        return Corpus::Keep;
    }
    let mut runs = kernels::all().map(|kernels| work::bits(&image, kernels));
    let first = runs.next();
    assert!(runs.all(|run| Some(&run) == first.as_ref()), "the kernel sets differ");
    Corpus::Keep
});

fn make_plausible(bytes: &mut [u8], flags: u8) {
    if flags & 1 != 0 {
        let total = bytes.len() as u32;
        bytes[TOTAL_AT..TOTAL_AT + 4].copy_from_slice(&total.to_le_bytes());
    }
    if let (1.., Ok(config)) = (flags & 2, Config::parse(bytes)) {
        let arena = u32::try_from(arena_bytes(&config, Plan::packed(&config))).unwrap_or(u32::MAX);
        bytes[ARENA_AT..ARENA_AT + 4].copy_from_slice(&arena.to_le_bytes());
    }
    seal(bytes);
}
