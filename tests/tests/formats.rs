//! Formats chosen under a budget: sizes are known before packing, and more room never loses more.

use attoformer::Image;
use attoformer::image::{Dtype, InputStem};
use attoformer_tests::random_model::{PIECES, RandomModel, families};
use attoformer_tools::import::{self, Checkpoint};
use attoformer_tools::pack::formats::{Chooser, Sensitivity, file};
use attoformer_tools::pack::layout::Target;
use attoformer_tools::pack::{Calibration, Options, Packed, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;

fn options() -> Options {
    Options {
        weights: Format::Int4 { group: 32 },
        kv: attoformer::image::KvType::Int8,
        calibration: Calibration::Best,
        ..Options::reference()
    }
}

/// Options for a random model, whose small vocabulary reads only a text of its own words.
fn options_of_random() -> Options {
    let word = |index: usize| PIECES[15 + (index * index / 3 + index / 5) % 12].trim();
    let line = |line: usize| (0..8).map(|index| word(8 * line + index)).collect::<Vec<&str>>().join(" ");
    let text = (0..96).map(line).collect::<Vec<String>>().join("\n");
    Options { calibration: Calibration::Text("words".into(), text), ..options() }
}

/// Models that read tokens and have a tokenizer.
fn readers() -> impl Iterator<Item = (&'static str, Checkpoint)> {
    let reads = |model: &RandomModel| model.config.input_stem == InputStem::Tokens;
    let all = families().into_iter().filter(move |(_, model)| reads(model)).map(|(name, model)| (name, model.checkpoint()));
    all.filter(|(_, checkpoint)| checkpoint.tokenizer.is_some())
}

/// Loss of chosen formats by the measure that they are chosen by.
fn loss(sensitivity: &Sensitivity, chosen: &[(String, Format)]) -> f64 {
    let of = |(name, format): &(String, Format)| {
        let row = sensitivity.0.iter().find(|row| row.name == *name && row.format == format.to_string());
        row.map_or(0.0, |row| row.loss)
    };
    chosen.iter().map(of).sum()
}

/// An image has the stated size; only input factors that it does not need may be missing.
fn assert_size(packed: &Packed, stated: u64, name: &str) {
    let image = Image::new(&packed.image).unwrap();
    let without = image.entries().filter(|entry| entry.in_scale == 0 && matches!(entry.dtype, Dtype::Int8 | Dtype::Int4));
    let columns: Vec<u64> = without.map(|entry| 4 * u64::from(entry.columns)).collect();
    let missing = stated.checked_sub(packed.image.len() as u64).unwrap_or_else(|| panic!("{name}: larger than {stated}"));
    assert!(missing == 0 || missing >= 4 && missing <= columns.iter().sum::<u64>() + 64, "{name}: {missing} bytes less than {stated}");
}

#[test]
fn sizes_are_known_in_every_family() {
    for (name, checkpoint) in readers() {
        for target in [Target::Portable, Target::CortexMDsp] {
            let options = Options { target, ..options_of_random() };
            let mut chooser = Chooser::new(&checkpoint, &options).unwrap();
            let least = chooser.smallest_bytes();
            for budget in [least, u64::MAX] {
                let choice = chooser.for_budget(budget).unwrap();
                let packed = chooser.pack(&choice, &Progress::silent()).unwrap();
                assert_size(&packed, choice.bytes, &format!("{name}, {budget}"));
            }
            if target == Target::Portable {
                let most = chooser.for_budget(u64::MAX).unwrap().bytes;
                let choice = chooser.for_budget((least + most) / 2).unwrap();
                let packed = chooser.pack(&choice, &Progress::silent()).unwrap();
                assert_size(&packed, choice.bytes, name);
                assert!(choice.bytes <= (least + most) / 2, "{name}");
            }
        }
    }
}

#[test]
fn sizes_are_exact_without_calibration() {
    for (name, model) in families() {
        let checkpoint = model.checkpoint();
        let options = Options { calibration: Calibration::None, ..options() };
        let mut chooser = Chooser::new(&checkpoint, &options).unwrap();
        let choice = chooser.for_budget(u64::MAX).unwrap();
        let packed = chooser.pack(&choice, &Progress::silent()).unwrap();
        assert_eq!(packed.image.len() as u64, choice.bytes, "{name}");
    }
}

#[test]
fn losses_are_finite_and_int4_loses_more() {
    for (name, checkpoint) in readers() {
        let options = options_of_random();
        let sensitivity = Chooser::new(&checkpoint, &options).unwrap().sensitivity().unwrap();
        let sum = |format: &str| sensitivity.0.iter().filter(|row| row.format == format).map(|row| row.loss).sum::<f64>();
        assert!(sensitivity.0.iter().all(|row| row.loss.is_finite() && row.loss >= -1e-9 && row.bytes > 0), "{name}: {sensitivity}");
        assert!(sum("int4:32") > sum("int8"), "{name}: {sensitivity}");
    }
}

fn tales() -> Checkpoint {
    import::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tales/model.bin").as_ref(), None).unwrap()
}

#[test]
fn more_room_never_loses_more() {
    let checkpoint = tales();
    let options = options();
    let mut chooser = Chooser::new(&checkpoint, &options).unwrap();
    let sensitivity = chooser.sensitivity().unwrap();
    let least = chooser.smallest_bytes();
    let most = chooser.for_budget(u64::MAX).unwrap().bytes;
    let mut last = f64::INFINITY;
    for step in 0..=24 {
        let budget = least + (most - least) * step / 24;
        let choice = chooser.for_budget(budget).unwrap();
        assert!(choice.bytes <= budget);
        let loss = loss(&sensitivity, &choice.tensors().collect::<Vec<_>>());
        assert!(loss <= last * (1.0 + 1e-9), "{budget}: {loss} after {last}");
        last = loss;
    }
}

#[test]
fn a_file_of_formats_is_replayed() {
    let checkpoint = tales();
    let options = options();
    let mut chooser = Chooser::new(&checkpoint, &options).unwrap();
    let (least, most) = (chooser.smallest_bytes(), chooser.for_budget(u64::MAX).unwrap().bytes);
    let choice = chooser.for_budget((least + most) / 2).unwrap();
    let packed = chooser.pack(&choice, &Progress::silent()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("formats.toml");
    std::fs::write(&path, file::text(choice.tensors())).unwrap();
    let overrides = file::read(&path, &checkpoint).unwrap();
    let replayed = pack(&checkpoint, &Options { weights: Format::Int8, overrides, ..options }, &Progress::silent()).unwrap();
    assert_eq!(replayed.image[..], packed.image[..]);

    for (text, part) in [
        ("embedding = \"int8\"\nlayers.9.qkv = \"int4\"", "line 2: the model has no tensor layers.9.qkv"),
        ("embedding = \"int5\"", "line 1: embedding has no format"),
        ("\n\nembedding = 4", "line 3: embedding has no format"),
        ("final_norm = \"int8\"", "line 1: final_norm is always f32"),
        ("a\n", "line 1"),
        ("[layers.0]\nqkv = \"f16\"\nattn = \"f16\"", "line 3: the model has no tensor layers.0.attn"),
    ] {
        std::fs::write(&path, text).unwrap();
        let sentence = file::read(&path, &checkpoint).unwrap_err().to_string();
        assert!(sentence.contains("formats.toml: ") && sentence.contains(part), "{text:?}: {sentence}");
    }
    std::fs::write(&path, "\"layers.*.qkv\" = \"int4:64\"\nlayers.1.qkv = \"f16\"\n").unwrap();
    let read = file::read(&path, &checkpoint).unwrap();
    assert_eq!(read, [("layers.*.qkv".to_owned(), Format::Int4 { group: 64 }), ("layers.1.qkv".to_owned(), Format::F16)]);
}

#[test]
fn a_loss_is_reached_with_fewer_bytes() {
    let checkpoint = tales();
    let options = options();
    let mut chooser = Chooser::new(&checkpoint, &options).unwrap();
    let most = chooser.for_budget(u64::MAX).unwrap();
    let int8 = chooser.pack(&most, &Progress::silent()).unwrap().measured_loss.unwrap().mean;
    let reached = chooser.for_loss(4.0 * int8).unwrap();
    assert!(reached.loss <= 4.0 * int8 && reached.choice.bytes < most.bytes);
    assert_size(&reached.packed, reached.choice.bytes, "tales");
    let Err(refused) = chooser.for_loss(1e-9) else { panic!("no image is that good") };
    assert!(refused.to_string().contains("no int8 image reaches a loss of 0.000000001"), "{refused}");
}

#[test]
fn budgets_beyond_the_smallest_and_the_largest_image() {
    let checkpoint = tales();
    let options = options();
    let mut chooser = Chooser::new(&checkpoint, &options).unwrap();
    let (least, most) = (chooser.smallest_bytes(), chooser.for_budget(u64::MAX).unwrap());
    assert!(most.is_largest);
    let plain = pack(&checkpoint, &Options { weights: Format::Int8, ..options.clone() }, &Progress::silent()).unwrap();
    assert_eq!(chooser.pack(&most, &Progress::silent()).unwrap().image[..], plain.image[..]);
    let sentence = chooser.for_budget(least - 1).unwrap_err().to_string();
    assert!(
        sentence
            .contains(&format!("with int4:32 wherever possible, takes {least} bytes of flash, 1 more than the budget of {}; ", least - 1)),
        "{sentence}"
    );
    // The image that the sentence names is the smallest one.
    let row: u64 = sentence.rsplit(' ').next().unwrap().parse().unwrap();
    let options = Options { weights: Format::Int4 { group: 0 }, ..options };
    let mut chooser = Chooser::new(&checkpoint, &options).unwrap();
    assert_eq!(chooser.smallest_bytes(), row);
    let sentence = chooser.for_budget(row - 1).unwrap_err().to_string();
    assert!(
        sentence.ends_with(&format!("with int4:row wherever possible, takes {row} bytes of flash, 1 more than the budget of {}", row - 1)),
        "{sentence}"
    );
}

#[test]
fn a_model_without_samples_is_refused() {
    let checkpoint = tales();
    let options = Options { calibration: Calibration::None, ..options() };
    let mut chooser = Chooser::new(&checkpoint, &options).unwrap();
    for sentence in [chooser.sensitivity().unwrap_err().to_string(), {
        let least = chooser.smallest_bytes();
        chooser.for_budget(least + 1000).unwrap_err().to_string()
    }] {
        assert!(sentence.contains("model.bin: ") && sentence.contains("--calibrate"), "{sentence}");
    }
    // Without a folder of the user's, a model of sounds has no samples.
    let (_, whisper) = families().into_iter().find(|(name, _)| *name == "whisper").unwrap();
    let sentence = Chooser::new(&whisper.checkpoint(), &self::options()).unwrap().sensitivity().unwrap_err().to_string();
    assert!(sentence.contains("a folder for a model of sounds"), "{sentence}");
}

#[test]
fn a_choice_is_a_line_for_each_role() {
    let checkpoint = tales();
    let overrides = vec![("layers.0.qkv".to_owned(), Format::F16)];
    let options = Options { overrides, ..options() };
    let mut chooser = Chooser::new(&checkpoint, &options).unwrap();
    let (least, most) = (chooser.smallest_bytes(), chooser.for_budget(u64::MAX).unwrap());
    assert!(most.to_string().contains("\nqkv: f16 in layers 0; int8 in layers 1-"), "{most}");
    let choice = chooser.for_budget((least + most.bytes) / 2).unwrap();
    let lines = choice.to_string();
    assert!(lines.contains("int4:32 in layers ") && lines.contains("f16 in layers 0"), "{lines}");
}
