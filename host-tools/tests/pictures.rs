//! Pictures are decoded like by Pillow and classified like by numpy (`pictures/make.py`), or refused in one line, without a panic or excessive memory.

#[path = "common/directory.rs"]
mod directory;
#[path = "common/values.rs"]
mod values;

use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer::frontend::pictures::{Filter, Pictures, Resize};
use attoformer_tools::engine::{OpenImage, Setup};
use attoformer_tools::import::Checkpoint;
use attoformer_tools::import::preprocess::pictures::Preprocessor;
use attoformer_tools::pack::{Calibration, Options, Packed, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use attoformer_tools::run::classify::logits_of_file;
use attoformer_tools::run::pictures::read;
use directory::Directory;
use serde_json::{Value, json};

const SIDE: usize = 12;
const PATCH: usize = 4;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)
}

fn cases() -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(file("expected.json")).unwrap()).unwrap()
}

/// The model of `make.py` with this preprocessor_config.json.
fn vit(processor: &Value) -> Checkpoint {
    let config = json!({"model_type": "vit", "hidden_size": 8, "intermediate_size": 10, "num_hidden_layers": 2, "num_attention_heads": 2,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12, "image_size": SIDE, "patch_size": PATCH, "num_channels": 3,
        "architectures": ["ViTForImageClassification"], "id2label": {"0": "cat", "1": "dog", "2": "owl"}});
    let mut directory = Directory::new(config, &[])
        .text("preprocessor_config.json", &processor.to_string())
        .tensor("vit.embeddings.cls_token", &[1, 1, 8])
        .tensor("vit.embeddings.position_embeddings", &[1, 10, 8])
        .tensor("vit.embeddings.patch_embeddings.projection.weight", &[8, 3, PATCH, PATCH])
        .tensor("vit.embeddings.patch_embeddings.projection.bias", &[8]);
    let mut with_bias = |name: &str, shape: &[usize]| {
        directory = directory.clone().tensor(&format!("{name}.weight"), shape).tensor(&format!("{name}.bias"), &shape[..1]);
    };
    for layer in 0..2 {
        let name = |rest: &str| format!("vit.encoder.layer.{layer}.{rest}");
        for part in ["attention.attention.query", "attention.attention.key", "attention.attention.value", "attention.output.dense"] {
            with_bias(&name(part), &[8, 8]);
        }
        with_bias(&name("intermediate.dense"), &[10, 8]);
        with_bias(&name("output.dense"), &[8, 10]);
        with_bias(&name("layernorm_before"), &[8]);
        with_bias(&name("layernorm_after"), &[8]);
    }
    with_bias("vit.layernorm", &[8]);
    with_bias("classifier", &[3, 8]);
    directory.open().unwrap()
}

fn packed(checkpoint: &Checkpoint, options: &Options) -> Result<Packed, String> {
    pack(checkpoint, options, &Progress::silent()).map_err(|error| error.to_string())
}

/// The values of the rows as levels from 0 to 255, in pixel order.
fn levels(rows: &[f32], pictures: &Pictures) -> Vec<f32> {
    let level = |at: usize| {
        let (y, x, channel) = (at / 3 / SIDE, at / 3 % SIDE, at % 3);
        let patch = y / PATCH * (SIDE / PATCH) + x / PATCH;
        let value = rows[((patch * 3 + channel) * PATCH + y % PATCH) * PATCH + x % PATCH];
        (value * pictures.deviation[channel] + pictures.mean[channel]) / pictures.scale
    };
    (0..SIDE * SIDE * 3).map(level).collect()
}

#[test]
fn pictures_match_pillow_and_numpy() {
    for case in cases() {
        let (name, processor) = (case["picture"].as_str().unwrap(), &case["processor"]);
        let bytes = packed(&vit(processor), &Options::reference()).unwrap().image;
        let image = Image::new(&bytes).unwrap();
        let pictures = image.pictures().unwrap();
        let hex = case["pixels"].as_str().unwrap();
        let want = (0..hex.len()).step_by(2).map(|at| f32::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()));
        let found = levels(&read(&file(name), &pictures).unwrap(), &pictures);
        assert_eq!(found.len(), want.len());
        let apart: Vec<f32> = found.iter().zip(want).map(|(found, want)| (found - want).abs()).collect();
        let (most, mean) = (apart.iter().copied().fold(0.0, f32::max), apart.iter().sum::<f32>() / apart.len() as f32);

        let subject = OpenImage { image: &image, path: Path::new("vit.atto") };
        let logits = Setup::default()
            .with_session(subject, |session| logits_of_file(session, subject, &file(name)).map(|(logits, _)| logits.to_vec()))
            .unwrap();
        let wanted = case["logits"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap());
        let error = logits.iter().zip(wanted).fold(0.0, |most: f64, (&found, want)| most.max((f64::from(found) - want).abs()));
        println!("{name}, filter {}: pixels off by {most:.2} at most, {mean:.3} in the mean; logits by {error:.1e}", processor["resample"]);
        // Pillow rounds to whole levels between the two passes of a resize, and JPEG decoders round differently.
        let exact = !["wide.png", "tall.png", "small.png", "photo.jpg"].contains(&name) || processor["resample"] == 0;
        assert!(if exact { most < 1e-3 } else { most < 3.01 && mean < 0.3 }, "{name}");
        assert!(error < if exact { 2e-5 } else { 0.15 }, "{name}");
    }
}

/// Without a folder of the user's, a model of pictures is packed uncalibrated.
#[test]
fn a_folder_of_pictures_calibrates() {
    let checkpoint = vit(&cases()[0]["processor"]);
    let with = |weights, calibration| packed(&checkpoint, &Options { weights, calibration, ..Options::reference() });
    for weights in [Format::Int8, Format::Int4 { group: 32 }] {
        let plain = with(weights, Calibration::Best).unwrap();
        assert_eq!((plain.calibration.as_str(), plain.measured_loss), ("none", None));
        // Its other files are not in the way.
        let own = with(weights, Calibration::Folder(file(""))).unwrap();
        assert_eq!(own.calibration, file("").to_string_lossy());
        assert!(own.measured_loss.is_some_and(|loss| loss.mean < 0.05), "{:?}", own.measured_loss);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("damaged.png"), "no picture").unwrap();
    let sentence = with(Format::Int8, Calibration::Folder(folder.path().to_owned())).map(|_| ()).unwrap_err();
    assert!(sentence.contains(&format!("the folder {} has no readable .png or .jpg file", folder.path().display())), "{sentence}");
}

/// A PNG with this header and these data bytes, valid or not.
fn png(width: u32, height: u32, depth: u8, colours: u8, data: &[u8]) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let named = [&kind[..], data].concat();
        let checksum = attoformer::image::checksum(&[&named]);
        [&(data.len() as u32).to_be_bytes()[..], &named, &checksum.to_be_bytes()].concat()
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colours, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", data), &chunk(b"IEND", b"")].concat()
}

fn pictures(processor: &Value) -> Pictures {
    serde_json::from_value::<Preprocessor>(processor.clone()).unwrap().pictures(12, 3, 4).unwrap()
}

fn refusal(bytes: &[u8], pictures: &Pictures) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.png");
    std::fs::write(&path, bytes).unwrap();
    let said = read(&path, pictures).expect_err("the file should be refused").to_string();
    assert!(said.contains("picture.png: ") && said.lines().count() == 1, "{said}");
    said
}

#[test]
fn damaged_pictures_are_refused() {
    let square = pictures(&json!({"size": 12}));
    for (bytes, word) in [
        (b"RIFF    WAVE".to_vec(), "neither a PNG nor a JPEG"),
        (b"GIF89a\x01\0\x01\0".to_vec(), "neither a PNG nor a JPEG"),
        (png(0, 12, 8, 0, b""), "damaged"),
        (png(12, 0, 8, 0, b""), "damaged"),
        (png(12, 12, 8, 0, b"not deflated"), "damaged"),
        (png(12, 12, 7, 0, b""), "damaged"),
        (png(12, 12, 8, 3, b""), "damaged"),
        (png(u32::MAX >> 1, u32::MAX >> 1, 16, 6, b""), "sides of more than 16384"),
        (png(16_384, 16_384, 1, 0, b""), "states 16384 x 16384 pixels"),
        (png(8_192, 8_192, 16, 6, b""), "too much memory"),
    ] {
        let said = refusal(&bytes, &square);
        assert!(said.contains(word), "{word}: {said}");
    }
    let whole = std::fs::read(file("wide.png")).unwrap();
    for end in (0..whole.len() - 12).step_by(37).filter(|&end| end > 0) {
        refusal(&whole[..end], &square);
    }
    let photo = std::fs::read(file("photo.jpg")).unwrap();
    for end in 1..photo.len() - 1 {
        refusal(&photo[..end], &square);
    }
}

/// Files with altered bytes are read or refused.
#[test]
fn altered_pictures_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.png");
    let edge = json!({"size": {"shortest_edge": 14}, "do_center_crop": true, "crop_size": 12});
    let (square, edge) = (pictures(&json!({"size": 12})), pictures(&edge));
    let mut numbers = 1u64;
    let mut below = |limit: usize| {
        numbers = numbers.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (numbers >> 33) as usize % limit
    };
    for name in ["wide.png", "palette.png", "deep.png", "photo.jpg"] {
        let whole = std::fs::read(file(name)).unwrap();
        let mut still_read = 0;
        for _ in 0..400 {
            let mut copy = whole.clone();
            for _ in 0..=below(4) {
                let at = below(copy.len());
                copy[at] = below(256) as u8;
            }
            copy.truncate(copy.len() - if below(4) == 0 { below(copy.len()) } else { 0 });
            std::fs::write(&path, &copy).unwrap();
            still_read += [&square, &edge].iter().filter(|pictures| read(&path, pictures).is_ok()).count();
        }
        println!("{name}: {still_read} of 800 are still read");
    }
}

#[test]
fn unusable_sizes_are_refused() {
    let small = std::fs::read(file("small.png")).unwrap();
    let kept = pictures(&json!({"do_resize": false}));
    assert!(refusal(&small, &kept).contains("it has 7 x 5 pixels, the model reads 12 x 12"));
    // One row of 16,384 pixels: resizing its shorter side multiplies the longer one.
    let edge = pictures(&json!({"size": {"shortest_edge": 1400}, "do_center_crop": true, "crop_size": 12}));
    let line = [&[0u8; 1][..], &[7; 2_048]].concat();
    let deflated = stored(&line);
    assert!(refusal(&png(16_384, 1, 1, 0, &deflated), &edge).contains("to 22937600 x 1400 exceeds the limit"));
    let own = Pictures { resize: Resize::To(16_384, 16_384), filter: Filter::Nearest, ..kept };
    assert!(refusal(&small, &own).contains("to 16384 x 16384 exceeds the limit"));
    assert_eq!(read(&file("exact.png"), &kept).unwrap().len(), 432);
}

/// A zlib stream of one uncompressed block.
fn stored(data: &[u8]) -> Vec<u8> {
    let size = data.len() as u16;
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), &byte| ((a + u32::from(byte)) % 65_521, (b + a + u32::from(byte)) % 65_521));
    [&[0x78, 1, 1][..], &size.to_le_bytes(), &(!size).to_le_bytes(), data, &(b << 16 | a).to_be_bytes()].concat()
}
