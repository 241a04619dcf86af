//! Unusual texts given to the built `atto`: empty, white space, invalid UTF-8, without a space, too long.

use std::path::PathBuf;
use std::time::Duration;

use attoformer_tests::atto::{Outcome, run_atto};
use attoformer_tests::hostile::images::{bytes, packed, reading, unigram, words};
use attoformer_tools::import::Tokenizer;
use serde_json::Value;
use tempfile::TempDir;

/// Context length of the models.
const CONTEXT: usize = 24;
/// Time limit of a megabyte of text with a tiny model, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder of models and texts.
struct Bench(TempDir);

impl Bench {
    /// Creates the encoders `words`, `bytes` and `pieces`, named after their tokenizers, a classifier `sorter` and a decoder `writer`.
    fn new() -> Self {
        let bench = Bench(TempDir::new().unwrap());
        for (name, family, tokenizer) in tokenizers() {
            std::fs::write(bench.0.path().join(name), &*packed(&reading(family, tokenizer))).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a text and returns its path.
    fn text(&self, name: &str, text: &[u8]) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Runs a command on a model of the folder.
    fn run(&self, command: &[&str], model: &str, rest: &[&str]) -> Outcome {
        let model = self.path(model);
        run_atto([command, &[model.to_str().unwrap()], rest].concat())
    }
}

fn tokenizers() -> [(&'static str, &'static str, Tokenizer); 5] {
    [
        ("words", "bert", words()),
        ("bytes", "bert", bytes("gpt-2")),
        ("pieces", "bert", unigram()),
        ("sorter", "sentences", words()),
        ("writer", "llama", bytes("smollm")),
    ]
}

fn refusal(outcome: &Outcome) -> &str {
    outcome.refusal().unwrap_or_else(|error| panic!("{error}"))
}

fn json(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// The start of the text and its special tokens are kept; a warning states the number of truncated tokens.
#[test]
fn a_text_longer_than_the_context_is_cut_and_it_is_said() {
    let bench = Bench::new();
    for (model, around) in [("words", 2), ("bytes", 0), ("pieces", 1)] {
        let embed = |count: usize| bench.run(&["embed"], model, &["--text", vec!["the"; count].join(" ").as_str(), "--json"]);
        let (fits, long) = (embed(CONTEXT - around), embed(100));
        let (report, wanted) = (json(&long), json(&fits));
        assert_eq!((&report["tokens"][0], &report["left_out"][0]), (&CONTEXT.into(), &(100 + around - CONTEXT).into()), "{model}");
        assert_eq!((&wanted["tokens"][0], &wanted["left_out"][0]), (&CONTEXT.into(), &0.into()), "{model}");
        assert_eq!(report["embeddings"], wanted["embeddings"], "{model}");
        let said = format!("note: text 1 exceeds the context; its last {} tokens are truncated\n", 100 + around - CONTEXT);
        assert_eq!((long.stderr.as_str(), fits.stderr.as_str()), (said.as_str(), ""), "{model}");
    }
    let sorted = |count: usize| bench.run(&["classify"], "sorter", &["--text", "the ".repeat(count).trim(), "--json"]);
    assert_eq!(json(&sorted(50)), json(&sorted(CONTEXT - 2)));
    assert_eq!(sorted(50).stderr, "note: the text exceeds the context; its last 28 tokens are truncated\n");
    let pairs = format!("a\tb\tc\td\t1\tthe\tlow\na\tb\tc\td\t2\t{}\tthe\n", "the ".repeat(60));
    let outcome = bench.run(&["eval", "sts"], "words", &["--pairs", &bench.text("pairs", pairs.as_bytes()), "--json"]);
    assert_eq!(json(&outcome)["cut"], 1);
    assert!(outcome.stderr.contains("note: 1 sentences exceed the context"), "{}", outcome.stderr);
}

#[test]
fn a_prompt_longer_than_the_context_is_refused() {
    let bench = Bench::new();
    let outcome = bench.run(&["run"], "writer", &["--prompt", "the ".repeat(60).trim(), "-n", "2"]);
    assert!(refusal(&outcome).ends_with("writer: 60 tokens exceed the context of 24"), "{outcome:?}");
}

#[test]
fn texts_without_words_are_refused_or_have_rows() {
    let bench = Bench::new();
    let (empty, white) = (bench.text("empty", b""), bench.text("white", b" \n\t\r\n\n"));
    let before = bench.files();
    let output = bench.path("out.npy");
    let output = ["-o", output.to_str().unwrap()];
    for (command, model, option, more) in [
        (&["embed"][..], "words", "--input", &output[..]),
        (&["eval", "perplexity"], "writer", "--text", &[]),
        (&["eval", "sts"], "words", "--pairs", &[]),
        (&["inspect"], "writer", "--neurons", &["--prompt", "the", "-o", "p.html"]),
    ] {
        let outcome = bench.run(command, model, &[&[option, &empty][..], more].concat());
        assert!(refusal(&outcome).ends_with("empty: the file is empty"), "{command:?}: {outcome:?}");
        let outcome = bench.run(command, model, &[&[option, &white][..], more].concat());
        if command == ["embed"] {
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), "3 embeddings of 8 values\n"));
            std::fs::remove_file(bench.path("out.npy")).unwrap();
        } else {
            assert!(refusal(&outcome).contains("white: "), "{command:?}: {outcome:?}");
        }
    }
    assert_eq!(bench.files(), before);
    // BERT reads [CLS] [SEP]; a model without BOS has nothing to continue.
    assert_eq!(json(&bench.run(&["embed"], "words", &["--text", "", "--json"]))["tokens"][0], 2);
    assert!(refusal(&bench.run(&["run"], "writer", &["--prompt", ""])).contains("the prompt is empty"));
}

#[test]
fn a_byte_that_is_no_utf8_is_named_by_its_file_and_place() {
    let bench = Bench::new();
    let bad = bench.text("bad", b"the low\nth\xffe low\n");
    let before = bench.files();
    let output = bench.path("out.npy");
    for (command, model, option, more) in [
        (&["embed"][..], "words", "--input", &["-o", output.to_str().unwrap()][..]),
        (&["eval", "perplexity"], "writer", "--text", &[]),
        (&["eval", "sts"], "words", "--pairs", &[]),
        (&["inspect"], "writer", "--neurons", &["--prompt", "the", "-o", "p.html"]),
    ] {
        let outcome = bench.run(command, model, &[&[option, &bad][..], more].concat());
        assert!(refusal(&outcome).contains("bad: the text is not UTF-8: invalid byte at offset 10"), "{command:?}: {outcome:?}");
    }
    assert_eq!(bench.files(), before);
}

#[test]
fn a_megabyte_without_a_space_takes_no_time() {
    let bench = Bench::new();
    let long = bench.text("long", "low".repeat(350_000).as_bytes());
    for model in ["words", "bytes", "pieces"] {
        let outcome = bench.run(&["embed"], model, &["--input", &long, "--json"]);
        assert_eq!(json(&outcome)["rows"], 1, "{model}");
        assert!(outcome.time < PATIENCE, "{model} took {:?}", outcome.time);
    }
    let outcome = bench.run(&["eval", "perplexity"], "writer", &["--text", &long, "--json"]);
    assert!(json(&outcome)["tokens"].as_u64() > Some(100_000));
    assert!(outcome.time < 2 * PATIENCE, "{:?}", outcome.time);
}
