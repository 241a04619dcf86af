//! Many damaged images in this process: refused with an error, or valid enough to run to the end. Never a panic.

#[path = "../fuzz/targets/work.rs"]
mod work;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use attoformer::image::KvType;
use attoformer::kernels;
use attoformer::{Image, Plan, arena_bytes};
use attoformer_tests::hostile::{copies, damaged, dense_parts, images, made_plausible};
use attoformer_tests::random_model::{Numbers, RandomModel};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;
use attoformer_tools::report::summary::ImageSummary;

/// Copies of each image; `ATTOFORMER_HOSTILE` overrides it.
const COPIES: usize = 600;
/// Time limit of a copy, for all kernel sets together.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every kind of image at minimal size, and two larger models.
fn samples() -> Vec<(String, AlignedBytes)> {
    let mut images = images::all();
    images.push(("small".to_owned(), RandomModel::small().pack_mixed(KvType::Int8)));
    images.push(("int4".to_owned(), RandomModel::small().pack(Format::Int4 { group: 32 }, KvType::F16)));
    images
}

/// Runs `work` on many damaged copies; a panic names the copy.
fn with_damaged(seed: u32, mut work: impl FnMut(&mut Numbers, Vec<u8>) -> Result<(), String>) {
    let mut numbers = Numbers(seed);
    for (name, image) in samples() {
        let dense = dense_parts(&image);
        for index in 0..copies(COPIES) {
            let (what, copy) = damaged(&image, &dense, &mut numbers);
            let began = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(|| work(&mut numbers, copy)));
            assert!(began.elapsed() < PATIENCE, "copy {index} of {name}, {what}, took {:?}", began.elapsed());
            let result = result.unwrap_or_else(|_| Err("it panicked".to_owned()));
            assert_eq!(result, Ok(()), "copy {index} of {name}: {what}");
        }
    }
}

#[test]
fn a_damaged_image_is_refused() {
    with_damaged(0x5eed, |_, copy| match Image::new(&AlignedBytes::copy_of(&copy)) {
        Ok(_) => Err("it was opened".to_owned()),
        Err(error) if error.to_string().contains('\n') => Err(format!("more than a sentence: {error}")),
        Err(_) => Ok(()),
    });
}

#[test]
fn a_damaged_image_with_right_checksums_is_refused_or_runs_to_the_end() {
    let (mut opened, mut refused, mut large) = (0, 0, 0);
    with_damaged(0xc0de, |numbers, mut copy| {
        made_plausible(&mut copy, numbers);
        let bytes = AlignedBytes::copy_of(&copy);
        let Ok(image) = Image::new(&bytes) else {
            refused += 1;
            return Ok(());
        };
        opened += 1;
        // The metadata may be wrong, but reading it must end in a value or an error.
        let _ = ImageSummary::of_image(&image);
        if arena_bytes(image.config(), Plan::packed(image.config())) > work::ARENA_MAX {
            large += 1;
            return Ok(());
        }
        let results: Vec<Vec<u32>> = kernels::all().map(|kernels| work::bits(&image, kernels)).collect();
        if results.iter().all(|result| *result == results[0]) { Ok(()) } else { Err("the kernel sets differ".to_owned()) }
    });
    println!("{opened} were opened ({large} with an arena too large to try), {refused} refused");
    assert!(opened > refused / 20, "almost nothing passed the checks: the damage does not test the code after them");
}

/// The undamaged samples work: each has the same bits with every kernel set and passes its self-test.
#[test]
fn the_samples_themselves_run() {
    for (name, image) in samples() {
        let image = Image::new(&image).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut runs = kernels::all().map(|kernels| work::bits(&image, kernels));
        let first = runs.next().expect("there are scalar kernels");
        assert!(runs.all(|run| run == first), "{name}: the kernel sets differ");
        let writes = image.tokenizer().is_ok_and(|tokenizer| tokenizer.encode("the low", &mut [0; 24]).is_ok_and(|count| count > 1));
        println!("{name}: {} values, takes texts: {writes}", first.len());
        assert!(writes || !["with-tokenizer", "byte-bpe", "unigram", "log-mel"].contains(&&*name), "{name} takes no text");
    }
}
