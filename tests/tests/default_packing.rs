//! Default packing of every family: calibrated int8 and int4 images stay near the f32 model, and calibration removes what outlier columns cost.

use attoformer::image::{Activation, Architecture, InputStem, KvType, MaskKind, NormPlacement};
use attoformer::{Image, Plan, Session, arena_bytes};
use attoformer_tests::random_model::{Numbers, PIECES, RandomModel, families, feature_rows};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::import::preprocess::audio::{AudioFrontend, MelScale};
use attoformer_tools::import::{Checkpoint, SourceRole};
use attoformer_tools::pack::{Activations, Calibration, Options, Packed, pack};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;

/// Factor of the columns with outliers.
const OUTLIER: f32 = 16.0;
/// One column in this number has outliers.
const OUTLIER_EVERY: usize = 5;

/// Models of [`families`], and others whose shapes only an importer makes.
fn models() -> Vec<(&'static str, RandomModel)> {
    let mut models = families();
    let find = |name: &str| models.iter().find(|(found, _)| *found == name).expect("a family").1;
    let (llama, keywords, t5, seq2seq) = (find("llama"), find("keywords"), find("t5"), find("encoder-decoder"));
    let one_key_head = attoformer::config! { kv_heads: 1, tied_head: false, ..llama.config };
    let vit = attoformer::config! { placement: NormPlacement::Pre, final_norm: true, ..keywords.config };
    let first_t5 = attoformer::config! { activation: Activation::Relu, gated: false, tied_head: true, ..t5.config };
    models.extend([
        ("qwen2", RandomModel { bias: true, ..llama }),
        ("multi-query", RandomModel { config: one_key_head, ..llama }),
        ("vit", RandomModel { config: vit, ..keywords }),
        ("first-t5", RandomModel { config: first_t5, ..t5 }),
        ("marian", RandomModel { head_bias: true, ..seq2seq }),
    ]);
    models
}

/// A front end for 31 frames of ten features.
fn frontend() -> AudioFrontend {
    AudioFrontend {
        sample_rate: 1000,
        samples: 310,
        frame_len: 32,
        hop: 10,
        fft_len: 32,
        power: true,
        centred: false,
        bands: 10,
        scale: MelScale::Htk,
        range_hz: [20.0, 400.0],
        coefficients: 0,
        log_floor: 1e-6,
        decimal_range: None,
    }
}

/// The model with outliers in some columns of every matrix's input, as trained models have them: the tensor that makes the column is multiplied by
/// a factor and the one that reads it divided. Biases of keys become large.
fn with_outliers(model: &RandomModel) -> Checkpoint {
    use SourceRole as Role;
    let mut checkpoint = model.checkpoint();
    let (head_dim, is_post) = (model.config.head_dim as usize, model.config.placement == NormPlacement::Post);
    let factor = |column: usize| if column % OUTLIER_EVERY == 1 { OUTLIER } else { 1.0 };
    for tensor in &mut checkpoint.tensors {
        let columns = tensor.columns;
        let (on_rows, on_columns): (Option<usize>, Option<(usize, bool)>) = match tensor.role {
            Role::AttnNorm | Role::MlpNorm | Role::CrossNorm => (None, Some((columns, true))),
            Role::Query | Role::Key | Role::Gate | Role::CrossQuery => (None, Some((columns, false))),
            Role::Value => (Some(head_dim), Some((columns, false))),
            // The encoder's rows have outliers where they come from a norm of its last layer.
            Role::CrossValue => (Some(head_dim), is_post.then_some((columns, false))),
            Role::CrossKey if is_post => (None, Some((columns, false))),
            Role::AttnOut | Role::CrossOut => (None, Some((head_dim, false))),
            Role::Up => (model.config.gated.then_some(tensor.rows), Some((columns, false))),
            Role::Down if model.config.gated => (None, Some((columns, false))),
            _ => continue,
        };
        tensor.data.edit(|values| {
            for (at, value) in values.iter_mut().enumerate() {
                let (row, column) = (at / columns, at % columns);
                *value *= on_rows.map_or(1.0, |period| factor(row % period));
                match on_columns {
                    Some((period, true)) => *value *= factor(column % period),
                    Some((period, false)) => *value /= factor(column % period),
                    None => {}
                }
            }
        });
        if let Some(bias) = &mut tensor.bias {
            for (row, bias) in bias.iter_mut().enumerate() {
                *bias *= on_rows.map_or(1.0, |period| factor(row % period));
                *bias += if matches!(tensor.role, Role::Key | Role::CrossKey) { (row % 3) as f32 * 8.0 } else { 0.0 };
            }
        }
    }
    if model.config.input_stem != InputStem::Tokens {
        checkpoint.audio = Some(frontend());
    }
    checkpoint
}

/// Text of the random models' vocabulary.
fn words() -> Calibration {
    let mut numbers = Numbers(5);
    let mut line = || (0..8).map(|_| PIECES[15 + numbers.below(12)].trim()).collect::<Vec<&str>>().join(" ");
    let text = (0..96).map(|_| line() + "\n").collect();
    Calibration::Text("words".into(), text)
}

/// Outputs of a model: the logits of every token, or all rows of an encoder.
fn outputs(image: &[u8]) -> Vec<Vec<f32>> {
    let image = Image::new(image).expect("a packed image is sound");
    let config = *image.config();
    let mut arena = AlignedBytes::zeroed(arena_bytes(&config, Plan::packed(&config)));
    let mut session = Session::new(&image, &mut arena).expect("a sufficient arena");
    let mut rows = Vec::new();
    for seed in 1..4 {
        let mut numbers = Numbers(seed);
        let mut tokens = |count: usize| (0..count).map(|_| numbers.below(config.vocab as usize) as u32).collect::<Vec<u32>>();
        session.reset();
        if config.has_encoder() {
            let encoded = match config.input_stem {
                InputStem::Tokens => session.encode(&tokens(23)),
                _ => session.encode_features(&feature_rows(&config, 23, seed)),
            };
            let width = if config.labels > 0 { config.labels } else { config.d_model };
            let encoded = encoded.expect("the input fits");
            if config.architecture == Architecture::Encoder {
                rows.extend(encoded.chunks(width as usize).map(<[f32]>::to_vec));
                continue;
            }
        }
        let tokens = tokens(32);
        let prefix = if config.mask == MaskKind::Prefix { 6 } else { 0 };
        if prefix > 0 {
            rows.push(session.prefill_prefix(&tokens[..prefix]).expect("the prefix fits").to_vec());
        }
        session.prefill_each(&tokens[prefix..], |_, logits| rows.push(logits.to_vec())).expect("the tokens fit");
    }
    rows
}

/// Norm of the difference relative to that of the exact outputs.
fn error(found: &[Vec<f32>], exact: &[Vec<f32>]) -> f64 {
    assert_eq!(found.len(), exact.len());
    let pairs = || found.iter().flatten().zip(exact.iter().flatten()).map(|(&a, &b)| (f64::from(a), f64::from(b)));
    (pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>() / pairs().map(|(_, b)| b.powi(2)).sum::<f64>()).sqrt()
}

/// Where a family's calibration samples come from. The vocabulary of a random model reads none of the built-in text.
fn source(model: &RandomModel) -> Calibration {
    let reads_text = model.config.architecture != Architecture::Decoder && model.config.input_stem == InputStem::Tokens;
    if reads_text { words() } else { Calibration::Best }
}

/// Without calibration, int8 loses 3 to 50 % of these models' outputs and int4 most of them. A factor that is folded into the wrong tensor, or a
/// layer that is calibrated on the wrong inputs, loses as much.
#[test]
fn every_family_stays_near_its_f32_model() {
    for (name, model) in models() {
        let checkpoint = with_outliers(&model);
        let run = |options: &Options| -> Packed {
            pack(&checkpoint, options, &Progress::silent()).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let exact = outputs(&run(&Options::reference()).image);
        for (weights, error_max, loss_max) in [(Format::Int8, 0.1, 0.01), (Format::Int4 { group: 32 }, 0.65, 0.5)] {
            let of = |calibration| {
                let activations = Activations::Auto;
                let packed = run(&Options { weights, kv: KvType::Int8, calibration, activations, ..Options::reference() });
                (error(&outputs(&packed.image), &exact), packed)
            };
            let (found, packed) = of(source(&model));
            let (plain, _) = of(Calibration::None);
            let loss = packed.measured_loss.unwrap_or_else(|| panic!("{name}: no calibration"));
            println!("{name:16} {weights:8} error {found:.4}, {plain:.4} without calibration; {loss}");
            assert!(found < error_max && loss.mean < loss_max, "{name}, {weights}: error {found}; {loss}");
            assert!(
                found < if weights == Format::Int8 { 0.5 * plain } else { plain },
                "{name}, {weights}: {found}, without calibration {plain}"
            );
        }
    }
}
