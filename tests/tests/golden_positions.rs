//! Positions as importers and the packer compute them agree with `tests/golden/positions.py`.

use attoformer::Image;
use attoformer::image::Role;
use attoformer::image::{Architecture, KvType, MaskKind, PositionKind};
use attoformer::internals::format::BIAS_SPAN;
use attoformer_tests::golden::{golden, list, number, numbers, whole};
use attoformer_tests::random_model::RandomModel;
use attoformer_tools::import::{SourceRole, rotary_frequencies};
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::report::progress::Progress;

#[test]
fn rotary_frequencies_are_su_s() {
    let mut compared = 0;
    for case in list(&golden()["positions"]["rotary"]).iter().filter(|case| case["scaling"].is_null()) {
        let want = numbers(&case["radians"]);
        let found = rotary_frequencies(number(&case["theta"]), whole(&case["dim"]));
        assert_eq!(found.len(), want.len());
        assert!(found.iter().zip(&want).all(|(found, want)| (found / want - 1.0).abs() < 1e-14), "{}", case["name"]);
        compared += 1;
    }
    assert_eq!(compared, 1);
}

/// The packer stores score biases by distance; here each bias is its bucket's number.
#[test]
fn distances_fall_into_t5_s_buckets() {
    let cases = golden()["positions"]["buckets"].clone();
    assert_eq!(list(&cases).len(), 4);
    for case in list(&cases) {
        let (small, buckets) = (RandomModel::small(), whole(&case["buckets"]));
        let mut config = attoformer::config! { positions: PositionKind::T5Relative, buckets, ..small.config };
        if case["both_sides"] == true {
            let [_, (_, encoder)] = RandomModel::encoders();
            config = attoformer::config! { architecture: Architecture::Encoder, mask: MaskKind::Bidirectional, pooling: encoder.config.pooling, ..config };
            config.tied_head = false;
        }
        let mut checkpoint = RandomModel { config, ..small }.checkpoint();
        let table = checkpoint.tensors.iter_mut().find(|tensor| tensor.role == SourceRole::ScoreBias).unwrap();
        table.data.edit(|values| values.iter_mut().enumerate().for_each(|(index, value)| *value = (index as u32 % buckets) as f32));
        let packed = pack(&checkpoint, &Options { kv: KvType::F32, ..Options::reference() }, &Progress::silent()).unwrap().image;
        let image = Image::new(&packed).unwrap();
        let entry = image.entry(Role::ScoreBias, 0).unwrap();
        let stored = image.bytes()[entry.values as usize..].chunks(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        let stored: Vec<f32> = stored.take((entry.rows * entry.columns) as usize).collect();
        let of_relative = list(&case["of_relative"]);
        let around = of_relative.len() / 2;
        for head in stored.chunks(2 * BIAS_SPAN + 1) {
            for (index, &bucket) in head.iter().enumerate() {
                assert_eq!(
                    bucket as u32,
                    whole(&of_relative[around - BIAS_SPAN + index]),
                    "{buckets}, {}",
                    index as i64 - BIAS_SPAN as i64
                );
            }
        }
        // Beyond the span the bucket is constant, so the last bias covers all larger distances.
        assert!(of_relative[..=around - BIAS_SPAN].iter().all(|bucket| bucket == &of_relative[0]));
        assert!(of_relative[around + BIAS_SPAN..].iter().all(|bucket| bucket == &of_relative[2 * around]));
    }
}

/// The tables of the random models, which no importer creates.
#[test]
fn slopes_and_sinusoids_are_the_published_ones() {
    let golden = golden();
    let small = RandomModel::small();
    for (heads, slopes) in golden["positions"]["slopes"].as_object().unwrap() {
        let heads = heads.parse().unwrap();
        let config = attoformer::config! { positions: PositionKind::Alibi, heads, kv_heads: 1, ..small.config };
        let checkpoint = RandomModel { config, ..small }.checkpoint();
        let found = checkpoint.tensor(SourceRole::ScoreBias, None).unwrap().values();
        let want: Vec<f32> = numbers(slopes).into_iter().map(|slope| slope as f32).collect();
        assert_eq!(*found, want, "{heads} heads");
    }
    for table in list(&golden["positions"]["sinusoids"]) {
        let d_model = whole(&table["d_model"]);
        let config = attoformer::config! { positions: PositionKind::LearnedAbsolute, d_model, context: 512, ..small.config };
        let checkpoint = RandomModel { config, sinusoidal: true, ..small }.checkpoint();
        let values = checkpoint.tensor(SourceRole::Positions, None).unwrap().values();
        let rows: Vec<&[f32]> = values.chunks(d_model as usize).collect();
        for (position, want) in [0, 1, 7, 511].into_iter().zip(list(&table["rows"])) {
            let near = rows[position].iter().zip(numbers(want)).all(|(&x, want)| (x as f64 - want).abs() < 1e-7);
            assert!(near, "{d_model} columns, position {position}");
        }
    }
}
