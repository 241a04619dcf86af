//! The command line as scripts use it: exit codes, JSON, files on the disk.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{CONTEXT, Numbers, Tiny, VOCAB, llama2c, tokenizer};
use serde_json::Value;

fn atto<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atto")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The JSON object on stdout of a command that succeeds.
fn json<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Value {
    let output = atto(args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let stdout = text(&output.stdout);
    assert_eq!(stdout.lines().count(), 1, "{stdout}");
    serde_json::from_str(&stdout).unwrap()
}

/// The error message of a command that fails: the last line on stderr.
fn failure<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> String {
    let output = atto(args);
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty());
    stderr.lines().last().unwrap().strip_prefix("error: ").unwrap().to_owned()
}

fn string(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A tiny model and its image `tiny.atto`.
fn packed() -> (Tiny, String) {
    let tiny = Tiny::new();
    let image = string(&tiny.path("tiny.atto"));
    json(["pack", &string(&tiny.source()), "-o", &image, "--json"]);
    (tiny, image)
}

#[test]
fn pack_and_info_agree() {
    let tiny = Tiny::new();
    let image = string(&tiny.path("tiny.atto"));
    let packed = json(["pack", &string(&tiny.source()), "-o", &image, "--weights", "int4", "--json"]);
    let info = json(["info", &image, "--json"]);
    for field in ["image_bytes", "weight_bytes", "arena_bytes", "context", "parameters", "architecture", "golden"] {
        assert!(!packed[field].is_null(), "{field}");
        assert_eq!(packed[field], info[field], "{field}");
    }
    assert_eq!(packed["image_bytes"].as_u64(), Some(std::fs::metadata(&image).unwrap().len()));
    assert_eq!((&info["layout"], &info["kv"], &info["signed"]), (&"portable".into(), &"int8".into(), &false.into()));
    let tensors = packed["tensors"].as_array().unwrap();
    // Two of them are key offsets.
    assert_eq!(tensors.len(), 16);
    assert_eq!((&tensors[2]["name"], &tensors[2]["dtype"]), (&"layers.0.qkv".into(), &"int4".into()));
    let error = tensors[2]["rel_error"].as_f64().unwrap();
    assert!(0.02 < error && error < 0.12, "{error}");
    assert_eq!(
        (&info["numerics"], &info["features"]),
        (&attoformer::NUMERICS.into(), &serde_json::json!(["bpe", "int8", "int4", "kv-int8"]))
    );
    assert_eq!(json(["info", &image, "--features", "--json"]), info);
    assert_eq!(text(&atto(["info", &image, "--features"]).stdout), "features = [\"bpe\", \"int8\", \"int4\", \"kv-int8\"]\n");
    let people = text(&atto(["info", &image]).stdout);
    assert!(people.contains("layers.0.qkv") && people.contains("flash: total"), "{people}");
}

#[test]
fn run_reports_the_generation() {
    let (tiny, image) = packed();
    let logits = tiny.path("logits.f32");
    let report = json(["run", &image, "--prompt", "abc", "-n", "6", "--logits", &string(&logits), "--json"]);
    assert_eq!(report["prompt_tokens"], 4);
    let tokens = report["tokens"].as_array().unwrap().len();
    assert!(tokens <= 6);
    assert_eq!(report["output_hash"].as_str().unwrap().len(), 8);
    for field in ["text", "prefill_tokens_per_s", "decode_tokens_per_s", "kernels", "threads", "arena_bytes"] {
        assert!(!report[field].is_null(), "{field}");
    }
    // The prompt and all generated tokens but the last are fed.
    assert_eq!(std::fs::metadata(&logits).unwrap().len() as usize, (4 + tokens - 1) * VOCAB * 4);

    let plain = atto(["run", &image, "--prompt", "abc", "-n", "6"]);
    assert_eq!(text(&plain.stdout), report["text"].as_str().unwrap().to_owned() + "\n");
    let again = json(["run", &image, "--tokens-in", "1,259,282,262", "-n", "6", "--chunk", "1", "--kernels", "scalar", "--json"]);
    assert_eq!((&again["tokens"], &again["output_hash"]), (&report["tokens"], &report["output_hash"]));
}

#[test]
fn run_ends_at_a_stop_sequence_and_at_the_context() {
    let (_tiny, image) = packed();
    let whole = json(["run", &image, "--tokens-in", "1,270", "--json"]);
    assert_eq!(whole["tokens"].as_array().unwrap().len(), CONTEXT - 1);
    assert_eq!(whole["end"], "context_full");
    let text = whole["text"].as_str().unwrap();
    if let Some((at, letter)) = text.char_indices().skip(2).find(|(_, letter)| letter.is_ascii_alphabetic()) {
        let first = text.find(letter).unwrap().min(at);
        let stopped = json(["run", &image, "--tokens-in", "1,270", "--stop", &letter.to_string(), "--json"]);
        assert_eq!((&stopped["text"], &stopped["end"]), (&text[..first].into(), &"stop".into()));
    }
    let short = json(["run", &image, "--tokens-in", "1,270", "--context", "9", "--json"]);
    assert_eq!(short["tokens"].as_array().unwrap().len(), 8);
    assert!(short["arena_bytes"].as_u64() < whole["arena_bytes"].as_u64());
}

#[test]
fn a_seed_repeats_its_text() {
    let (_tiny, image) = packed();
    let draw =
        |seed: &str| json(["run", &image, "--prompt", "", "-n", "12", "--temperature", "1.2", "--top-k", "50", "--seed", seed, "--json"]);
    assert_eq!(draw("7")["tokens"], draw("7")["tokens"]);
    assert_ne!(draw("7")["tokens"], draw("8")["tokens"]);
}

#[test]
fn failures_name_the_file() {
    let (tiny, image) = packed();
    let prompt = "a".repeat(60);
    for (args, part) in [
        (&["info", "nowhere.atto"][..], "nowhere.atto: no such file"),
        (&["info", &string(&tiny.source())], "tiny.bin: not an .atto image"),
        (&["info", &string(tiny.folder.path())], "it is a directory"),
        (&["run", &image, "--prompt", &prompt], "tiny.atto: 62 tokens exceed the context of 20"),
        (&["run", &image, "--tokens-in", "1,283"], "token 283 is not in the vocabulary of 283"),
        (&["run", &image, "--prompt", "a", "--context", "21"], "not within the image's 1 to 20"),
        (&["run", &image, "--prompt", "a", "--kernels", "none"], "no kernel set \"none\""),
        (&["pack", &image, "-o", "x.atto"], "packed image already"),
        (&["pack", &string(&tiny.source()), "-o", &image, "--formats", "none.toml"], "none.toml: no such file; with --budget-flash"),
        (&["pack", &string(&tiny.source()), "-o", &string(&tiny.source())], "name another output"),
        (&["train", "c.toml", "-o", "d"], "--features train"),
    ] {
        let sentence = failure(args);
        assert!(sentence.contains(part), "{args:?}: {sentence}");
    }
}

/// Without formats of the user's, a budget chooses them; with `--weights` or a file of formats, it is a limit.
#[test]
fn a_budget_chooses_or_limits() {
    let tiny = Tiny::new();
    let (source, image, file) = (string(&tiny.source()), string(&tiny.path("tiny.atto")), string(&tiny.path("formats.toml")));
    let pack = |more: &[&str]| json(["pack", &source, "-o", &image, "--json"].iter().chain(more));
    let bytes = |report: &Value| report["image_bytes"].as_u64().unwrap();
    let (int8, int4) = (bytes(&pack(&["--weights", "int8"])), bytes(&pack(&["--weights", "int4"])));
    assert_eq!(bytes(&pack(&["--budget-flash", "1M"])), int8);
    let large = text(&atto(["pack", &source, "-o", &image, "--budget-flash", "1M"]).stderr);
    // At most: factors that do not help are left out, which is known only afterwards.
    let stated =
        large.strip_prefix("int8 fits: an image of at most ").and_then(|rest| rest.split_once(" bytes, within the budget of 1048576"));
    let stated: u64 = stated.unwrap_or_else(|| panic!("{large}")).0.parse().unwrap();
    assert!((int8..int8 + 1024).contains(&stated), "{large}");
    let between = (int8 + int4) / 2;
    let chosen = pack(&["--budget-flash", &between.to_string(), "--formats", &file]);
    assert!(bytes(&chosen) <= between);
    let has = |format: &str| chosen["tensors"].as_array().unwrap().iter().any(|tensor| tensor["dtype"] == format);
    assert!(has("int8") && has("int4"), "{chosen}");
    let replayed = pack(&["--formats", &file]);
    assert_eq!((bytes(&replayed), &replayed["golden"]), (bytes(&chosen), &chosen["golden"]));

    std::fs::remove_file(&image).unwrap();
    let refused = |more: &[&str]| failure(["pack", &source, "-o", &image].iter().chain(more));
    let smallest = refused(&["--budget-flash", "1K"]);
    assert!(
        smallest.starts_with(&source) && smallest.contains("the smallest image of this model, with int4:32 wherever possible, takes"),
        "{smallest}"
    );
    let limit = (bytes(&chosen) - 1).to_string();
    for stated in [&["--weights", "int8"][..], &["--formats", &file]] {
        let sentence = refused(&[stated, &["--budget-flash", &limit]].concat());
        assert!(sentence.starts_with(&image) && sentence.contains(&format!("more than the budget of {limit}; without")), "{sentence}");
    }
    assert!(!Path::new(&image).exists());

    std::fs::write(&file, "layers.0.qkv = \"int4\"\nlayers.9.qkv = \"int4\"\n").unwrap();
    let unknown = refused(&["--formats", &file]);
    assert!(unknown.starts_with(&format!("{file}: line 2: the model has no tensor layers.9.qkv")), "{unknown}");
    std::fs::write(&file, "layers.0.qkv = \"int3\"\n").unwrap();
    let unknown = refused(&["--formats", &file, "--budget-flash", "1M"]);
    assert!(unknown.starts_with(&format!("{file}: line 1: layers.0.qkv has no format")), "{unknown}");
}

#[test]
fn sensitivity_needs_no_output_but_a_text() {
    let tiny = Tiny::new();
    let source = string(&tiny.source());
    let report = json(["pack", &source, "--sensitivity", "--json"]);
    let rows = report["sensitivity"].as_array().unwrap();
    for format in ["int8", "int4:32"] {
        let row = rows.iter().find(|row| row["name"] == "layers.0.qkv" && row["format"] == format).unwrap();
        assert!(row["loss"].as_f64().unwrap() > 0.0 && row["bytes"].as_u64().unwrap() > 0, "{row}");
    }
    let table = text(&atto(["pack", &source, "--sensitivity"]).stdout);
    assert!(table.contains("loss per MB") && table.contains("layers.0.qkv"), "{table}");
    let sentence = failure(["pack", &source, "--sensitivity", "--calibrate", "none"]);
    assert!(sentence.starts_with(&source) && sentence.contains("give --calibrate a text"), "{sentence}");
}

/// An empty prompt, white space and a very long word are ordinary prompts up to the context; bytes that are not UTF-8 are refused.
#[test]
fn unusual_prompts_are_read_or_refused() {
    let (tiny, image) = packed();
    for (prompt, tokens) in [("", 1), (" ", 3), ("\t\r\n ", 6)] {
        let report = json(["run", &image, "--prompt", prompt, "-n", "1", "--json"]);
        assert_eq!(report["prompt_tokens"], tokens, "{prompt:?}");
    }
    // An argument holds at most 128 KiB. `run` reads no file of prompts; `eval` reads texts like `embed`.
    let long = failure(["run", &image, "--prompt", &"x".repeat(100_000)]);
    assert!(long.starts_with(&image) && long.contains("context"), "{long}");
    let file = string(&tiny.path("broken.txt"));
    std::fs::write(&file, b"once upon\n a \xff time").unwrap();
    let broken = failure(["eval", "perplexity", &image, "--text", &file]);
    assert_eq!(broken, format!("{file}: the text is not UTF-8: invalid byte at offset 13; convert the file to UTF-8"));
}

#[cfg(unix)]
#[test]
fn a_prompt_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let (_tiny, image) = packed();
    let broken = std::ffi::OsStr::from_bytes(b"once \xff");
    let output = atto([std::ffi::OsStr::new("run"), image.as_ref(), "--prompt".as_ref(), broken]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("invalid UTF-8"), "{}", text(&output.stderr));
}

/// One generated token needs no decode step: the rate is null, not 0.
#[test]
fn a_rate_that_was_not_measured_is_null() {
    let (_tiny, image) = packed();
    let report = json(["run", &image, "--prompt", "a", "-n", "1", "--json"]);
    assert!(report["prefill_tokens_per_s"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["decode_tokens_per_s"].is_null(), "{report}");
    let said = text(&atto(["run", &image, "--prompt", "a", "-n", "1"]).stderr);
    assert!(said.contains(", generated 1 tokens, ended by") && !said.contains(" 0 tokens/s"), "{said}");
    let report = json(["bench", &image, "--prompt-len", "4", "--gen-len", "0", "--json"]);
    assert!(report["prefill_tokens_per_s"].as_f64().unwrap() > 0.0 && report["decode_tokens_per_s"].is_null(), "{report}");
}

#[test]
fn perplexity_counts_tokens_and_compares() {
    let (tiny, image) = packed();
    let stories = tiny.path("stories.txt");
    // A space and five letters; `ab`; a document beyond the context: 1 + 1 + 23 tokens in windows of 20 and 5.
    std::fs::write(&stories, format!("fghij\n<|endoftext|>\n\n<|endoftext|>\nab\n<|endoftext|>\n{}\n", "f".repeat(23))).unwrap();
    let report = json(["eval", "perplexity", &image, "--text", &string(&stories), "--against", &string(&tiny.source()), "--json"]);
    assert_eq!(report["tokens"], 6 + 2 + 19 + 4);
    let (perplexity, reference) = (report["perplexity"].as_f64().unwrap(), report["reference_perplexity"].as_f64().unwrap());
    assert!((perplexity / reference - 1.0).abs() < 0.1, "{report}");
    assert!(report["kl_mean"].as_f64().unwrap() < 0.05, "{report}");
    assert!(report["top1_agreement"].as_f64().unwrap() > 0.7, "{report}");
    let figure = |name: &str| report[name].as_f64().unwrap();
    assert!(figure("kl_stderr") > 0.0 && figure("kl_stderr") < figure("kl_mean"), "{report}");
    assert!(figure("kl_median") <= figure("kl_p99") && figure("kl_p99") > figure("kl_mean"), "{report}");
    let alone = json(["eval", "perplexity", &image, "--text", &string(&stories), "--json"]);
    assert_eq!(alone["perplexity"], report["perplexity"]);
    for threads in ["1", "3"] {
        let again = ["eval", "perplexity", &image, "--text", &string(&stories), "--threads", threads, "--json"];
        assert_eq!(json(again), alone, "{threads} threads");
    }
    assert!(
        ["reference_perplexity", "kl_mean", "kl_stderr", "kl_median", "kl_p99", "top1_agreement"].iter().all(|name| alone[name].is_null())
    );
    let same = json(["eval", "perplexity", &image, "--text", &string(&stories), "--against", &image, "--json"]);
    assert_eq!((same["kl_mean"].as_f64(), same["top1_agreement"].as_f64()), (Some(0.0), Some(1.0)));
}

#[test]
fn a_text_does_not_depend_on_threads() {
    let (_tiny, image) = packed();
    let run = |threads: &str| json(["run", &image, "--prompt", "ab", "-n", "9", "--threads", threads, "--json"]);
    let (one, three) = (run("1"), run("3"));
    assert_eq!((&one["threads"], &three["threads"]), (&1.into(), &3.into()));
    assert_eq!((&one["output_hash"], &one["text"]), (&three["output_hash"], &three["text"]));
}

#[test]
fn bench_reports_speeds() {
    let (_tiny, image) = packed();
    assert_eq!(json(["bench", &image, "--prompt-len", "10", "--gen-len", "5", "--threads", "2", "--json"])["threads"], 2);
    let report = json(["bench", &image, "--prompt-len", "10", "--gen-len", "5", "--json"]);
    assert!(report["prefill_tokens_per_s"].as_f64().unwrap() > 0.0);
    assert!(report["decode_tokens_per_s"].as_f64().unwrap() > 0.0);
    assert!(failure(["bench", &image, "--prompt-len", "100"]).contains("exceed the context"));
}

#[test]
fn bench_measures_several_lengths_and_plots_them() {
    let (tiny, image) = packed();
    let svg = string(&tiny.path("lengths.svg"));
    let report = json(["bench", &image, "--scaling", "--lengths", "5,20", "--svg", &svg, "--json"]);
    let points = report["images"][0]["points"].as_array().unwrap();
    assert_eq!(points.iter().map(|point| point["tokens"].as_u64().unwrap()).collect::<Vec<_>>(), [5, 20]);
    assert!(points[0]["seconds"].as_f64().unwrap() > 0.0);
    assert!(points[1]["arena_bytes"].as_u64() > points[0]["arena_bytes"].as_u64());
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg"));
    assert!(failure(["bench", &image, "--scaling", "--lengths", "100000"]).contains("100000"));
    assert!(failure(["bench", &image, "--scaling", "--lengths", "0"]).contains("0 tokens"));
    assert!(failure(["bench", &image, &image]).contains("--scaling"));
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish"] {
        let output = atto(["completions", shell]);
        assert!(output.status.success() && text(&output.stdout).contains("atto"), "{shell}");
    }
}

/// What is no calibration text is refused with its name and a remedy, and no image is written.
#[test]
fn files_that_cannot_calibrate_are_refused() {
    let tiny = Tiny::new();
    let (source, image) = (string(&tiny.source()), string(&tiny.path("new.atto")));
    for (content, part) in [
        (&b""[..], "text.txt: the file is empty"),
        (b" \n\n", "text.txt: the calibration text is blank; name another one with --calibrate"),
        (b"abc\0abc", "text.txt: it is a binary file, not a calibration text; name a text file with --calibrate"),
        (b"abc \xff", "text.txt: the text is not UTF-8: invalid byte at offset 4; convert the file to UTF-8"),
    ] {
        let file = string(&tiny.path("text.txt"));
        std::fs::write(&file, content).unwrap();
        let sentence = failure(["pack", &source, "-o", &image, "--calibrate", &file]);
        assert!(sentence.ends_with(part), "{sentence}");
    }
    let missing = failure(["pack", &source, "-o", &image, "--calibrate", &string(&tiny.path("missing.txt"))]);
    assert!(missing.contains("missing.txt: no such file"), "{missing}");
    let folder = failure(["pack", &source, "-o", &image, "--calibrate", &string(tiny.folder.path())]);
    assert!(folder.starts_with(&source) && folder.ends_with("this model reads text; name a text file with --calibrate"), "{folder}");
    assert!(!Path::new(&image).exists());
    for (content, part) in [("abc".to_owned(), "it has 4 tokens, fewer than 500"), ("a".repeat(2000), "it repeats a single token")] {
        let file = string(&tiny.path("text.txt"));
        std::fs::write(&file, content).unwrap();
        let output = atto(["pack", &source, "-o", &image, "--calibrate", &file]);
        assert!(output.status.success());
        assert_eq!(text(&output.stderr), format!("note: no calibration by {file}: {part}\n"));
        assert!(text(&output.stdout).contains("\ncalibration self; "), "{}", text(&output.stdout));
    }
}

/// A calibration text of 100 GB, more than memory holds: only its start is read.
#[test]
fn a_calibration_text_longer_than_memory_is_read_in_part() {
    let tiny = Tiny::new();
    let (file, image) = (tiny.path("long.txt"), string(&tiny.path("new.atto")));
    std::fs::write(&file, "abc dad cab bad ".repeat(300_000)).unwrap();
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(100 << 30).unwrap();
    let output = atto(["pack", &string(&tiny.source()), "-o", &image, "--calibrate", &string(&file)]);
    assert_eq!(text(&output.stderr), format!("note: {}: only the first 4 MiB are used for calibration\n", file.display()));
    assert!(text(&output.stdout).contains(&format!("\ncalibration {}; ", file.display())), "{}", text(&output.stdout));
}

/// Inputs of 12 bits belong to int8 matrices: where none is, they are refused, else their number is stated.
#[test]
fn activations_of_12_bits_need_int8_matrices() {
    let tiny = Tiny::new();
    let (source, image, formats) = (string(&tiny.source()), string(&tiny.path("new.atto")), string(&tiny.path("formats.toml")));
    let pack =
        |more: &[&str]| ["pack", &source, "-o", &image, "--activations", "12"].iter().chain(more).map(|&arg| arg.to_owned()).collect();
    for more in
        [&["--weights", "f16"][..], &["--weights", "int4", "--tensor", "embedding=int4"], &["--weights", "f32", "--calibrate", "none"]]
    {
        let args: Vec<String> = pack(more);
        let sentence = failure(&args);
        assert!(sentence.starts_with(&source) && sentence.ends_with("remove --activations 12, or use --weights int8"), "{sentence}");
    }
    std::fs::write(&formats, "\"layers.*.qkv\" = \"f16\"\n").unwrap();
    for calibration in ["self", "none"] {
        let args: Vec<String> = pack(&["--weights", "int4", "--formats", &formats, "--calibrate", calibration]);
        let said = text(&atto(&args).stdout);
        assert!(said.contains("\nactivations of 12 bits in 1 of 7 integer tensors, of 8 bits in the others\n"), "{said}");
    }
    let info = text(&atto(["info", &image]).stdout);
    assert!(info.contains("\nactivations of 12 bits in 1 of 7 integer tensors"), "{info}");
}

/// An int4 row that is too long for exact sums is refused before the model is calibrated, and nothing is written.
#[test]
fn int4_rows_that_are_too_long_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (dim, hidden, vocab, context) = (8, 16_385, VOCAB, 16);
    let floats = vocab * dim + 2 * dim + 2 * dim * dim + 2 * 4 * dim + 3 * hidden * dim + dim + context * 4;
    let header = [dim, hidden, 1, 2, 1, vocab, context].map(|size| size as i32);
    let mut numbers = Numbers(1);
    let source = folder.path().join("wide.bin");
    std::fs::write(&source, llama2c::file(header, (0..floats).map(|_| numbers.float()))).unwrap();
    std::fs::write(folder.path().join("tokenizer.bin"), tokenizer()).unwrap();
    let (source, image) = (string(&source), string(&folder.path().join("new.atto")));
    for more in [
        &["--weights", "int4"][..],
        &["--tensor", "layers.0.mlp_down=int4"],
        &["--budget-flash", "1M", "--tensor", "layers.*.mlp_down=int4:row"],
    ] {
        let sentence = failure(["pack", &source, "-o", &image].iter().chain(more));
        let expected = "layers.*.mlp_down has 16385 inputs, and int4 matrices have at most 16384; use --tensor layers.*.mlp_down=int8";
        assert_eq!(sentence, format!("{source}: {expected}"));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

/// Ctrl-C while a model is calibrated leaves the folder as it was.
#[cfg(unix)]
#[test]
fn an_interrupted_calibration_leaves_nothing() {
    use std::io::Write;
    use std::process::Stdio;

    // Layers of this width take seconds.
    let (dim, hidden, layers, context) = (256, 1024, 4, 256);
    let floats = VOCAB * dim + layers * (2 * dim + 4 * dim * dim + 3 * hidden * dim) + dim + context * dim / 4;
    let header = [dim, hidden, layers, 4, 4, VOCAB, context].map(|size| size as i32);
    let mut numbers = Numbers(1);
    let tiny = Tiny::with(&llama2c::file(header, (0..floats).map(|_| numbers.float() / 8.0)), &tokenizer());
    std::fs::write(tiny.path("new.atto"), "ATTO: the image that was there before").unwrap();
    let before = tiny.files();
    let mut command = Command::new(env!("CARGO_BIN_EXE_atto"));
    command.args(["pack", "tiny.bin", "-o", "new.atto", "--formats", "formats.toml", "--budget-flash", "3M", "--calibrate", "-"]);
    let mut child = command.current_dir(tiny.folder.path()).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // More than a pipe holds, so that the program has begun to read when all is written.
    child.stdin.take().unwrap().write_all("abc dad cab bad ".repeat(20_000).as_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the model is being calibrated");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(tiny.files(), before);
    assert_eq!(std::fs::read_to_string(tiny.path("new.atto")).unwrap(), "ATTO: the image that was there before");
}

/// A file size limit simulates a full disk: both interrupt a write.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_write_keeps_the_old_file() {
    let (tiny, image) = packed();
    let before = (tiny.files(), std::fs::read(&image).unwrap());
    let limited = |arguments: &str| {
        let script = format!("trap '' XFSZ; ulimit -f 4; exec \"$ATTO\" {arguments}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(tiny.folder.path()).env("ATTO", env!("CARGO_BIN_EXE_atto"));
        let output = shell.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    let sentence = limited("pack tiny.bin -o tiny.atto --weights f32");
    assert_eq!(sentence, "error: tiny.atto: the file would exceed the size limit of this process\n");
    let sentence = limited("run tiny.atto --tokens-in 1 -n 15 --logits logits.f32 --json");
    assert_eq!(sentence, "error: logits.f32: the file would exceed the size limit of this process\n");
    assert_eq!((tiny.files(), std::fs::read(&image).unwrap()), before);
}

/// Outputs never replace an input, a device or a symbolic link.
#[cfg(unix)]
#[test]
fn an_output_never_destroys_other_files() {
    let (tiny, image) = packed();
    let source = string(&tiny.source());
    let link = tiny.path("link.atto");
    std::os::unix::fs::symlink(&image, &link).unwrap();
    json(["pack", &source, "-o", &string(&link), "--json"]);
    assert!(link.is_symlink(), "the link was replaced by a file");

    let before = std::fs::read(&source).unwrap();
    assert!(failure(["pack", &source, "-o", &source]).contains("not an Attoformer image"));
    assert_eq!(std::fs::read(&source).unwrap(), before);

    let before = std::fs::read(&image).unwrap();
    let said = failure(["run", &image, "--tokens-in", "1", "-n", "1", "--logits", &image]);
    assert!(said.contains("the input itself"), "{said}");
    assert_eq!(std::fs::read(&image).unwrap(), before);

    let pipe = string(&tiny.path("pipe"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(failure(["pack", &source, "-o", &pipe]).contains("not a regular file"));
}

#[test]
fn import_lists_supported_formats() {
    let list = json(["import", "--list", "--json"]);
    let formats: Vec<&str> = list.as_array().unwrap().iter().map(|row| row["format"].as_str().unwrap()).collect();
    assert!(["hugging-face", "gguf", "llama2.c"].iter().all(|format| formats.contains(format)), "{formats:?}");
    let table = text(&atto(["import", "--list"]).stdout);
    assert_eq!(table.lines().count(), formats.len());
    // Columns are aligned.
    let about = list.as_array().unwrap().iter().map(|row| row["about"].as_str().unwrap());
    let places: Vec<Option<usize>> = table.lines().zip(about).map(|(line, about)| line.find(about)).collect();
    assert!(places.iter().all(|place| place.is_some() && *place == places[0]), "{table}");
}
