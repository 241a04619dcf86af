//! `atto inspect`: planted heads are found; the page is complete, safe and small; a browser opens it without errors.

mod inspect {
    pub mod browser;
    pub mod planted;
}
mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use attoformer::{Image, Session};
use attoformer_tools::engine::Setup;
use attoformer_tools::inspect::attention::{self, Patterns};
use attoformer_tools::inspect::lens::{self, Residuals};
use attoformer_tools::inspect::{Ablate, InspectOptions, InspectedModel, inspect};
use attoformer_tools::report::progress::Progress;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use inspect::{browser, planted};
use serde_json::Value;

const TALES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tales/tales.atto");
const STORY: &str =
    "Once upon a time there was a happy girl named Anna. One day Anna and Finn saw a yellow swing at the park. \"I saw it first!\" cried";

fn atto<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atto")).arg("inspect").args(args).output().unwrap()
}

/// The `--json` report of a run that succeeds.
fn report<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Value {
    let output = atto(args);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The error message of a run that fails.
fn failure<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> String {
    let output = atto(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    stderr.lines().last().unwrap().strip_prefix("error: ").unwrap().to_owned()
}

fn string(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// The JSON inside a page.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").expect("a page has data");
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

/// Shape and values of an .npy file.
fn npy(path: &Path) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let end = 10 + u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let shape = shape.split(", ").map(|size| size.trim_end_matches(',').parse().unwrap()).collect();
    (shape, bytes[end..].as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

fn with_planted<T>(work: impl FnOnce(&InspectedModel) -> T) -> T {
    let bytes = planted::image();
    let image = Image::new(&bytes).unwrap();
    work(&InspectedModel { image, path: Path::new("planted.atto"), setup: Setup::default(), threads: 2 })
}

/// The answer depends only on the head that copies the previous token, so it must rank first by a wide margin.
#[test]
fn ablation_finds_the_planted_head() {
    let (layer, head) = planted::COPIES;
    with_planted(|subject| {
        for method in [Ablate::Zero, Ablate::Mean(vec![planted::PROMPT.to_vec()])] {
            let wanted = InspectOptions { ablate: Some(method), ..InspectOptions::default() };
            let found = inspect(subject, &planted::PROMPT, &wanted).unwrap();
            assert_eq!(found.answer, Some(planted::PROMPT[planted::PROMPT.len() - 2]), "it copies");
            let view = found.ablation.unwrap();
            let ranking = view.ranking();
            assert_eq!((ranking[0].0, ranking[0].1), (layer, head), "{ranking:?}");
            assert!(ranking[0].2 < -2.0 && ranking[1].2 > -0.1, "{ranking:?}");
            assert!(view.mlp.iter().all(|&effect| effect.abs() < 0.1), "{view:?}");
            assert!(view.attention[layer] < -2.0 && view.layer[layer] < -2.0, "{view:?}");
        }
    });
}

/// The scores of a previous-token head and of an induction head follow their definitions.
#[test]
fn planted_heads_have_their_scores() {
    with_planted(|subject| {
        let view = attention::view(subject, &planted::PROMPT).unwrap();
        let of = |(layer, head): (usize, usize)| view.summaries[layer * view.heads + head];
        assert!(of(planted::COPIES).previous > 0.99 && of(planted::COPIES).entropy < 0.1, "{:?}", of(planted::COPIES));
        assert!(of(planted::COPIES).induction.unwrap() < 0.01);
        assert!(of(planted::LOOKS_FAR).induction.unwrap() > 0.99, "{:?}", of(planted::LOOKS_FAR));
        let others =
            view.summaries.iter().filter(|summary| ![planted::COPIES, planted::LOOKS_FAR].contains(&(summary.layer, summary.head)));
        assert!(others.clone().count() == 10 && others.clone().all(|summary| summary.previous < 0.5 && summary.induction < Some(0.1)));
    });
}

/// The answer is at the previous token until the planted head has moved it.
#[test]
fn patching_follows_the_planted_answer() {
    let mut other = planted::PROMPT;
    let (last, before) = (other.len() - 1, other.len() - 2);
    other[before] = 19;
    with_planted(|subject| {
        let wanted = InspectOptions { other: Some((other.to_vec(), 1)), ..InspectOptions::default() };
        let view = inspect(subject, &planted::PROMPT, &wanted).unwrap().patching.unwrap();
        let at = |map: &[f32], layer: usize, position: usize| map[layer * other.len() + position];
        let moved = planted::COPIES.0;
        assert!(at(&view.residual, moved - 1, before) > 0.9 && at(&view.residual, moved - 1, last) < 0.1, "{view:?}");
        assert!(at(&view.residual, moved, last) > 0.9 && at(&view.residual, moved, before) < 0.1, "{view:?}");
        assert!(at(&view.attention, moved, last) > 0.9, "{view:?}");
        assert!(view.mlp.iter().all(|&share| share.abs() < 0.2), "{view:?}");

        let short = InspectOptions { other: Some((other[1..].to_vec(), 1)), ..InspectOptions::default() };
        let sentence = inspect(subject, &planted::PROMPT, &short).unwrap_err().to_string();
        assert!(sentence.contains("8 tokens and the other one 7"), "{sentence}");
    });
}

fn tales<T>(work: impl FnOnce(&mut Session, &[u32]) -> T) -> T {
    let bytes = attoformer_tools::files::map(Path::new(TALES)).unwrap();
    let image = Image::new(&bytes).unwrap();
    let tokens = attoformer_tools::run::generate::encode(&image, STORY).unwrap();
    let mut arena = Setup::default().arena(image.config(), Path::new(TALES)).unwrap();
    let mut session = Setup::default().session(&image, &mut arena).unwrap();
    work(&mut session, &tokens)
}

/// The last row of the logit lens equals the output in every bit, at every position and in the view.
#[test]
fn the_last_lens_row_is_the_output() {
    tales(|session, tokens| {
        let residuals = Residuals::of(session, tokens).unwrap();
        let mut logits = Vec::new();
        session.reset();
        session.prefill_each(tokens, |_, row| logits.push(row.to_vec())).unwrap();
        let layers = session.config().layers as usize;
        for (row, expected) in residuals.after_layers(layers).zip(&logits) {
            let found = session.lens(row).unwrap();
            assert!(found.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
        let subject = InspectedModel { image: *session.image(), path: Path::new(TALES), setup: Setup::default(), threads: 1 };
        let view = lens::view(&subject, tokens, &Progress::silent()).unwrap();
        let last = layers * tokens.len();
        assert!(view.rank[last..].iter().all(|&rank| rank == 1));
        assert!((0..tokens.len()).all(|position| view.ids[(last + position) * view.top] == view.answers[position]));
    });
}

/// Both the exact weights and the rounded ones of the page.
#[test]
fn attention_rows_sum_to_one() {
    tales(|session, tokens| {
        let patterns = Patterns::of(session, tokens).unwrap();
        for (index, row) in patterns.weights.chunks(tokens.len()).enumerate() {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-3);
            assert!(row[index % tokens.len() + 1..].iter().all(|&weight| weight == 0.0), "later tokens are masked");
        }
        let subject = InspectedModel { image: *session.image(), path: Path::new(TALES), setup: Setup::default(), threads: 1 };
        let view = attention::view(&subject, tokens).unwrap();
        let bytes = STANDARD.decode(&view.weights).unwrap();
        let mut steps = bytes.as_chunks::<2>().0.iter().map(|step| u16::from_le_bytes(*step) as u32);
        for (index, row) in patterns.weights.chunks(tokens.len()).enumerate() {
            let seen = index % tokens.len() + 1;
            let stored: Vec<u32> = steps.by_ref().take(seen).collect();
            assert_eq!(stored.iter().sum::<u32>(), view.unit as u32);
            assert!(stored.iter().zip(row).all(|(&step, &weight)| (step as f32 / view.unit as f32 - weight).abs() < 1e-4));
        }
        assert_eq!(steps.next(), None);
    });
}

/// The page of the default model is small, complete and references no other file.
#[test]
fn the_page_of_the_default_model_is_self_contained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    let report = report([TALES, "--prompt", STORY, "-o", &string(&path), "--json"]);
    assert_eq!(report["views"], serde_json::json!(["attention", "lens", "ablation"]));
    let page = std::fs::read_to_string(&path).unwrap();
    assert_eq!(report["page_bytes"], page.len());
    assert!(page.len() < 500_000, "{}", page.len());
    check_inert(&page);
    let data = data(&page);
    assert_eq!(data["prompt"].as_array().unwrap().len(), report["tokens"].as_u64().unwrap() as usize);
    assert!(data.get("patching").is_none() && data["lens"]["rows"] == 4);
}

/// A page has no external reference, and no token ends its script.
fn check_inert(page: &str) {
    assert!(!page.contains("://") && !page.contains("//cdn"));
    assert_eq!(page.matches("</script").count(), 2, "the data's and the script's");
    assert_eq!(page.matches("<script").count(), 2);
    assert!(!page.contains("<!--") && !page.chars().any(|c| c.is_control() && c != '\n'));
    assert!(page.contains("default-src 'none'"));
}

/// A folder holds the page, its data, and matching arrays.
#[test]
fn a_folder_holds_page_data_and_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made");
    let other = STORY.replace("Anna", "Lily");
    let text = folder.path().join("text.txt");
    std::fs::write(&text, format!("{STORY}\n<|endoftext|>\n{other}")).unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tales/model.bin");
    let options =
        ["--other", &other, "--neurons", &string(&text), "--neuron", "1:5", "--against", source, "--text", &string(&text), "--mean"];
    report([TALES, "--prompt", STORY, "-o", &string(&out), "--json", "--attention"].into_iter().chain(options));
    let json: Value = serde_json::from_slice(&std::fs::read(out.join("data.json")).unwrap()).unwrap();
    assert_eq!(data(&std::fs::read_to_string(out.join("index.html")).unwrap()), json);
    let (shape, weights) = npy(&out.join("attention.npy"));
    assert_eq!(shape, [3, 8, 37, 37]);
    assert!(weights.chunks(37).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-3));
    let (shape, heads) = npy(&out.join("ablation_heads.npy"));
    assert_eq!((shape, heads.len(), &json["ablation"]["method"]), (vec![3, 8], 24, &"mean".into()));
    assert_eq!(npy(&out.join("patching_mlp.npy")).0, [3, 37]);
    let first = &json["neurons"]["neurons"][0];
    assert_eq!((&first["layer"], &first["index"]), (&1.into(), &5.into()));
    assert_eq!(json["neurons"]["neurons"].as_array().unwrap().len(), 1 + 3 * 12);
    let costs = json["quantization"]["costs"].as_array().unwrap();
    assert_eq!((costs.len(), &costs[0]["tensor"]), (14, &"all".into()));
    let kl: Vec<f64> = costs[1..].iter().map(|cost| cost["kl"].as_f64().unwrap()).collect();
    assert!(kl.is_sorted_by(|a, b| a >= b) && kl[0] > 0.0);
}

/// Unsupported requests are refused.
#[test]
fn unsupported_requests_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = string(&folder.path().join("page.html"));
    let sentence = failure([TALES, "--prompt", STORY, "-o", &out, "--target", "Anna Finn"]);
    assert!(sentence.contains("is not one token"), "{sentence}");
    let sentence = failure([TALES, "--tokens-in", "1,640", "-o", &out]);
    assert!(sentence.contains("token 640 is not in the vocabulary of 640"), "{sentence}");
    let sentence = failure([TALES, "--prompt", STORY, "--other", "Short", "-o", &out]);
    assert!(sentence.contains("equal length"), "{sentence}");
    let sentence = failure([TALES, "--prompt", STORY, "-o", TALES]);
    assert!(sentence.contains("name another output"), "{sentence}");
    let tokens = vec!["5"; 257].join(",");
    assert!(failure([TALES, "--tokens-in", &tokens, "-o", &out]).contains("257 tokens exceed the context of 256"));
    assert!(!Path::new(&out).exists());
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "mine").unwrap();
    assert!(failure([TALES, "--prompt", STORY, "-o", &string(&file)]).contains("neither a folder nor named .html"));
    std::fs::write(&file, "{\"machine\":\"m\",\"layer\":0,\"head\":0,\"rows\":[[1]]}").unwrap();
    assert!(failure([TALES, "--prompt", STORY, "-o", &out, "--board", &string(&file)]).contains("do not match this model and prompt"));
    assert!(failure([TALES, "--prompt", STORY, "-o", &out, "--neurons", &string(&file), "--neuron", "3:0"]).contains("no neuron 3:0"));

    let encoder = folder.path().join("encoder.atto");
    std::fs::write(&encoder, &planted::encoder()[..]).unwrap();
    let sentence = failure([&string(&encoder), "--tokens-in", "1,5,6", "-o", &out, "--lens"]);
    assert!(sentence.contains("it is an encoder"), "{sentence}");
    let report = report([&string(&encoder), "--tokens-in", "1,5,6", "-o", &out, "--json"]);
    assert_eq!(report["views"], serde_json::json!(["attention"]));
}

/// A page over tokens that spell HTML, control characters and right-to-left text, and its path.
fn hostile_page(folder: &Path) -> PathBuf {
    let image = folder.join("hostile.atto");
    std::fs::write(&image, &planted::hostile()[..]).unwrap();
    let tokens: Vec<String> = (0..planted::HOSTILE.len() as u32).map(|index| (planted::FIRST_HOSTILE + index).to_string()).collect();
    let page = folder.join("hostile.html");
    report([&string(&image), "--tokens-in", &format!("1,{}", tokens.join(",")), "-o", &string(&page), "--json"]);
    page
}

#[test]
fn hostile_tokens_stay_text() {
    let folder = tempfile::tempdir().unwrap();
    let page = std::fs::read_to_string(hostile_page(folder.path())).unwrap();
    check_inert(&page);
    let pieces = &data(&page)["pieces"];
    for (index, text) in planted::HOSTILE.iter().enumerate() {
        assert_eq!(pieces[(planted::FIRST_HOSTILE as usize + index).to_string()], *text);
    }
}

/// A real browser draws every view of an ordinary and of a hostile page without console messages.
#[test]
fn a_browser_opens_every_view() {
    let Some(browser) = browser::find() else {
        eprintln!("skipped: no chromium was found; name one in CHROME");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("made");
    let text = folder.path().join("text.txt");
    std::fs::write(&text, STORY).unwrap();
    let other = STORY.replace("Anna", "Lily");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tales/model.bin");
    report([TALES, "--prompt", STORY, "-o", &string(&out), "--json", "--other", &other, "--neurons", &string(&text), "--against", source]);
    for view in ["attention", "lens", "ablation", "patching", "neurons", "quantization"] {
        let dom = browser.open(&out.join("index.html"), view);
        assert!(dom.contains("data-ready=\"yes\"") && dom.contains(&format!("id=\"view-{view}\"")), "{view}");
    }
    let (encoder, page) = (folder.path().join("encoder.atto"), folder.path().join("encoder.html"));
    std::fs::write(&encoder, &planted::encoder()[..]).unwrap();
    report([&string(&encoder), "--tokens-in", "1,5,6,7", "-o", &string(&page), "--json"]);
    assert!(browser.open(&page, "attention").contains("data-ready=\"yes\""));

    let hostile = hostile_page(folder.path());
    for view in ["attention", "lens", "ablation"] {
        let dom = browser.open(&hostile, view);
        assert!(dom.contains("data-ready=\"yes\"") && !dom.contains("<img "), "{view}");
        assert!(dom.contains("<title>hostile"), "a token was executed");
    }
}
