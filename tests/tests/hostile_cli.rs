//! Damaged images given to the built `atto`: one line, exit code 1, immediately; with correct checksums, refused or run to the end.

use std::path::Path;
use std::time::Duration;

use attoformer::image::KvType;
use attoformer_needs::needs;
use attoformer_tests::atto::{Outcome, run_atto};
use attoformer_tests::hostile::{copies, damaged, dense_parts, images, made_plausible};
use attoformer_tests::random_model::{Numbers, RandomModel};
use attoformer_tools::files::AlignedBytes;

/// Copies; `ATTOFORMER_HOSTILE` overrides it (600 before a release).
const COPIES: usize = 60;
const AT_ONCE: Duration = Duration::from_secs(1);
/// Time limit of a few tokens of a tiny model.
const PATIENCE: Duration = Duration::from_secs(10);

fn image() -> AlignedBytes {
    RandomModel::small().pack_mixed(KvType::Int8)
}

/// Outcomes of `atto info` and `atto run` on a file.
fn outcomes(path: &Path) -> [(&'static str, Outcome); 2] {
    let path = path.as_os_str();
    let run: [&std::ffi::OsStr; 6] = ["run".as_ref(), path, "--prompt".as_ref(), "the low é".as_ref(), "-n".as_ref(), "6".as_ref()];
    [("info", run_atto(["info".as_ref(), path])), ("run", run_atto(run))]
}

#[test]
fn a_damaged_image_is_refused_in_one_line_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.atto");
    let image = image();
    let dense = dense_parts(&image);
    let mut numbers = Numbers(0xbad);
    let mut slowest = Duration::ZERO;
    for index in 0..copies(COPIES) {
        let (what, copy) = damaged(&image, &dense, &mut numbers);
        std::fs::write(&path, copy).unwrap();
        for (command, mut outcome) in outcomes(&path) {
            if outcome.time > AT_ONCE {
                // A busy machine may delay a process once; a second run decides.
                outcome = outcomes(&path).into_iter().find(|(name, _)| *name == command).unwrap().1;
            }
            let sentence = outcome.refusal().unwrap_or_else(|error| panic!("copy {index}, {what}, {command}: {error}"));
            assert!(sentence.contains("damaged.atto: "), "copy {index}, {what}: {sentence} names no file");
            assert!(outcome.time <= AT_ONCE, "copy {index}, {what}, {command} took {:?}", outcome.time);
            slowest = slowest.max(outcome.time);
        }
    }
    println!("the slowest refusal took {slowest:?}");
}

#[test]
fn the_command_line_refuses_a_damaged_image_or_runs_it_to_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plausible.atto");
    let image = image();
    let dense = dense_parts(&image);
    let mut numbers = Numbers(0xface);
    let (mut ran, mut refused) = (0, 0);
    for index in 0..copies(COPIES) {
        let (what, mut copy) = damaged(&image, &dense, &mut numbers);
        made_plausible(&mut copy, &mut numbers);
        std::fs::write(&path, copy).unwrap();
        for (command, outcome) in outcomes(&path) {
            assert!(outcome.time <= PATIENCE, "copy {index}, {what}, {command} took {:?}", outcome.time);
            match outcome.code {
                Some(0) => ran += 1,
                // A run may print text before its logits overflow.
                Some(1) => {
                    let error = outcome.stderr.lines().last().unwrap_or_default();
                    assert!(error.starts_with("error: ") && outcome.stderr.lines().count() == 1, "copy {index}, {what}: {outcome:?}");
                    refused += 1;
                }
                _ => panic!("copy {index}, {what}, {command}: {outcome:?}"),
            }
        }
    }
    println!("{ran} ran to the end, {refused} were refused");
    assert!(ran > 0 && refused > 0, "all damage is of one kind");
}

/// The command that uses an image of this name.
fn usual(name: &str, clip: &str) -> Vec<String> {
    let words = match name {
        "mfcc" => vec!["classify", "FILE", "--input", clip],
        "log-mel" => vec!["transcribe", "FILE", clip],
        "keywords-mixed" | "sentences-mixed" => vec!["classify", "FILE", "--text", "the low"],
        "bert-mixed" | "later-mixed" | "local-mixed" | "linear-encoder-mixed" | "tokens-mixed" => {
            vec!["embed", "FILE", "--text", "the low"]
        }
        "with-tokenizer" | "unigram" => vec!["run", "FILE", "--prompt", "the low", "-n", "4"],
        "byte-bpe" => vec!["chat", "FILE"],
        _ => vec!["run", "FILE", "--tokens-in", "1,5,3", "-n", "4"],
    };
    words.into_iter().map(str::to_owned).collect()
}

/// A clip of silence and noise for the samples' front ends, which expect 8,000 samples per second.
fn clip(folder: &Path) -> String {
    let samples: Vec<u8> = (0..600u32).flat_map(|at| ((at * at * 37) as i16).to_le_bytes()).collect();
    let header = [&b"RIFF"[..], &(36 + samples.len() as u32).to_le_bytes(), b"WAVEfmt \x10\0\0\0\x01\0\x01\0"].concat();
    let rest = [&8000u32.to_le_bytes()[..], &16000u32.to_le_bytes(), b"\x02\0\x10\0data", &(samples.len() as u32).to_le_bytes()].concat();
    let path = folder.join("clip.wav");
    std::fs::write(&path, [header, rest, samples].concat()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Every kind of image with its command: an image that passes the checks ends in one line or runs to the end.
#[test]
fn a_damaged_image_of_any_kind_ends_in_one_line_or_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plausible.atto");
    let clip = clip(folder.path());
    let mut numbers = Numbers(0x0dd);
    let (mut ran, mut refused) = (0, 0);
    for (name, image) in images::all() {
        let words: Vec<String> =
            usual(&name, &clip).into_iter().map(|word| if word == "FILE" { path.to_str().unwrap().to_owned() } else { word }).collect();
        let dense = dense_parts(&image);
        for index in 0..copies(COPIES).div_ceil(10) {
            let (what, mut copy) = damaged(&image, &dense, &mut numbers);
            made_plausible(&mut copy, &mut numbers);
            std::fs::write(&path, copy).unwrap();
            let outcome = run_atto(&words);
            assert!(outcome.time <= PATIENCE, "copy {index} of {name}, {what}, took {:?}", outcome.time);
            let last = outcome.stderr.lines().last().unwrap_or_default();
            match outcome.code {
                Some(0) => ran += 1,
                Some(1) if last.starts_with("error: ") && outcome.stderr.lines().count() == 1 => refused += 1,
                _ => panic!("copy {index} of {name}, {what}: {outcome:?}"),
            }
        }
    }
    println!("{ran} ran to the end, {refused} were refused");
    assert!(ran > 0 && refused > 0, "all damage is of one kind");
}

#[test]
fn what_is_no_image_is_named_for_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("empty.atto"), b"").unwrap();
    std::fs::write(path("text.atto"), "Once upon a time\n".repeat(100)).unwrap();
    std::fs::create_dir(path("folder.atto")).unwrap();
    for (name, at, value) in [("old.atto", 4, 1), ("numerics.atto", 8, 3), ("required.atto", 124, 2)] {
        let mut other = image();
        other[at] = value;
        attoformer_tools::pack::seal(&mut other);
        std::fs::write(path(name), &other[..]).unwrap();
    }
    let reasons = [
        ("empty.atto", "the file is empty"),
        ("text.atto", "not an .atto image"),
        ("folder.atto", "it is a directory"),
        ("absent.atto", "no such file"),
        ("old.atto", "format version 1, this engine reads version 2: pack the model again"),
        ("numerics.atto", "packed for numerics 3"),
        ("required.atto", "this image needs a newer engine"),
    ];
    for (name, reason) in reasons {
        for (command, outcome) in outcomes(&path(name)) {
            let sentence = outcome.refusal().unwrap_or_else(|error| panic!("{name}, {command}: {error}"));
            assert!(sentence.contains(&format!("{name}: ")) && sentence.contains(reason), "{sentence}");
        }
    }
}

#[cfg(unix)]
#[needs(user = "unprivileged")]
#[test]
fn an_unreadable_image_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.atto");
    std::fs::write(&path, &image()[..]).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    for (_, outcome) in outcomes(&path) {
        assert!(outcome.refusal().unwrap().ends_with("secret.atto: permission denied"), "{outcome:?}");
    }
}
