//! Classification accuracy: folders and lists, counts, and refused lists.

mod common;
#[path = "common/directory.rs"]
mod directory;
#[path = "common/values.rs"]
mod values;

use std::path::Path;

use attoformer::Image;
use attoformer_tools::Error;
use attoformer_tools::engine::{OpenImage, Setup};
use attoformer_tools::eval::accuracy::{Examples, Input, Metrics, measure};
use attoformer_tools::eval::reference;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import;
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::classify::{labels, logits_of_text};
use directory::Directory;
use serde_json::json;

/// A text classifier with the labels no, yes and "so, so".
fn texts(class: &str) -> Directory {
    let config = json!({"model_type": "bert", "architectures": [class], "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 1,
        "num_attention_heads": 2, "vocab_size": 8, "max_position_embeddings": 12, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
        "hidden_act": "gelu", "id2label": {"0": "no", "1": "yes", "2": "so, so"}});
    let mut directory = Directory::new(config, &[]).text("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\nd\n");
    for (name, shape) in [("word_embeddings", [8, 8]), ("position_embeddings", [12, 8]), ("token_type_embeddings", [1, 8])] {
        directory = directory.tensor(&format!("bert.embeddings.{name}.weight"), &shape);
    }
    let parts: [(&str, &[usize]); 11] = [
        ("bert.embeddings.LayerNorm", &[8]),
        ("bert.encoder.layer.0.attention.self.query", &[8, 8]),
        ("bert.encoder.layer.0.attention.self.key", &[8, 8]),
        ("bert.encoder.layer.0.attention.self.value", &[8, 8]),
        ("bert.encoder.layer.0.attention.output.dense", &[8, 8]),
        ("bert.encoder.layer.0.attention.output.LayerNorm", &[8]),
        ("bert.encoder.layer.0.intermediate.dense", &[6, 8]),
        ("bert.encoder.layer.0.output.dense", &[8, 6]),
        ("bert.encoder.layer.0.output.LayerNorm", &[8]),
        ("bert.pooler.dense", &[8, 8]),
        ("classifier", &[3, 8]),
    ];
    let pooled = class.ends_with("SequenceClassification");
    for (name, shape) in parts.into_iter().filter(|(name, _)| pooled || !name.contains("pooler")) {
        directory = directory.tensor(&format!("{name}.weight"), shape).tensor(&format!("{name}.bias"), &shape[..1]);
    }
    directory
}

fn packed(directory: &Directory, weights: Format) -> AlignedBytes {
    pack(&directory.open().unwrap(), &Options { weights, ..Options::reference() }, &Progress::silent())
        .unwrap_or_else(|error| panic!("{error}"))
        .image
}

const LINES: [&str; 12] = ["a", "b", "c", "d", "a b", "b a c", "d d", "c d a", "b c", "a, a", "d \"b\"", "c c c b"];

/// The predictions of the image for each line, one text at a time.
fn taken(open: OpenImage) -> Vec<usize> {
    let likeliest = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    let all =
        |session: &mut attoformer::Session| Ok(LINES.iter().map(|line| likeliest(logits_of_text(session, line).unwrap().0)).collect());
    Setup::default().with_session(open, all).unwrap()
}

fn quoted(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

#[test]
fn results_are_counted_per_label() {
    let bytes = packed(&texts("BertForSequenceClassification"), Format::F32);
    let image = Image::new(&bytes).unwrap();
    let open = OpenImage { image: &image, path: Path::new("texts.atto") };
    let (names, taken) = (labels(&image).unwrap(), taken(open));
    // Every third line has another label than the predicted one.
    let given: Vec<usize> = taken.iter().enumerate().map(|(line, &label)| if line % 3 == 0 { (label + 1) % 3 } else { label }).collect();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.csv");
    let line = |(text, &label): (&&str, &usize)| format!("{},{}\n", quoted(text), quoted(&names[label]));
    std::fs::write(&list, "text,label\n".to_owned() + &LINES.iter().zip(&given).map(line).collect::<String>()).unwrap();
    let examples = Examples::of_list(&list, open).unwrap();
    assert_eq!(examples.list.len(), 12);
    assert!(matches!(&examples.list[10].input, Input::Text(text, place) if text == "d \"b\"" && place.starts_with("line 12 of ")));

    let of = |threads, other| measure(open, other, &Setup::default(), threads, &examples, &Progress::silent()).unwrap();
    let found = of(1, None);
    assert_eq!((found.correct, found.samples, found.skipped, found.accuracy), (8, 12, 0, 8.0 / 12.0));
    for (label, name) in names.iter().enumerate() {
        let count = |which: &dyn Fn(usize) -> bool| (0..12).filter(|&line| which(line)).count();
        let want = [
            count(&|line| given[line] == label),
            count(&|line| taken[line] == label && given[line] == label),
            count(&|line| taken[line] == label),
        ];
        let row = found.labels.iter().find(|row| row.label == *name);
        assert_eq!(row.map_or([0; 3], |row| [row.inputs, row.correct, row.predicted]), want, "{name}");
    }
    assert_eq!((found.reference_accuracy, found.agreement, found.largest_difference), (None, None, None));
    let itself = of(3, Some(open));
    assert_eq!((itself.reference_accuracy, itself.agreement, itself.largest_difference), (Some(8.0 / 12.0), Some(1.0), Some(0.0)));
    assert_eq!(Metrics { reference_accuracy: None, agreement: None, largest_difference: None, ..itself }, found);

    // Quantized weights against their source folder.
    let source = texts("BertForSequenceClassification");
    let model = source.write();
    source.write_weights(&model.path().join("model.safetensors"), |_| true);
    let (rounded, whole) = (packed(&source, Format::Int4 { group: 0 }), reference(model.path()).unwrap());
    let (rounded, whole) = (Image::new(&rounded).unwrap(), Image::new(&whole).unwrap());
    let (rounded, whole) = (OpenImage { image: &rounded, path: Path::new("int4.atto") }, OpenImage { image: &whole, path: model.path() });
    let found = measure(rounded, Some(whole), &Setup::default(), 2, &examples, &Progress::silent()).unwrap();
    assert_eq!(found.reference_accuracy, Some(8.0 / 12.0));
    assert!(found.largest_difference.unwrap() > 1e-3);
}

#[test]
fn folder_names_are_labels() {
    let bytes = packed(&texts("BertForSequenceClassification"), Format::F32);
    let image = Image::new(&bytes).unwrap();
    let open = OpenImage { image: &image, path: Path::new("texts.atto") };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("yes/one.txt", "a\nb\n\nc\n");
    write("no/two.txt", "d\n");
    write("no/notes.md", "nothing\n");
    write("perhaps/three.txt", "a\nb\n");
    write("no_4.txt", "a b\n");
    write(".hidden_4.txt", "a b\n");
    let found = Examples::of_folder(folder.path(), open).unwrap();
    let of = |label| found.list.iter().filter(|example| example.label == label).count();
    assert_eq!((of(0), of(1), of(2), found.skipped), (2, 3, 0, 2));

    let empty = tempfile::tempdir().unwrap();
    let said = Examples::of_folder(empty.path(), open).unwrap_err().to_string();
    assert!(said.contains("no input has a label of the model: no, yes, so, so"), "{said}");
    assert!(Examples::of_folder(Path::new("nowhere"), open).unwrap_err().to_string().contains("nowhere: no such file"));
}

#[test]
fn invalid_lists_are_refused_with_their_line() {
    let bytes = packed(&texts("BertForSequenceClassification"), Format::F32);
    let image = Image::new(&bytes).unwrap();
    let open = OpenImage { image: &image, path: Path::new("texts.atto") };
    let folder = tempfile::tempdir().unwrap();
    let (commas, tabs) = (folder.path().join("list.csv"), folder.path().join("list.tsv"));
    for (text, word) in [
        (&b"a,no\nb\n"[..], "line 2: it has 1 fields"),
        (b"a,no,more\n", "line 1: it has 3 fields; expected an input and its label, separated by a comma"),
        (b"a,no\n\nb,maybe\n", "line 3: the model has no label \"maybe\"; it has no, yes, so, so"),
        (b"a,no\nb\xff,yes\n", "line 2: the text is not UTF-8"),
        (b"text,label\n", "the list has no inputs"),
        (b"", "the file is empty"),
    ] {
        std::fs::write(&commas, text).unwrap();
        let said = Examples::of_list(&commas, open).unwrap_err().to_string();
        assert!(said.contains("list.csv: ") && said.contains(word) && said.lines().count() == 1, "{said}");
    }
    std::fs::write(&tabs, "a, b\tso, so\n").unwrap();
    let found = Examples::of_list(&tabs, open).unwrap();
    assert_eq!(found.list[0].label, 2);
    let tokens = packed(&texts("BertForTokenClassification"), Format::F32);
    let tokens = Image::new(&tokens).unwrap();
    let other: Result<_, Error> = Examples::of_list(&commas, OpenImage { image: &tokens, path: Path::new("tokens.atto") });
    assert!(other.unwrap_err().to_string().contains("tokens.atto: this model does not support classification"));
}

/// The published keyword model on clips labelled by their file names: the accuracy of its publisher's own program.
#[test]
fn keyword_accuracy_equals_that_of_the_published_model() {
    let (Some(model), Some(clips)) = (common::shared("models/kwt1"), common::shared("data/kws")) else { return };
    let bytes = pack(&import::open(&model, None).unwrap(), &Options::reference(), &Progress::silent()).unwrap().image;
    let image = Image::new(&bytes).unwrap();
    let open = OpenImage { image: &image, path: &model };
    let examples = Examples::of_folder(&clips, open).unwrap();
    let found = measure(open, None, &Setup::default(), 2, &examples, &Progress::silent()).unwrap();
    let expected: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&std::fs::read(model.join("expected.json")).unwrap()).unwrap();
    let names = labels(&image).unwrap();
    let right = expected.iter().filter(|(clip, row)| {
        let row: Vec<f64> = row.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
        let likeliest = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        clip.split('_').next() == Some(&*names[likeliest])
    });
    assert_eq!((found.correct, found.samples, found.skipped), (right.count(), 84, 1));
}
