//! Figures of encoder-decoders: targets of pairs, and transcripts of clips.

#[path = "common/directory.rs"]
mod directory;
#[path = "common/t5.rs"]
mod t5;
#[path = "common/values.rs"]
mod values;
#[path = "common/whisper.rs"]
mod whisper;

use std::path::Path;

use attoformer::{Image, Session};
use attoformer_tools::engine::{OpenImage, Setup};
use attoformer_tools::eval::tally::Metrics;
use attoformer_tools::eval::transcripts::{self, Clips};
use attoformer_tools::eval::{pairs, perplexity};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::transcribe::{TranscribeOptions, transcribe};
use directory::Directory;
use serde_json::json;
use tempfile::TempDir;

fn packed(directory: &Directory, weights: Format) -> AlignedBytes {
    let options = Options { weights, ..Options::reference() };
    pack(&directory.open().unwrap(), &options, &Progress::silent()).unwrap_or_else(|error| panic!("{error}")).image
}

/// Opens two images of the same file name.
fn with_images<T>(bytes: [&AlignedBytes; 2], work: impl FnOnce([OpenImage; 2]) -> T) -> T {
    let images = bytes.map(|bytes| Image::new(bytes).unwrap());
    let [first, second] = &images;
    work([first, second].map(|image| OpenImage { image, path: Path::new("model.atto") }))
}

fn with_session<T>(open: OpenImage, work: impl FnOnce(&mut Session) -> T) -> T {
    Setup::default().with_session(open, |session| Ok(work(session))).unwrap()
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
    logits.iter().map(|&logit| f64::from(logit) - sum.ln()).collect()
}

const PAIRS: &str = "a b\tcab\nabcd c\tb a d\nd\ta\n";

fn translator() -> Directory {
    t5::t5(true).text("tokenizer.json", &t5::tokenizer())
}

/// Log-probabilities of all tokens, and the token that follows.
type Position = (Vec<f64>, u32);

/// Log-probabilities at each position of the targets, one pair at a time: the start token 0, then the target; and the tokens of the target with EOS.
fn forced(open: OpenImage) -> Vec<Position> {
    let tokenizer = open.image.tokenizer().unwrap();
    with_session(open, |session| {
        let mut rows = Vec::new();
        for pair in pairs::parse(PAIRS).unwrap() {
            let (mut source, mut target) = ([0; 40], [0; 40]);
            let count = tokenizer.encode_with_special_tokens(pair.source, &mut source).unwrap().tokens;
            assert_eq!(source[count - 1], 1);
            session.encode(&source[..count]).unwrap();
            let count = tokenizer.encode(pair.target, &mut target).unwrap();
            let (mut fed, mut targets) = (vec![0], target[..count].to_vec());
            fed.extend(&target[..count]);
            targets.push(1);
            let mut targets = targets.into_iter();
            session.prefill_each(&fed, |_, logits| rows.push((log_softmax(logits), targets.next().unwrap()))).unwrap();
        }
        rows
    })
}

fn measure_pairs(open: OpenImage, reference: Option<OpenImage>, threads: usize) -> Metrics {
    let pairs = pairs::parse(PAIRS).unwrap();
    pairs::measure(open, reference, &Setup::default(), threads, &pairs, &Progress::silent()).unwrap()
}

/// All fields against the definitions, in f64.
#[test]
fn targets_of_pairs_are_scored() {
    let (int8, f32) = (packed(&translator(), Format::Int8), packed(&translator(), Format::F32));
    with_images([&int8, &f32], |[open, exact]| {
        let (found, expected) = (forced(open), forced(exact));
        let count = found.len() as f64;
        let perplexity = |rows: &[Position]| (-rows.iter().map(|(row, target)| row[*target as usize]).sum::<f64>() / count).exp();
        let divergence = |(p, q): (&Position, &Position)| p.0.iter().zip(&q.0).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
        let mut divergences: Vec<f64> = expected.iter().zip(&found).map(divergence).collect();
        let mean = divergences.iter().sum::<f64>() / count;
        divergences.sort_by(f64::total_cmp);

        let metrics = measure_pairs(open, Some(exact), 1);
        let close = |found: Option<f64>, expected: f64| {
            assert!((found.unwrap() - expected).abs() < 1e-6 * (1.0 + expected), "{found:?} {expected}")
        };
        assert_eq!(metrics.tokens as usize, found.len());
        close(Some(metrics.perplexity), perplexity(&found));
        close(metrics.reference_perplexity, perplexity(&expected));
        close(metrics.kl_mean, mean);
        close(metrics.kl_median, divergences[divergences.len().div_ceil(2) - 1]);
        close(metrics.kl_p99, divergences[divergences.len() - 1]);
        assert!(mean > 1e-6 && metrics.kl_stderr.unwrap() > 0.0);

        assert_eq!(measure_pairs(open, Some(exact), 3), metrics);
        let alone = measure_pairs(open, None, 2);
        assert_eq!((alone.perplexity, alone.kl_mean, alone.top1_agreement), (metrics.perplexity, None, None));
        let same = measure_pairs(open, Some(open), 2);
        assert_eq!((same.kl_mean, same.kl_p99, same.top1_agreement), (Some(0.0), Some(0.0), Some(1.0)));
    });
}

#[test]
fn pairs_that_the_model_cannot_read_are_named() {
    let image = packed(&translator(), Format::F32);
    let bare = packed(&t5::t5(true), Format::F32);
    with_images([&image, &bare], |[open, bare]| {
        let refused = |open, text: &str| {
            let pairs = pairs::parse(text).unwrap();
            pairs::measure(open, None, &Setup::default(), 1, &pairs, &Progress::silent()).unwrap_err().to_string()
        };
        let long = "a ".repeat(600);
        assert_eq!(refused(open, &format!("a\tb\na\t{long}\n")), "model.atto: line 2 of the pairs: 601 tokens exceed the context of 512");
        assert_eq!(refused(open, &format!("a\tb\n\n{long}\tb\n")), "model.atto: line 3 of the pairs: 601 tokens exceed the context of 512");
        assert!(refused(bare, "a\tb\n").starts_with("model.atto: the image has no tokenizer"), "{}", refused(bare, "a\tb\n"));
        let text = perplexity::measure(open, None, &Setup::default(), 1, ["a b"], &Progress::silent()).unwrap_err().to_string();
        assert!(text.starts_with("model.atto: an encoder-decoder predicts the translation of a source: use --pairs"), "{text}");
    });
}

/// A Whisper of six letters, a space and special tokens; 70 samples of 100 Hz are a window.
fn transcriber() -> Directory {
    let special = |(content, id): (&str, u32)| json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false});
    let added = [("<|endoftext|>", 7), ("<|startoftranscript|>", 8), ("<|notimestamps|>", 9)].map(special);
    let tokenizer = json!({
        "version": "1.0", "normalizer": null, "post_processor": null, "decoder": {"type": "ByteLevel"},
        "added_tokens": added,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "f": 5, "\u{120}": 6}, "merges": []},
    });
    let generation =
        json!({"decoder_start_token_id": 8, "no_timestamps_token_id": 9, "suppress_tokens": [8, 9], "begin_suppress_tokens": [6, 7]});
    let directory = whisper::directory(16, 20, &[8, 7]);
    directory.text("tokenizer.json", &tokenizer.to_string()).text("generation_config.json", &generation.to_string())
}

/// Writes a clip of 1000 Hz that sounds different for each pitch.
fn write_wav(path: &Path, samples: usize, pitch: f32) {
    let spec = hound::WavSpec { channels: 1, sample_rate: 1000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for at in 0..samples {
        writer.write_sample(((at as f32 * at as f32 * pitch).sin() * 16_000.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

/// A folder with three clips, the longest of three windows.
fn clips() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, samples, pitch) in [("one.wav", 700, 1e-3), ("two.wav", 1500, 3e-4), ("three.WAV", 650, 7e-4), ("silent.wav", 700, 0.0)] {
        write_wav(&folder.path().join(name), samples, pitch);
    }
    folder
}

fn measure_clips(open: OpenImage, reference: Option<OpenImage>, threads: usize, folder: &Path) -> transcripts::Metrics {
    let clips = Clips::of_folder(folder).unwrap();
    transcripts::measure(open, reference, &Setup::default(), threads, &clips, &Progress::silent()).unwrap()
}

#[test]
fn transcripts_are_compared_with_texts_and_with_a_reference() {
    let (int8, f32) = (packed(&transcriber(), Format::Int8), packed(&transcriber(), Format::F32));
    let folder = clips();
    let folder = folder.path();
    with_images([&int8, &f32], |[open, exact]| {
        // What the f32 model writes, and the positions from the end of the prompt to EOS.
        let (mut texts, mut positions) = (Vec::new(), 0);
        with_session(exact, |session| {
            let frontend = exact.image.frontend().unwrap();
            for name in ["one.wav", "two.wav", "three.WAV"] {
                let samples = attoformer_tools::run::audio::read_wav(&folder.join(name), frontend.sample_rate).unwrap();
                let transcript = transcribe(session, &frontend, &samples, TranscribeOptions::default(), |_| {}).unwrap();
                positions += transcript.tokens.len() + samples.len().div_ceil(frontend.samples());
                texts.push(transcript.text);
            }
        });
        std::fs::write(folder.join("one.txt"), texts[0].to_uppercase() + " .").unwrap();
        // A word more than the model writes.
        let expected = json!({"two.wav": {"text": format!("{}, zzz!", texts[1]), "tokens": []}, "three.WAV": texts[2]});
        std::fs::write(folder.join("expected.json"), expected.to_string()).unwrap();

        let metrics = measure_clips(open, Some(exact), 1, folder);
        assert_eq!((metrics.clips, metrics.skipped, metrics.positions), (3, 1, Some(positions as u64)), "{texts:?}");
        assert_eq!(metrics.reference_word_error_rate, Some(1.0 / metrics.words as f64));
        assert!(metrics.kl_mean.unwrap() > 0.0 && metrics.kl_stderr.is_some() && metrics.kl_p99 >= metrics.kl_median);
        assert_eq!(measure_clips(open, Some(exact), 2, folder), metrics);
        let same = measure_clips(exact, Some(exact), 2, folder);
        assert_eq!((same.kl_mean, same.top1_agreement, same.same_words), (Some(0.0), Some(1.0), Some(3)));
        assert_eq!(Some(same.word_error_rate), same.reference_word_error_rate);
        let alone = measure_clips(exact, None, 2, folder);
        assert_eq!((alone.word_error_rate, alone.kl_mean, alone.same_words), (same.word_error_rate, None, None));
    });
}

#[test]
fn folders_without_usable_clips_are_refused() {
    let folder = clips();
    let refused = || Clips::of_folder(folder.path()).unwrap_err().to_string();
    assert!(
        refused().ends_with("no .wav file has a reference text; add NAME.txt beside each NAME.wav, or an expected.json"),
        "{}",
        refused()
    );
    std::fs::write(folder.path().join("one.txt"), " ... \n").unwrap();
    assert!(refused().ends_with("the reference texts have no words"), "{}", refused());
    std::fs::write(folder.path().join("expected.json"), "[1]").unwrap();
    assert!(refused().contains("expected.json: not an object from file names to texts: "), "{}", refused());
    let nowhere = Clips::of_folder(&folder.path().join("nowhere")).unwrap_err().to_string();
    assert!(nowhere.ends_with("nowhere: no such file or directory"), "{nowhere}");
}

#[test]
fn models_of_other_kinds_are_refused() {
    let (speech, text) = (packed(&transcriber(), Format::F32), packed(&translator(), Format::F32));
    let folder = clips();
    std::fs::write(folder.path().join("one.txt"), "a").unwrap();
    let clips = Clips::of_folder(folder.path()).unwrap();
    with_images([&speech, &text], |[speech, text]| {
        let transcripts = |open, reference| {
            transcripts::measure(open, reference, &Setup::default(), 1, &clips, &Progress::silent()).unwrap_err().to_string()
        };
        assert_eq!(transcripts(text, None), "model.atto: this model does not read audio: the image has no audio front end");
        assert!(transcripts(speech, Some(text)).contains("compare models of the same kind"), "{}", transcripts(speech, Some(text)));
        let pairs = pairs::parse("a\tb").unwrap();
        let said = pairs::measure(speech, None, &Setup::default(), 1, &pairs, &Progress::silent()).unwrap_err().to_string();
        assert_eq!(said, "model.atto: this model reads audio: use `atto eval transcripts`");
    });
}
