//! Packed images: the engine reads back what was packed, and files are written atomically.

mod common;

use std::path::Path;

use attoformer::Image;
use attoformer::image::KvType;
use attoformer::image::{Dtype, Layout, Role};
use attoformer_tools::import::{self, Checkpoint, SourceRole};
use attoformer_tools::pack::layout::Target;
use attoformer_tools::pack::{self, Options, Packed};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use common::Tiny;

fn options(weights: &str, kv: KvType) -> Options {
    Options { weights: weights.parse().unwrap(), kv, ..Options::reference() }
}

fn tiny() -> Checkpoint {
    import::open(&Tiny::new().source(), None).unwrap()
}

fn pack(checkpoint: &Checkpoint, options: &Options) -> Result<Packed, String> {
    pack::pack(checkpoint, options, &Progress::silent()).map_err(|error| error.to_string())
}

#[test]
fn every_format_is_accepted_by_the_engine_and_repeats() {
    let checkpoint = tiny();
    for weights in ["f32", "f16", "int8", "int4:32", "int4:64", "int4:128", "int4:row"] {
        for kv in [KvType::F32, KvType::F16, KvType::Int8] {
            let options = options(weights, kv);
            let first = pack(&checkpoint, &options).unwrap();
            let image = Image::new(&first.image).unwrap();
            assert_eq!(*image.config(), attoformer::config! { kv, ..checkpoint.config });
            assert_eq!(&first.image[..], &pack(&checkpoint, &options).unwrap().image[..], "{weights} {kv:?}");
        }
    }
}

#[test]
fn a_layout_changes_no_bit_of_the_output() {
    let checkpoint = tiny();
    for weights in ["int8", "int4:32", "int4:row"] {
        let portable = options(weights, KvType::Int8);
        let dsp = Options { target: Target::CortexMDsp, ..portable.clone() };
        let [portable, dsp] = [portable, dsp].map(|options| pack(&checkpoint, &options).unwrap().image);
        let [portable, dsp] = [&portable, &dsp].map(|image| Image::new(image).unwrap());
        assert_eq!(dsp.entry(Role::Qkv, 0).unwrap().layout, Layout::CortexMDsp);
        assert_eq!(dsp.golden(), portable.golden(), "{weights}");
    }
}

#[test]
fn projections_are_fused_in_order() {
    let checkpoint = tiny();
    let packed = pack(&checkpoint, &options("f32", KvType::F32)).unwrap();
    let image = Image::new(&packed.image).unwrap();
    let entry = image.entry(Role::Qkv, 1).unwrap();
    let (start, size) = (entry.values as usize, entry.value_bytes() as usize);
    let stored: Vec<f32> = image.bytes()[start..start + size].as_chunks().0.iter().map(|&word| f32::from_le_bytes(word)).collect();
    let parts =
        [SourceRole::Query, SourceRole::Key, SourceRole::Value].map(|part| checkpoint.tensor(part, Some(1)).unwrap().values().into_owned());
    assert_eq!(stored, parts.concat());
    assert_eq!((entry.rows, entry.columns), (2 * common::DIM as u32, common::DIM as u32));
}

#[test]
fn int4_rows_are_padded_and_their_nibbles_in_order() {
    let checkpoint = tiny();
    let packed = pack(&checkpoint, &options("int4:32", KvType::Int8)).unwrap();
    let image = Image::new(&packed.image).unwrap();
    let entry = image.entry(Role::MlpDown, 0).unwrap();
    // 35 columns: 18 bytes of nibbles in rows of 20, two groups.
    assert_eq!((entry.row_bytes(), entry.group, entry.columns), (20, 32, 35));
    let at = |offset: u32, index: usize| image.bytes()[offset as usize + index];
    let original = checkpoint.tensor(SourceRole::Down, Some(0)).unwrap().values();
    let scale = |row: usize| f32::from_le_bytes(std::array::from_fn(|byte| at(entry.scales, 4 * row + byte)));
    for row in 0..entry.rows as usize {
        for column in 0..35 {
            let byte = at(entry.values, row * 20 + column / 2);
            let nibble = if column % 2 == 0 { byte << 4 } else { byte & 0xf0 } as i8 >> 4;
            let group = at(entry.group_scales, row * 2 + column / 32);
            let value = (nibble as i32 * group as i8 as i32) as f32 * scale(row);
            // Half a step of the largest group scale, or a clipped value.
            assert!((value - original[row * 35 + column]).abs() < 0.3, "{row} {column}");
        }
        assert_eq!(at(entry.values, row * 20 + 17) & 0xf0, 0);
        assert_eq!((at(entry.values, row * 20 + 18), at(entry.values, row * 20 + 19)), (0, 0));
    }
}

#[test]
fn a_tensor_may_have_a_format_of_its_own() {
    let checkpoint = tiny();
    let exceptions = [("embedding", "f16"), ("layers.*.mlp_down", "int4:row"), ("layers.1.mlp_down", "f32")];
    let overrides = exceptions.map(|(name, format)| (name.to_owned(), format.parse().unwrap())).to_vec();
    let packed = pack(&checkpoint, &Options { overrides, ..options("int8", KvType::Int8) }).unwrap();
    let image = Image::new(&packed.image).unwrap();
    let dtype = |role, layer| image.entry(role, layer).unwrap().dtype;
    assert_eq!(dtype(Role::Embedding, 0), Dtype::F16);
    assert_eq!(dtype(Role::MlpDown, 0), Dtype::Int4);
    assert_eq!(dtype(Role::MlpDown, 1), Dtype::F32);
    assert_eq!(dtype(Role::Qkv, 1), Dtype::Int8);
}

#[test]
fn invalid_options_are_refused() {
    let checkpoint = tiny();
    let with = |name: &str, format| Options { overrides: vec![(name.to_owned(), format)], ..Options::reference() };
    let refused = |options: &Options| pack(&checkpoint, options).map(|_| ()).unwrap_err();
    assert!(refused(&with("layers.7.qkv", Format::F16)).contains("no tensor layers.7.qkv"));
    assert!(refused(&with("final_norm", Format::Int8)).contains("always f32"));
    for context in [0, common::CONTEXT as u32 + 1] {
        let sentence = refused(&Options { context: Some(context), ..Options::reference() });
        assert!(sentence.contains("the model was trained for 1 to 20"), "{sentence}");
    }
    assert!("rv32".parse::<Target>().unwrap_err().to_string().contains("use portable or cortex-m-dsp"));
}

#[test]
fn inconsistent_checkpoints_are_refused() {
    let mut checkpoint = tiny();
    checkpoint.tensors.retain(|tensor| tensor.role != SourceRole::Key || tensor.layer != Some(1));
    let sentence = pack(&checkpoint, &Options::reference()).map(|_| ()).unwrap_err();
    assert!(sentence.ends_with("tiny.bin: the weight Key of layers.1.qkv is missing"), "{sentence}");
    let mut checkpoint = tiny();
    checkpoint.config.d_hidden += 1;
    assert!(pack(&checkpoint, &Options::reference()).map(|_| ()).unwrap_err().contains("the shape of layers.0.mlp_up"));
    let mut checkpoint = tiny();
    checkpoint.config.heads = 70_000;
    assert!(pack(&checkpoint, &Options::reference()).map(|_| ()).unwrap_err().contains("does not support this model's shape"));
}

#[test]
fn the_flash_budget_is_enforced() {
    let packed = pack(&tiny(), &Options::reference()).unwrap();
    let size = packed.image.len() as u64;
    assert!(pack::check_budget(Path::new("x"), &packed, Some(size)).is_ok());
    let sentence = pack::check_budget(Path::new("x"), &packed, Some(size - 1)).unwrap_err().to_string();
    assert!(sentence.contains("1 more than the budget"), "{sentence}");
}

#[test]
fn the_rotary_table_matches_its_definition() {
    let packed = pack(&tiny(), &Options::reference()).unwrap();
    let image = Image::new(&packed.image).unwrap();
    let table: Vec<u64> = image.section(5).as_chunks().0.iter().map(|&word| u64::from_le_bytes(word)).collect();
    // 10000^(-2i/6) / 2 pi turns; digits computed with `bc`.
    let turns = [0.159_154_943_091_895_34, 0.007_387_318_066_696_19, 0.000_342_888_930_487_23];
    assert_eq!(table.len(), turns.len());
    for (found, turns) in table.iter().zip(turns) {
        assert!((*found as f64 / 2_f64.powi(64) / turns - 1.0).abs() < 1e-12);
    }
}

#[test]
fn the_tokenizer_survives_packing() {
    let packed = pack(&tiny(), &Options::reference()).unwrap();
    let image = Image::new(&packed.image).unwrap();
    let tokenizer = image.tokenizer().unwrap();
    let mut tokens = [0; 8];
    let count = tokenizer.encode("abc", &mut tokens).unwrap();
    // The prepended space, then `ab` from the only merge, then `c`.
    assert_eq!(&tokens[..count], [259, 282, 262]);
}

#[test]
fn a_failed_write_leaves_no_file() {
    let tiny = Tiny::new();
    let packed = pack(&import::open(&tiny.source(), None).unwrap(), &Options::reference()).unwrap();
    let before = tiny.files();
    std::fs::create_dir(tiny.path("folder")).unwrap();
    assert!(pack::write(&tiny.path("folder"), &packed).unwrap_err().to_string().contains("directory"));
    assert!(pack::write(&tiny.path("nowhere/x.atto"), &packed).unwrap_err().to_string().contains("no such"));
    std::fs::remove_dir(tiny.path("folder")).unwrap();
    assert_eq!(tiny.files(), before);
    pack::write(&tiny.path("x.atto"), &packed).unwrap();
    assert_eq!(std::fs::read(tiny.path("x.atto")).unwrap(), packed.image[..]);
}
