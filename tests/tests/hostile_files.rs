//! Damaged checkpoints and tokenizers given to `atto pack`, and failing disks: one line, exit code 1, no partial file.

use std::path::{Path, PathBuf};
use std::process::Command;

use attoformer_needs::needs;
use attoformer_tests::atto::{Outcome, atto, finished, run_atto};
use attoformer_tests::hostile::{copies, damaged};
use attoformer_tests::random_model::{Numbers, RandomModel};
use tempfile::TempDir;

/// Altered copies of each file; `ATTOFORMER_HOSTILE` overrides it.
const COPIES: usize = 40;
/// Distance between truncations, in bytes.
const CUT_STEP: usize = 97;

/// A model, its tokenizer and the path of its image.
struct Files {
    folder: TempDir,
    model: Vec<u8>,
    tokenizer: Vec<u8>,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Small enough for many truncations, in llama2.c's format.
        let model = RandomModel::small();
        let config = attoformer::config! { layers: 1, d_model: 8, d_hidden: 11, heads: 2, kv_heads: 1, head_dim: 4, ..model.config };
        RandomModel { config, ..model }.write_llama2c(folder.path());
        let read = |name| std::fs::read(folder.path().join(name)).unwrap();
        let (model, tokenizer) = (read("random.bin"), read("tokenizer.bin"));
        Files { folder, model, tokenizer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Packs the current files.
    fn pack(&self) -> Outcome {
        run_atto(["pack".as_ref(), self.path("random.bin").as_os_str(), "-o".as_ref(), self.path("out.atto").as_os_str()])
    }

    /// All files, sorted.
    fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_sound_model_is_packed() {
    let files = Files::new();
    let outcome = files.pack();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(files.names(), ["out.atto", "random.bin", "tokenizer.bin"]);
}

/// Asserts that the damaged file `name` is refused, and that no file remains of the attempt.
fn assert_refused(files: &Files, name: &str, what: &str) {
    let outcome = files.pack();
    let sentence = outcome.refusal().unwrap_or_else(|error| panic!("{name} {what}: {error}"));
    assert!(sentence.contains(&format!("{name}: ")), "{name} {what}: {sentence} names another file or none");
    assert_eq!(files.names(), ["random.bin", "tokenizer.bin"], "{name} {what}");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let files = Files::new();
    for (name, bytes) in [("random.bin", &files.model), ("tokenizer.bin", &files.tokenizer)] {
        for end in (0..bytes.len()).step_by(CUT_STEP) {
            std::fs::write(files.path(name), &bytes[..end]).unwrap();
            assert_refused(&files, name, &format!("cut to {end} bytes"));
        }
        std::fs::write(files.path(name), bytes).unwrap();
    }
}

#[test]
fn an_altered_file_is_refused_or_read_and_never_half_written() {
    let files = Files::new();
    let mut numbers = Numbers(0xa17e);
    let (mut read, mut refused) = (0, 0);
    for (name, bytes) in [("random.bin", &files.model), ("tokenizer.bin", &files.tokenizer)] {
        for _ in 0..copies(COPIES) {
            let (what, copy) = damaged(bytes, &[0..28, 0..bytes.len().min(4096)], &mut numbers);
            std::fs::write(files.path(name), copy).unwrap();
            let outcome = files.pack();
            if outcome.code == Some(0) {
                read += 1;
                // The written image is complete.
                let info = run_atto(["info".as_ref(), files.path("out.atto").as_os_str()]);
                assert_eq!(info.code, Some(0), "{name}, {what}: {info:?}");
                std::fs::remove_file(files.path("out.atto")).unwrap();
            } else {
                refused += 1;
                outcome.refusal().unwrap_or_else(|error| panic!("{name}, {what}: {error}"));
            }
            assert_eq!(files.names(), ["random.bin", "tokenizer.bin"], "{name}, {what}");
        }
        std::fs::write(files.path(name), bytes).unwrap();
    }
    println!("{read} were read, {refused} refused");
    assert!(read > 0 && refused > 0, "all damage is of one kind");
}

#[test]
fn sizes_that_lie_and_weights_that_are_no_numbers_are_named() {
    let files = Files::new();
    for field in 0..7 {
        for value in [0i32, -1, i32::MAX, i32::MIN, 1 << 24] {
            // A negative number of key/value heads marks linear attention, so this model is valid.
            if (field, value) == (4, -1) {
                continue;
            }
            let mut copy = files.model.clone();
            copy[4 * field..4 * field + 4].copy_from_slice(&value.to_le_bytes());
            std::fs::write(files.path("random.bin"), copy).unwrap();
            assert_refused(&files, "random.bin", &format!("with {value} in field {field}"));
        }
    }
    for value in [f32::NAN, f32::INFINITY] {
        let mut copy = files.model.clone();
        copy[400..404].copy_from_slice(&value.to_le_bytes());
        std::fs::write(files.path("random.bin"), copy).unwrap();
        assert_refused(&files, "random.bin", &format!("with a weight of {value}"));
    }
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let files = Files::new();
    let model = files.path("random.bin");
    let refusal = |output: &Path| {
        let outcome = run_atto(["pack".as_ref(), model.as_os_str(), "-o".as_ref(), output.as_os_str()]);
        outcome.refusal().unwrap_or_else(|error| panic!("{}: {error}", output.display())).to_owned()
    };
    assert!(refusal(files.folder.path()).contains("it is a directory"));
    assert!(refusal(&files.path("nowhere/out.atto")).ends_with("no such file or directory"));
    assert!(refusal(&files.path("random.bin/out.atto")).ends_with("a component of the path is not a directory"));
    assert_eq!(files.names(), ["random.bin", "tokenizer.bin"]);
}

/// A file system of 16 KiB.
#[cfg(target_os = "linux")]
struct FullDisk(TempDir);

#[cfg(target_os = "linux")]
impl FullDisk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"]).arg(folder.path());
        let output = mount.output().ok()?;
        output.status.success().then_some(FullDisk(folder))
    }
}

#[cfg(target_os = "linux")]
impl Drop for FullDisk {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(self.0.path()).status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.0.path().display());
        }
    }
}

#[cfg(target_os = "linux")]
#[needs(user = "mount")]
#[test]
fn a_full_disk_is_named_and_keeps_nothing() {
    let disk = FullDisk::new().expect("this user may mount a small file system");
    let files = Files::new();
    let output = disk.0.path().join("out.atto");
    std::fs::write(&output, "ATTO: the image that was there before").unwrap();
    let pack = finished(atto().arg("pack").arg(files.path("random.bin")).args(["--weights", "f32", "-o"]).arg(&output));
    assert!(pack.refusal().unwrap_or_else(|error| panic!("{error}")).ends_with("out.atto: the disk is full"), "{pack:?}");
    assert_eq!(names(disk.0.path()), ["out.atto"]);
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "ATTO: the image that was there before");
}

/// A limit on file sizes replaces a full disk where mounting is not allowed: both stop a write in the middle.
#[cfg(target_os = "linux")]
#[test]
fn a_write_that_is_stopped_in_its_middle_leaves_nothing() {
    let files = Files::new();
    let program = atto().get_program().to_owned();
    let script = "trap '' XFSZ; ulimit -f 4; exec \"$ATTO\" pack random.bin --weights f32 -o out.atto";
    let stopped = finished(Command::new("sh").args(["-c", script]).current_dir(files.folder.path()).env("ATTO", program));
    let sentence = stopped.refusal().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(sentence, "out.atto: the file would exceed the size limit of this process");
    assert_eq!(files.names(), ["random.bin", "tokenizer.bin"]);
}
