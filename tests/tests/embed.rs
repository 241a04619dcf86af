//! `atto embed`: files of texts, valid and invalid; every row has the bits of its text alone, with any number of threads.

use attoformer::Image;
use attoformer::image::KvType;
use attoformer_tests::atto::{Outcome, run_atto};
use attoformer_tests::random_model::{Numbers, RandomModel};
use attoformer_tools::engine::{OpenImage, Setup};
use attoformer_tools::import::{Piece, Scheme, SpecialIds, Tokenizer};
use attoformer_tools::pack::{self, Options};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::embed::embed;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// An encoder of BERT's shape with a context of 40 and a vocabulary of letters and short words.
struct Bench {
    folder: TempDir,
    image: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let [(_, bert), _] = RandomModel::encoders();
        let mut checkpoint = bert.checkpoint();
        let letters = || (b'a'..=b'z').map(char::from);
        let words = letters().flat_map(|a| letters().map(move |b| format!("{a}{b}")));
        let marks = ["[UNK]", "[CLS]", "[SEP]"].map(str::to_owned).into_iter();
        let texts = marks.chain(letters().map(String::from)).chain(letters().map(|a| format!("##{a}"))).chain(words);
        let pieces = texts.take(bert.config.vocab as usize).map(|text| Piece { bytes: text.into_bytes(), score: 0.0 }).collect();
        let scheme = Scheme::WordPiece {
            clean_text: true,
            handle_chinese_chars: true,
            strip_accents: true,
            lowercase: true,
            max_word_characters: 100,
        };
        checkpoint.tokenizer = Some(Tokenizer::new(pieces, SpecialIds { bos: 1, eos: 2, unk: 0 }, scheme));
        let options = Options { weights: Format::Int8, kv: KvType::Int8, ..Options::reference() };
        let folder = TempDir::new().unwrap();
        let image = folder.path().join("bert.atto");
        std::fs::write(&image, &*pack::pack(&checkpoint, &options, &Progress::silent()).unwrap().image).unwrap();
        Bench { folder, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Embeds a file of texts.
    fn embed(&self, input: &[u8], more: &[&str]) -> Outcome {
        let path = self.path("lines.txt");
        std::fs::write(&path, input).unwrap();
        let args = [&["embed", string(&self.image), "--input", string(&path)], more].concat();
        run_atto(args)
    }

    /// The raw bytes of the rows that `atto embed` writes to a file.
    fn rows(&self, input: &[u8], more: &[&str]) -> Vec<u8> {
        let path = self.path("out.f32");
        let outcome = self.embed(input, &[&["-o", string(&path)], more].concat());
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        std::fs::read(path).unwrap()
    }

    /// The engine's embedding of each text alone.
    fn alone(&self, texts: &[String]) -> Vec<Vec<u8>> {
        let bytes = attoformer_tools::files::map(&self.image).unwrap();
        let image = Image::new(&bytes).unwrap();
        let rows = Setup::default().with_session(OpenImage { image: &image, path: &self.image }, |session| {
            let row = |text: &String| embed(session, text, false).unwrap().values.iter().flat_map(|x| x.to_le_bytes()).collect();
            Ok(texts.iter().map(row).collect())
        });
        rows.unwrap()
    }
}

fn string(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Sentences from no word to more words than the context.
fn sentences(count: usize) -> Vec<String> {
    let mut numbers = Numbers(77);
    let mut word = || (0..1 + numbers.below(4)).map(|_| char::from(b'a' + numbers.below(26) as u8)).collect::<String>();
    let mut lengths = Numbers(5);
    let mut sentence = |_| (0..lengths.below(1 + lengths.clone().below(40))).map(|_| word()).collect::<Vec<_>>().join(" ");
    (0..count).map(&mut sentence).collect()
}

fn lines(texts: &[String], end: &str) -> Vec<u8> {
    texts.iter().flat_map(|text| [text.as_bytes(), end.as_bytes()].concat()).collect()
}

/// 200 sentences of unequal length, in any order, with any number of threads, have the bits of each sentence alone.
#[test]
fn rows_are_those_of_each_text_alone() {
    let bench = Bench::new();
    let mut texts = sentences(200);
    let alone = bench.alone(&texts);
    for threads in ["1", "2", "5"] {
        for kernels in ["scalar", attoformer::kernels::best().name()] {
            let found = bench.rows(&lines(&texts, "\n"), &["--threads", threads, "--kernels", kernels]);
            assert!(found == alone.concat(), "{threads} threads, {kernels}");
        }
    }
    texts.reverse();
    let backwards: Vec<Vec<u8>> = alone.into_iter().rev().collect();
    assert!(bench.rows(&lines(&texts, "\r\n"), &[]) == backwards.concat());
}

/// Text output, JSON and a NumPy file contain the same values.
#[test]
fn every_output_has_the_same_rows() {
    let bench = Bench::new();
    let texts = sentences(70);
    let input = lines(&texts, "\n");
    let rows = bench.rows(&input, &[]);
    let width = rows.len() / 70;

    let npy = bench.path("out.npy");
    let report = bench.embed(&input, &["--json", "-o", string(&npy)]);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!((&report["rows"], &report["width"], &report["embeddings"]), (&70.into(), &(width / 4).into(), &Value::Null));
    assert_eq!((report["tokens"].as_array().unwrap().len(), report["left_out"].as_array().unwrap().len()), (70, 70));
    assert_eq!(report["threads"].as_u64().unwrap(), 3.min(attoformer_tools::threads::all_cores()) as u64);
    let npy = std::fs::read(npy).unwrap();
    let (header, values) = npy.split_at(128);
    assert!(String::from_utf8_lossy(header).contains(&format!("'shape': (70, {})", width / 4)));
    assert!(values == rows);

    let floats: Vec<f32> = rows.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let printed = bench.embed(&input, &[]).stdout;
    assert!(printed.split_whitespace().map(|value| value.parse::<f32>().unwrap()).eq(floats.iter().copied()));
    assert_eq!(printed.lines().count(), 70);
    let report: Value = serde_json::from_str(&bench.embed(&input, &["--json"]).stdout).unwrap();
    let listed = report["embeddings"].as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
    assert!(listed.map(|value| value.as_f64().unwrap() as f32).eq(floats));
}

/// An empty text is valid; a text that is too long is truncated as the model's own tokenizer does, with a warning.
#[test]
fn texts_that_are_empty_or_too_long_have_rows() {
    let bench = Bench::new();
    let long = "ab ".repeat(60);
    let outcome = bench.embed(format!("\n \t \n{long}\n{}\n", "x".repeat(1 << 20)).as_bytes(), &["--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.stderr, "note: text 3 exceeds the context; its last 22 tokens are truncated\n");
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    // [CLS] and [SEP] only, twice; a whole context; one unknown word.
    assert_eq!(report["tokens"], serde_json::json!([2, 2, 40, 3]));
    assert_eq!(report["left_out"], serde_json::json!([0, 0, 22, 0]));
    assert_eq!(report["embeddings"][0], report["embeddings"][1]);
    assert!(outcome.time.as_secs() < 5);
}

#[test]
fn bad_input_is_refused_in_one_line_and_leaves_nothing() {
    let bench = Bench::new();
    let output = bench.path("out.npy");
    let refused = |input: &[u8]| {
        let outcome = bench.embed(input, &["-o", string(&output)]);
        let sentence = outcome.refusal().unwrap_or_else(|error| panic!("{error}")).to_owned();
        assert!(!output.exists() && std::fs::read_dir(bench.folder.path()).unwrap().count() == 2, "a file remains: {sentence}");
        sentence.replace(string(bench.folder.path()), "")
    };
    let late = [&b"some words\n".repeat(500)[..], b"ab \xc3\x28"].concat();
    assert_eq!(
        refused(&late),
        format!("/lines.txt: the text is not UTF-8: invalid byte at offset {}; convert the file to UTF-8", late.len() - 2)
    );
    assert_eq!(refused(b""), "/lines.txt: the file is empty");

    let decoder = bench.path("bert.atto");
    std::fs::write(decoder, &*RandomModel::small().pack(Format::Int8, KvType::Int8)).unwrap();
    assert_eq!(refused(b"ab\n"), "/bert.atto: this model does not support batches of texts");
}

/// Metrics over sentence pairs do not depend on threads, and an error names the line of a pair with missing columns.
#[test]
fn figures_of_pairs_do_not_depend_on_threads() {
    let bench = Bench::new();
    let texts = sentences(141);
    let pair = |(index, pair): (usize, &[String])| format!("g\tf\ty\t{index}\t{}\t{}\t{}\n", index * 7 % 5, pair[0], pair[1]);
    let pairs: String = texts.windows(2).enumerate().map(pair).collect();
    let path = bench.path("pairs.csv");
    std::fs::write(&path, &pairs).unwrap();
    let run = |threads: &str| {
        run_atto([
            "eval",
            "sts",
            string(&bench.image),
            "--pairs",
            string(&path),
            "--against",
            string(&bench.image),
            "--threads",
            threads,
            "--json",
        ])
    };
    let one = run("1");
    assert_eq!(one.code, Some(0), "{}", one.stderr);
    let report: Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!(report["pairs"], 140);
    assert_eq!(report["spearman"], report["reference_spearman"]);
    for cosine in ["cosine_mean", "cosine_min"] {
        assert!((report[cosine].as_f64().unwrap() - 1.0).abs() < 1e-12, "{cosine}");
    }
    for threads in ["2", "3"] {
        assert_eq!(run(threads).stdout, one.stdout);
    }
    std::fs::write(&path, pairs.replacen("\t1\t", " ", 1)).unwrap();
    let outcome = run("2");
    assert!(outcome.refusal().unwrap().contains("pairs.csv: line 2: it has 5 columns"), "{outcome:?}");
}

/// Ctrl-C in the middle of a file of embeddings leaves neither the file nor its temporary one.
#[cfg(unix)]
#[test]
fn an_interrupted_write_leaves_no_file() {
    use attoformer_tests::atto::atto;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let bench = Bench::new();
    let (texts, outputs) = (bench.path("lines.txt"), TempDir::new().unwrap());
    std::fs::write(&texts, "a b c d e f\n".repeat(1 << 20)).unwrap();
    let args =
        ["embed", string(&bench.image), "--input", string(&texts), "-o", string(&outputs.path().join("rows.f32"))].map(str::to_owned);
    let mut child = atto().args(args).stderr(Stdio::null()).spawn().unwrap();
    let files = || std::fs::read_dir(outputs.path()).unwrap().count();
    let deadline = Instant::now() + Duration::from_secs(60);
    while files() == 0 {
        assert!(Instant::now() < deadline && child.try_wait().unwrap().is_none(), "the output is begun");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(files(), 0);
}
