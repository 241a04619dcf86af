//! A key offset changes no attention weight beyond the rounding of the keys, and makes that rounding finer.

use std::collections::BTreeMap;

use attoformer::image::{Config, InputStem, KvType, MaskKind, PositionKind, Role};
use attoformer::probe::{HeadSite, Part, Site};
use attoformer::{Image, Plan, Probe, Session, arena_bytes};
use attoformer_tests::random_model::{RandomModel, offset_keys};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::{Checkpoint, SourceRole};
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;

const TOKENS: usize = 20;

/// Attention weights by layer, head and query position, as shares by key position; inputs of the query projection and keys by layer and position.
#[derive(Default)]
struct Recorder {
    attention: BTreeMap<(u32, usize, usize), Vec<(usize, f64)>>,
    inputs: BTreeMap<(u32, usize), Vec<f64>>,
    keys: BTreeMap<(u32, usize), Vec<f64>>,
}

impl Probe for Recorder {
    fn rows(&mut self, site: Site, _: usize, rows: &mut [f32]) {
        if site.part == Part::Keys {
            self.keys.insert((site.layer, site.start), rows.iter().map(|&x| f64::from(x)).collect());
        }
    }

    fn input(&mut self, site: Site, width: usize, rows: &[f32]) {
        if site.part == Part::Input(Role::Qkv) {
            for (row, position) in rows.chunks(width).zip(site.start..) {
                self.inputs.insert((site.layer, position), row.iter().map(|&x| f64::from(x)).collect());
            }
        }
    }

    fn wants_attention(&self) -> bool {
        true
    }

    fn attention(&mut self, site: HeadSite, weights: impl Iterator<Item = (usize, u32)>) {
        let weights: Vec<(usize, u32)> = weights.collect();
        let sum: f64 = weights.iter().map(|&(_, weight)| f64::from(weight)).sum();
        let shares = weights.into_iter().map(|(key, weight)| (key, f64::from(weight) / sum)).collect();
        self.attention.insert((site.layer, site.head, site.position), shares);
    }
}

fn packed(checkpoint: &Checkpoint, kv: KvType) -> AlignedBytes {
    pack(checkpoint, &Options { weights: Format::F32, kv, ..Options::reference() }, &Progress::silent()).expect("it can be packed").image
}

/// Runs a whole sequence: in an encoder, in a decoder, or in both.
fn record(image: &[u8]) -> Recorder {
    let image = Image::new(image).unwrap();
    let config = *image.config();
    let mut arena = AlignedBytes::zeroed(arena_bytes(&config, Plan::packed(&config)));
    let mut session = Session::new(&image, &mut arena).unwrap();
    let tokens: Vec<u32> = (0..TOKENS as u32).map(|index| 3 + index * 37 % (config.vocab - 3)).collect();
    let mut recorder = Recorder::default();
    if config.has_encoder() {
        assert_eq!(config.input_stem, InputStem::Tokens);
        session.encode_probed(&tokens, &mut recorder).unwrap();
    }
    if config.output_dim(1) == u64::from(config.vocab) {
        session.prefill_probed(&tokens, &mut recorder).unwrap();
    }
    recorder
}

/// The same checkpoint without its key offsets.
fn without_offset(checkpoint: &Checkpoint) -> Checkpoint {
    let mut plain = checkpoint.clone();
    plain.config = attoformer::config! { key_offset: false, ..plain.config };
    plain.tensors.retain(|tensor| tensor.role != SourceRole::KeyOffset);
    plain
}

/// Largest difference of two runs' attention weights in the first layer, whose inputs are the same.
fn deviation(a: &Recorder, b: &Recorder) -> f64 {
    let first = |recorder: &Recorder| {
        recorder.attention.iter().filter(|((layer, ..), _)| *layer == 0).map(|(_, row)| row.clone()).collect::<Vec<_>>()
    };
    let (a, b) = (first(a), first(b));
    assert!(!a.is_empty() && a.len() == b.len());
    let pairs = a.into_iter().flatten().zip(b.into_iter().flatten());
    pairs
        .map(|((key, weight), (other_key, other))| {
            assert_eq!(key, other_key);
            (weight - other).abs()
        })
        .fold(0.0, f64::max)
}

#[test]
fn attention_of_every_kind_stays_the_same() {
    for (name, model) in offset_keys() {
        let checkpoint = model.checkpoint();
        let exact = record(&packed(&checkpoint, KvType::F32));
        let offset = record(&packed(&checkpoint, KvType::Int8));
        let plain = record(&packed(&without_offset(&checkpoint), KvType::Int8));
        let (offset, plain) = (deviation(&offset, &exact), deviation(&plain, &exact));
        println!("{name}: {offset:.5} with random offsets, {plain:.5} without");
        // The random offsets make the keys up to four times as large, and so their rounding errors. The second bound keeps the first from being
        // empty; a wrong mask or position moves a weight by more. `attention_is_that_of_f64...` has the bounds that follow from the arithmetic.
        assert!(offset < 4.0 * plain && plain < 0.03, "{name}: {offset} with offsets, {plain} without");
    }
}

/// Queries by head, in f64: the projection of a recorded input, rotated.
fn queries(checkpoint: &Checkpoint, input: &[f64], (layer, position): (u32, usize)) -> Vec<Vec<f64>> {
    let config = &checkpoint.config;
    let weights = checkpoint.tensor(SourceRole::Query, Some(layer)).expect("the query projection");
    let values = weights.values();
    let rows = values.chunks(weights.columns);
    let query: Vec<f64> = rows.map(|row| row.iter().zip(input).map(|(&w, &x)| f64::from(w) * x).sum()).collect();
    let rotated = |head: &[f64]| {
        let pairs = head.chunks(2).zip(&checkpoint.rotary);
        pairs
            .flat_map(|(pair, &frequency)| {
                let (sin, cos) = (frequency * position as f64).sin_cos();
                [pair[0] * cos - pair[1] * sin, pair[0] * sin + pair[1] * cos]
            })
            .collect()
    };
    query.chunks(config.head_dim as usize).map(rotated).collect()
}

/// Each attention weight is within the error that rounding keys to 8 and queries to 12 bits permits, of f64's softmax over the keys as they are
/// without an offset.
#[test]
fn attention_is_that_of_f64_within_the_rounding_of_the_keys() {
    let (_, model) = offset_keys()[0];
    let checkpoint = model.checkpoint();
    let config: Config = attoformer::config! { kv: KvType::Int8, ..checkpoint.config };
    assert!(config.mask == MaskKind::Causal && config.positions == PositionKind::Rotary && config.heads > config.kv_heads);
    let run = record(&packed(&checkpoint, KvType::Int8));
    let (width, scale) = (config.head_dim as usize, 1.0 / f64::from(config.head_dim).sqrt());
    let mut checked = 0;
    for (&(layer, head, position), weights) in &run.attention {
        let offset = &checkpoint.tensor(SourceRole::KeyOffset, Some(layer)).expect("the layer's offset").values();
        let query = &queries(&checkpoint, &run.inputs[&(layer, position)], (layer, position))[head];
        let largest_query = query.iter().fold(0f64, |max, q| max.max(q.abs()));
        let first = head / (config.heads / config.kv_heads) as usize * width;
        let mut error = 0f64;
        let scores: Vec<f64> = (0..=position)
            .map(|key| {
                let row = &run.keys[&(layer, key)];
                let stored: Vec<f64> = row.iter().zip(offset.iter()).map(|(k, &c)| k - f64::from(c)).collect();
                let largest_key = stored.iter().fold(0f64, |max, k| max.max(k.abs()));
                let of_key: f64 = query.iter().map(|q| q.abs() * largest_key / 254.0).sum();
                let of_query: f64 = stored[first..first + width].iter().map(|k| k.abs() * largest_query / 2048.0).sum();
                error = error.max(1.01 * scale * (of_key + of_query) + 1e-4);
                query.iter().zip(&row[first..]).map(|(q, k)| q * k).sum::<f64>() * scale
            })
            .collect();
        let largest = scores.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
        for (&(key, weight), score) in weights.iter().zip(&scores) {
            let exact = (score - largest).exp() / sum;
            let allowed = exact * ((2.0 * error).exp() - 1.0) + 2f64.powi(-15);
            assert!(
                (weight - exact).abs() <= allowed,
                "layer {layer}, head {head}, {position} to {key}: {weight} instead of {exact} ± {allowed}"
            );
            checked += 1;
        }
    }
    assert_eq!(checked, config.layers as usize * config.heads as usize * TOKENS * (TOKENS + 1) / 2);
}

/// Keys with a large constant part lose most of their precision in eight bits; an offset gives it back.
#[test]
fn an_offset_makes_large_constant_keys_precise() {
    let small = RandomModel::small();
    let config = attoformer::config! { positions: PositionKind::None, key_offset: true, ..small.config };
    let mut checkpoint = RandomModel { config, bias: true, ..small }.checkpoint();
    for tensor in &mut checkpoint.tensors {
        match tensor.role {
            SourceRole::Key => tensor.bias = Some(vec![40.0; tensor.rows]),
            SourceRole::KeyOffset => tensor.data.edit(|values| values.fill(40.0)),
            _ => {}
        }
    }
    let exact = record(&packed(&checkpoint, KvType::F32));
    let offset = deviation(&record(&packed(&checkpoint, KvType::Int8)), &exact);
    let plain = deviation(&record(&packed(&without_offset(&checkpoint), KvType::Int8)), &exact);
    println!("{offset:.6} with the offset, {plain:.6} without");
    assert!(offset * 4.0 < plain, "{offset} with the offset, {plain} without");
}
