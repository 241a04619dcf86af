//! Transcription with synthetic multilingual models: language, prompt, and the timestamp rules.

#[path = "common/directory.rs"]
mod directory;
#[path = "common/values.rs"]
mod values;
#[path = "common/whisper.rs"]
mod whisper;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use attoformer::{Image, Session};
use attoformer_tools::engine::Setup;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::audio::features;
use attoformer_tools::run::transcribe::{Segment, TranscribeError, TranscribeOptions, Transcript, language_name, transcribe};
use directory::Directory;
use serde_json::json;

/// Vocabulary: a, b, c, space, the special tokens of a multilingual Whisper, and 8 timestamps of 10 samples each.
const MARKS: [&str; 9] = [
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|de|>",
    "<|fr|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|nospeech|>",
    "<|notimestamps|>",
];
const END: u32 = 4;
const START: u32 = 5;
const ENGLISH: u32 = 6;
const GERMAN: u32 = 7;
const FRENCH: u32 = 8;
const TRANSLATE: u32 = 9;
const TRANSCRIBE: u32 = 10;
const NO_TIMESTAMPS: u32 = 12;
const ZERO: u32 = 13;
const VOCABULARY: usize = 21;

const ALL: [u32; 3] = [ENGLISH, GERMAN, FRENCH];

/// A multilingual model.
fn several(context: usize, languages: &[u32]) -> Directory {
    let marks = MARKS.iter().zip(4..).map(|(content, id)| {
        json!({"id": id, "content": content, "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false})
    });
    let tokenizer = json!({
        "version": "1.0", "added_tokens": marks.collect::<Vec<_>>(), "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel"}, "post_processor": null,
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "\u{120}": 3}, "merges": []},
    });
    let generation = json!({
        "decoder_start_token_id": START, "no_timestamps_token_id": NO_TIMESTAMPS, "is_multilingual": true, "max_initial_timestamp_index": 2,
        "suppress_tokens": [5, 6, 7, 8, 9, 10, 11], "begin_suppress_tokens": [3, 4],
        "lang_to_id": languages.iter().map(|&token| (MARKS[token as usize - 4], token)).collect::<BTreeMap<_, _>>(), "task_to_id": {"transcribe": TRANSCRIBE, "translate": TRANSLATE},
    });
    let directory = whisper::directory(VOCABULARY, context, &[START, END]);
    directory.text("tokenizer.json", &tokenizer.to_string()).text("generation_config.json", &generation.to_string())
}

fn packed(directory: &Directory) -> AlignedBytes {
    pack(&directory.open().unwrap(), &Options::reference(), &Progress::silent()).unwrap_or_else(|error| panic!("{error}")).image
}

fn with_session<T>(bytes: &AlignedBytes, work: impl FnOnce(&Image, &mut Session) -> T) -> T {
    let image = Image::new(bytes).unwrap();
    let mut arena = Setup::default().arena(image.config(), Path::new("image")).unwrap();
    work(&image, &mut Setup::default().session(&image, &mut arena).unwrap())
}

/// Audio that differs from window to window.
fn clip(samples: usize, pitch: f32) -> Vec<f32> {
    (0..samples).map(|at| (at as f32 * at as f32 * pitch).sin() * 0.5).collect()
}

fn transcript(image: &Image, session: &mut Session, samples: &[f32], options: TranscribeOptions) -> Transcript {
    transcribe(session, &image.frontend().unwrap(), samples, options, |_| {}).unwrap()
}

/// Reference greedy decoding.
fn greedy(session: &mut Session, rows: &[f32], prompt: &[u32]) -> Vec<u32> {
    session.encode_features(rows).unwrap();
    let mut logits = session.prefill(prompt).unwrap().to_vec();
    let mut tokens = Vec::new();
    loop {
        let never = |token: u32| (5..=11).contains(&token) || tokens.is_empty() && [3, 4].contains(&token);
        let allowed = (0..VOCABULARY as u32).filter(|&token| !never(token));
        let best = allowed.reduce(|a, b| if logits[b as usize] > logits[a as usize] { b } else { a }).unwrap();
        if best == END || session.remaining() == 0 {
            return tokens;
        }
        tokens.push(best);
        logits = session.step(best).unwrap().to_vec();
    }
}

#[test]
fn the_language_is_detected_or_given() {
    let mut heard = BTreeSet::new();
    // Two of the models do not know English.
    for languages in [&ALL[..], &[GERMAN, FRENCH], &[FRENCH]] {
        with_session(&packed(&several(24, languages)), |image, session| {
            let frontend = image.frontend().unwrap();
            for pitch in 1..8 {
                let samples = clip(70, pitch as f32 * 0.011);
                let rows = features(&frontend, &samples);
                session.encode_features(&rows).unwrap();
                let logits = session.prefill(&[START]).unwrap();
                let likeliest = *languages.iter().max_by(|&&a, &&b| logits[a as usize].total_cmp(&logits[b as usize])).unwrap();
                heard.insert(likeliest);
                let found = transcript(image, session, &samples, TranscribeOptions::default());
                assert_eq!(found.language, Some(likeliest), "{pitch}");
                assert_eq!(found.tokens, greedy(session, &rows, &[START, likeliest, TRANSCRIBE, NO_TIMESTAMPS]), "{pitch}");
                let told = TranscribeOptions::new(image, Some("fr"), true, false).unwrap();
                let found = transcript(image, session, &samples, told);
                assert_eq!(found.language, Some(FRENCH));
                assert_eq!(found.tokens, greedy(session, &rows, &[START, FRENCH, TRANSLATE, NO_TIMESTAMPS]), "{pitch}");
            }
            assert_eq!(language_name(image, GERMAN), "de");
        });
    }
    assert!(heard.len() > 1, "the models are too alike to test it: {heard:?}");
}

#[test]
fn unsupported_options_are_refused() {
    with_session(&packed(&several(24, &ALL)), |image, _| {
        let said = TranscribeOptions::new(image, Some("xx"), false, false).unwrap_err();
        assert_eq!(said.to_string(), "unknown language \"xx\"; this model knows de, en, fr");
    });
    let english = r#"{"decoder_start_token_id": 5, "no_timestamps_token_id": 12}"#;
    with_session(&packed(&several(24, &ALL).text("generation_config.json", english)), |image, _| {
        for (language, translate) in [(Some("en"), false), (None, true)] {
            let said = TranscribeOptions::new(image, language, translate, false).unwrap_err();
            assert_eq!(said, TranscribeError::Monolingual);
        }
        assert!(TranscribeOptions::new(image, None, false, true).is_ok());
    });
    let timeless = r#"{"decoder_start_token_id": 5, "no_timestamps_token_id": 20}"#;
    with_session(&packed(&several(24, &ALL).text("generation_config.json", timeless)), |image, session| {
        assert_eq!(TranscribeOptions::new(image, None, false, true).unwrap_err(), TranscribeError::NoTimestamps);
        // The engine refuses the request as well.
        let options = TranscribeOptions { timestamps: true, ..TranscribeOptions::default() };
        assert!(transcribe(session, &image.frontend().unwrap(), &[0.0; 9], options, |_| {}).is_err());
    });
    let strange = r#"{"decoder_start_token_id": 5, "no_timestamps_token_id": 21}"#;
    let said = several(24, &ALL).text("generation_config.json", strange).refusal();
    assert!(said.contains("token 21 is outside the vocabulary of 21 tokens"), "{said}");
}

/// Timestamps are ordered for random weights, and the windows reach the end of the clip.
#[test]
fn timestamps_are_ordered_for_random_models() {
    let (mut parts, mut more_than_windows) = (0, 0);
    for context in [24, 30, 36] {
        with_session(&packed(&several(context, &ALL)), |image, session| {
            for pitch in 1..20 {
                let samples = clip(250, pitch as f32 * 0.013);
                let options = TranscribeOptions { timestamps: true, ..TranscribeOptions::default() };
                let mut lines = String::new();
                let found = transcribe(session, &image.frontend().unwrap(), &samples, options, |line| lines.push_str(line)).unwrap();
                assert!(!found.tokens.contains(&NO_TIMESTAMPS));
                assert!(found.tokens.first().is_none_or(|&first| (ZERO..=ZERO + 2).contains(&first)), "{:?}", found.tokens);
                let times = found.segments.iter().flat_map(|part| [part.start, part.end]);
                assert!(times.is_sorted() && found.segments.iter().all(|part| part.start < part.end), "{:?}", found.segments);
                assert!(found.segments.iter().all(|part| !part.text.contains('<')), "{:?}", found.segments);
                assert_eq!(lines.lines().count(), found.segments.len());
                parts += found.segments.len();
                more_than_windows += usize::from(found.segments.len() > 4);
            }
        });
    }
    println!("{parts} parts; {more_than_windows} of 57 clips have more of them than windows");
    assert!(parts > 57 && more_than_windows > 0);
}

#[test]
fn times_are_formatted_as_timecodes() {
    let line = |start, end| Segment { start, end, text: " Yes. ".to_owned() }.to_string();
    assert_eq!(line(0.0, 4.2), "[00:00.00 --> 00:04.20] Yes.");
    assert_eq!(line(59.996, 3725.5), "[01:00.00 --> 01:02:05.50] Yes.");
}
