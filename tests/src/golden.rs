//! `tests/golden/golden.json`: values of an independent implementation, written from the papers in Python and float64, and the models that they belong
//! to.

use std::ops::RangeInclusive;

use attoformer::image::{
    Activation, Architecture, AttentionKind, Classifier, Config, InputStem, KvType, MaskKind, NormKind, NormPlacement, Pooler, Pooling,
    PositionKind,
};
use attoformer::{Image, Plan, Session, arena_bytes};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::{Checkpoint, SourceRole, Tensor};
use attoformer_tools::pack::{Options, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use serde_json::Value;

use crate::random_model::{RandomModel, feature_rows};

/// Names of shapes that the engine does not support yet; their golden values are already recorded.
pub const WAITING: [&str; 0] = [];

/// Allowed differences of the formats. f32 with f32 keys is the model itself, so only rounding and the fixed-point exponential's 2^-22 remain. Narrow
/// formats stay close to it; their lower bounds show that they are in effect (linear attention has no int8 keys). The models are tiny, so little
/// averages out.
pub const FORMATS: [(Format, KvType, RangeInclusive<f64>); 4] = [
    (Format::F32, KvType::F32, 0.0..=1e-5),
    (Format::F32, KvType::Int8, 0.0..=0.1),
    (Format::F16, KvType::F16, 1e-5..=0.01),
    (Format::Int8, KvType::Int8, 1e-3..=0.15),
];

/// Shapes that amplify rounding more than the others: narrow formats may differ by 1.7 times as much. Rounding the reference's own weights and
/// activations to eight bits changes these by 0.17 to 0.25 too.
const SENSITIVE: [&str; 4] = [
    "convolutions, silu, rotary, every row classified",
    "rotary in both stacks, shared keys",
    "sandwich, the attention across with one norm",
    "width 7, heads of 2, one layer each",
];

/// Parses the whole file.
///
/// # Panics
/// If the file is not JSON.
pub fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/golden.json")).expect("golden.json is JSON")
}

/// Cases of a group that the engine supports; `count` includes the others.
///
/// # Panics
/// If the group has another number of cases.
pub fn cases(group: &str, count: usize) -> Vec<Value> {
    let golden = golden();
    let all = list(&golden[group]);
    assert_eq!(all.len(), count, "{group}");
    let waits = |case: &&Value| WAITING.iter().any(|&waiting| waiting == name(case));
    all.iter().filter(waits).for_each(|case| println!("{} waits for the engine", name(case)));
    all.iter().filter(|case| !waits(case)).cloned().collect()
}

/// Name of a case.
pub fn name(case: &Value) -> &str {
    case["shape"]["name"].as_str().unwrap_or_default()
}

/// The elements of a list; none for any other value.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], |list| list)
}

/// The value of a number.
///
/// # Panics
/// If the value has another type.
pub fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// A list of numbers.
pub fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

/// The value of a 32-bit integer.
///
/// # Panics
/// If the value has another type.
pub fn whole(value: &Value) -> u32 {
    value.as_u64().and_then(|value| u32::try_from(value).ok()).expect("a whole number")
}

/// A list of tokens.
pub fn tokens(value: &Value) -> Vec<u32> {
    list(value).iter().map(whole).collect()
}

/// The model of one of the reference's shapes.
pub fn model(shape: &Value) -> RandomModel {
    let size = |name: &str| shape[name].as_u64().unwrap_or(0) as u32;
    let real = |name: &str| shape[name].as_f64().unwrap_or(0.0) as f32;
    let flag = |name: &str| shape[name].as_bool().unwrap_or(false);
    let kind = |name: &str| shape[name].as_str().unwrap_or_default();
    let encoder = !kind("pooling").is_empty() || !kind("classifier").is_empty();
    let config = attoformer::config! {
        architecture: match size("encoder_layers") {
            0 if encoder => Architecture::Encoder,
            0 => Architecture::Decoder,
            _ => Architecture::EncoderDecoder,
        },
        mask: match kind("mask") {
            "local" => MaskKind::Local,
            "prefix" => MaskKind::Prefix,
            _ if encoder => MaskKind::Bidirectional,
            _ if size("window") != 0 => MaskKind::Window,
            _ => MaskKind::Causal,
        },
        gated: flag("gated"),
        window: some(size("window")),
        d_model: size("d_model"),
        d_hidden: size("d_hidden"),
        layers: size("layers"),
        heads: size("heads"),
        kv_heads: size("kv_heads"),
        head_dim: size("head_dim"),
        vocab: size("vocab"),
        context: size("context"),
        norm_eps: real("norm_eps"),
        tied_head: flag("tied"),
        final_norm: flag("final_norm"),
        embedding_norm: flag("embedding_norm"),
        l2_normalize: flag("normalized"),
        qk_norm: flag("qk_norm"),
        parallel: flag("parallel"),
        class_token: flag("class_token"),
        labels: size("labels"),
        encoder_layers: size("encoder_layers"),
        features: size("features"),
        encoder_context: size("encoder_context"),
        score_scale: some(real("score_scale")),
        embedding_scale: some(real("embedding_scale")),
        partial_rotary_dim: some(size("rotary_dim")),
        buckets: size("buckets"),
        globals: size("globals"),
        layer_dim: some(size("layer_dim")),
        ..kinds(kind)
    };
    RandomModel {
        config,
        bias: flag("bias"),
        head_bias: flag("head_bias"),
        sinusoidal: kind("positions") == "sinusoidal",
        seed: size("seed"),
    }
}

/// A config with the kinds of a shape.
fn kinds<'s>(kind: impl Fn(&str) -> &'s str) -> Config {
    attoformer::config! {
        norm: if kind("norm") == "rms" { NormKind::Rms } else { NormKind::Layer },
        placement: match kind("placement") {
            "pre" => NormPlacement::Pre,
            "post" => NormPlacement::Post,
            _ => NormPlacement::Sandwich,
        },
        activation: match kind("activation") {
            "relu" => Activation::Relu,
            "gelu_tanh" => Activation::GeluTanh,
            "gelu_erf" => Activation::GeluErf,
            "squared_relu" => Activation::SquaredRelu,
            _ => Activation::Silu,
        },
        positions: match kind("positions") {
            "none" => PositionKind::None,
            "learned" | "sinusoidal" => PositionKind::LearnedAbsolute,
            "alibi" => PositionKind::Alibi,
            "buckets" => PositionKind::T5Relative,
            _ => PositionKind::Rotary,
        },
        attention: if kind("attention") == "linear" { AttentionKind::Linear } else { AttentionKind::Softmax },
        pooling: match kind("pooling") {
            "mean" => Pooling::Mean,
            "first" => Pooling::First,
            "last" => Pooling::Last,
            _ => Pooling::None,
        },
        classifier: match kind("classifier") {
            "sequence" => Classifier::Sequence,
            "tokens" => Classifier::Tokens,
            _ => Classifier::None,
        },
        pooler: match kind("pooler") {
            "tanh" => Pooler::Tanh,
            "relu" => Pooler::Relu,
            _ => Pooler::None,
        },
        input_stem: match kind("front") {
            "patches" => InputStem::Patches,
            "convolution" => InputStem::Convolution,
            _ => InputStem::Tokens,
        },
        ..Config::DECODER
    }
}

/// A case's checkpoint as an importer creates it: with its rotary frequencies, its score scale, and half-split (rotate_half) heads as adjacent pairs.
pub fn checkpoint(case: &Value) -> Checkpoint {
    let mut model = model(&case["shape"]);
    if let Some(scale) = case["score_scale"].as_f64() {
        model.config.score_scale = Some(scale as f32);
    }
    let mut checkpoint = model.checkpoint();
    if !list(&case["radians"]).is_empty() {
        checkpoint.rotary = numbers(&case["radians"]);
    }
    let rows: Vec<usize> = list(&case["rows"]).iter().map(|row| whole(row) as usize).collect();
    if !rows.is_empty() {
        checkpoint.tensors.iter_mut().for_each(|tensor| to_neighbours(tensor, &rows));
    }
    checkpoint
}

/// Permutes the rows of each head in queries, keys and their norms: row `rows[i]` becomes row i.
fn to_neighbours(tensor: &mut Tensor, rows: &[usize]) {
    let reordered = |values: &[f32], width: usize| -> Vec<f32> {
        let heads = values.chunks(rows.len() * width);
        heads.flat_map(|head| rows.iter().flat_map(move |&row| &head[row * width..][..width])).copied().collect()
    };
    match tensor.role {
        SourceRole::Query | SourceRole::Key => {
            tensor.data = reordered(&tensor.values(), tensor.columns).into();
            tensor.bias = tensor.bias.as_deref().map(|bias| reordered(bias, 1));
        }
        SourceRole::QueryNorm | SourceRole::KeyNorm => tensor.data = reordered(&tensor.values(), 1).into(),
        _ => {}
    }
}

/// A case's packed image.
///
/// # Panics
/// If it cannot be packed.
pub fn packed(case: &Value, weights: Format, kv: KvType) -> AlignedBytes {
    let options = Options { weights, kv, ..Options::reference() };
    match pack(&checkpoint(case), &options, &Progress::silent()) {
        Ok(packed) => packed.image,
        Err(error) => panic!("{}: {error}", name(case)),
    }
}

/// Opens a session of an image and runs `work` in it.
///
/// # Panics
/// If the engine refuses the image.
pub fn with_session<T>(image: &[u8], what: impl FnOnce(&mut Session<'_>) -> T) -> T {
    let image = Image::new(image).expect("the engine opens what was packed");
    let plan = Plan::packed(image.config());
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
    what(&mut Session::new(&image, &mut arena).expect("the arena is as large as it says"))
}

/// Encodes a case's source, tokens or features.
///
/// # Panics
/// If the engine refuses it.
pub fn encode<'s>(session: &'s mut Session<'_>, source: &Value) -> &'s [f32] {
    if source["frames"].is_null() {
        return session.encode(&tokens(&source["tokens"])).expect("the tokens are encoded");
    }
    let features = feature_rows(session.config(), whole(&source["frames"]) as usize, whole(&source["feature_seed"]));
    session.encode_features(&features).expect("the features are encoded")
}

/// Largest difference from the reference, relative to a row's root mean square.
#[derive(Clone, Copy, Debug, Default)]
pub struct Worst(pub f64);

impl Worst {
    /// Compares whole rows.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn row(&mut self, found: &[f32], want: &Value) {
        let want = numbers(want);
        assert_eq!(found.len(), want.len());
        let scale = (want.iter().map(|x| x * x).sum::<f64>() / want.len() as f64).sqrt();
        self.0 = found.iter().zip(&want).fold(self.0, |worst, (&x, want)| worst.max((x as f64 - want).abs() / scale));
    }

    /// Compares a row's length.
    pub fn length(&mut self, found: &[f32], want: &Value) {
        let length = number(want);
        let squares: f64 = found.iter().map(|&x| x as f64 * x as f64).sum();
        self.0 = self.0.max((squares.sqrt() - length).abs() / length);
    }

    /// Compares a sixth of the logits at `position`, a different sixth at each position, and the length of the row.
    ///
    /// # Panics
    /// If the numbers of logits differ.
    pub fn logits(&mut self, position: usize, found: &[f32], some: &Value, length: &Value) {
        self.length(found, length);
        let scale = number(length) / (found.len() as f64).sqrt();
        let some = numbers(some);
        let sixth = found.iter().skip(position % 6).step_by(6);
        assert_eq!(sixth.len(), some.len());
        self.0 = sixth.zip(&some).fold(self.0, |worst, (&x, want)| worst.max((x as f64 - want).abs() / scale));
    }
}

/// Compares every case in every format with its allowed difference and lists the violations.
///
/// # Panics
/// If a case differs by more than allowed, or by less than its format's lower bound.
pub fn check(cases: &[Value], difference: impl Fn(&[u8], &Value) -> Worst) {
    let mut failed = Vec::new();
    for (case, (format, kv, bounds)) in cases.iter().flat_map(|case| FORMATS.into_iter().map(move |format| (case, format))) {
        let Worst(worst) = difference(&packed(case, format, kv), case);
        println!("{}, {format} with {kv:?} keys: {worst:.2e}", name(case));
        let narrow = format != Format::F32 || kv != KvType::F32;
        let leeway = if narrow && SENSITIVE.contains(&name(case)) { 1.7 } else { 1.0 };
        if !(*bounds.start()..=bounds.end() * leeway).contains(&worst) {
            failed.push(format!("{}, {format} with {kv:?} keys: {worst:.2e} is outside {bounds:?}", name(case)));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A number that a shape states; `None` for zero.
fn some<N: PartialEq + Default>(number: N) -> Option<N> {
    (number != N::default()).then_some(number)
}
