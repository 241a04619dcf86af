//! All tensors of a shape, in the drawing order of `tests/golden/weights.py`.

use super::{Numbers, RandomModel};
use attoformer::image::{Classifier, Config, InputStem, NormKind, NormPlacement, Pooler, PositionKind};
use attoformer_tools::import::{SourceRole, Tensor};

/// Draws or computes all tensors.
pub(super) fn tensors(model: &RandomModel) -> Vec<Tensor> {
    let config = &model.config;
    let d_model = config.d_model;
    let mut draw = Draw { numbers: Numbers(model.seed), norm: config.norm, bias: model.bias, tensors: Vec::new() };
    if config.has_embedding() {
        draw.matrix(SourceRole::Embedding, None, (config.vocab, d_model), 1.0);
    }
    draw.positions(config, model.sinusoidal);
    if config.embedding_norm {
        draw.norm(SourceRole::EmbeddingNorm, None, d_model);
    }
    draw.front(config);
    for layer in 0..config.all_layers() {
        draw.layer(config, layer);
    }
    if config.final_norm {
        draw.norm(SourceRole::FinalNorm, None, d_model);
        if config.has_cross() {
            draw.norm(SourceRole::EncoderNorm, None, d_model);
        }
    }
    if config.has_head() {
        draw.matrix(SourceRole::Head, None, (config.vocab, d_model), width_scale(d_model));
    }
    if model.head_bias {
        let head = if config.tied_head { SourceRole::Embedding } else { SourceRole::Head };
        let bias = draw.numbers.row(config.vocab as usize, 0.125);
        draw.tensors.iter_mut().filter(|tensor| tensor.role == head).for_each(|tensor| tensor.bias = Some(bias.clone()));
    }
    if config.pooler != Pooler::None {
        draw.linear(SourceRole::Pooler, None, (d_model, d_model));
    }
    if config.classifier != Classifier::None {
        draw.linear(SourceRole::Classifier, None, (config.labels, d_model));
    }
    if config.key_offset {
        // Drawn from numbers of their own: an offset changes no other weight.
        draw.numbers = Numbers(model.seed ^ 0x0ff5_e700);
        (0..config.all_layers()).for_each(|layer| draw.matrix(SourceRole::KeyOffset, Some(layer), (1, config.kv_dim()), 3.0));
    }
    draw.tensors
}

/// A power of two near sqrt(3 / columns), so that products keep the size of their input.
fn width_scale(columns: u32) -> f32 {
    let length = u32::BITS - columns.leading_zeros();
    2.0 / (1u32 << (length / 2)) as f32
}

/// `rows` sines and cosines of `d_model` columns (Vaswani et al. 2017, section 3.5).
fn sinusoids(rows: u32, d_model: u32) -> Vec<f32> {
    let angle = |row: u32, column: u32| row as f64 * 10_000f64.powf(-((column - column % 2) as f64) / d_model as f64);
    let value = |row, column: u32| if column.is_multiple_of(2) { angle(row, column).sin() } else { angle(row, column).cos() };
    (0..rows).flat_map(|row| (0..d_model).map(move |column| value(row, column) as f32)).collect()
}

/// ALiBi's slopes (Press et al. 2022, section 3): powers of 2^(-8 / n), and every second one of twice as many heads where n is not a power of two.
fn slopes(heads: u32) -> Vec<f32> {
    let power = 1 << heads.ilog2();
    // The root of a root: 2^(-8 / n) without a power function, which differs from system to system.
    let base = |count: u32| (0..count.ilog2()).fold(2f64.powi(-8), |root, _| root.sqrt());
    let of = |count: u32, step: usize| (1..=count).step_by(step).map(move |index| base(count).powi(index as i32) as f32);
    of(power, 1).chain(of(2 * power, 2)).take(heads as usize).collect()
}

/// Tensors drawn so far.
struct Draw {
    numbers: Numbers,
    norm: NormKind,
    bias: bool,
    tensors: Vec<Tensor>,
}

impl Draw {
    /// Position tables and score biases; those of an encoder-decoder's encoder come second.
    fn positions(&mut self, config: &Config, sinusoidal: bool) {
        let tables = [(SourceRole::Positions, config.context), (SourceRole::EncoderPositions, config.encoder_context)];
        let biases = [SourceRole::ScoreBias, SourceRole::EncoderScoreBias];
        let stacks = if config.has_cross() { 2 } else { 1 };
        match config.positions {
            PositionKind::LearnedAbsolute => {
                for (role, rows) in tables.into_iter().take(stacks) {
                    if sinusoidal {
                        self.given(role, (rows, config.d_model), sinusoids(rows, config.d_model));
                    } else {
                        self.matrix(role, None, (rows, config.d_model), 0.5);
                    }
                }
            }
            PositionKind::Alibi => {
                biases.into_iter().take(stacks).for_each(|role| self.given(role, (config.heads, 1), slopes(config.heads)));
            }
            PositionKind::T5Relative => {
                biases.into_iter().take(stacks).for_each(|role| self.matrix(role, None, (config.heads, config.buckets), 1.0));
            }
            _ => {}
        }
    }

    /// The input stem for features.
    fn front(&mut self, config: &Config) {
        let (d_model, features) = (config.d_model, config.features);
        match config.input_stem {
            InputStem::Patches => self.linear(SourceRole::Conv1, None, (d_model, features)),
            InputStem::Convolution => {
                self.linear(SourceRole::Conv1, None, (d_model, 3 * features));
                self.linear(SourceRole::Conv2, None, (d_model, 3 * d_model));
            }
            _ => {}
        }
        if config.class_token {
            self.matrix(SourceRole::ClassToken, None, (1, d_model), 0.5);
        }
    }

    fn layer(&mut self, config: &Config, number: u32) {
        let Config { d_model, d_hidden, head_dim, layer_dim, .. } = *config;
        let (q_dim, kv_dim) = (config.q_dim(), config.kv_dim());
        let layer = Some(number);
        let sandwich = config.placement == NormPlacement::Sandwich;
        self.norm(SourceRole::AttnNorm, layer, d_model);
        self.linear(SourceRole::Query, layer, (q_dim, d_model));
        self.linear(SourceRole::Key, layer, (kv_dim, d_model));
        self.linear(SourceRole::Value, layer, (kv_dim, d_model));
        self.linear(SourceRole::AttnOut, layer, (d_model, q_dim));
        if config.qk_norm {
            self.norm(SourceRole::QueryNorm, layer, head_dim);
            self.norm(SourceRole::KeyNorm, layer, head_dim);
        }
        if sandwich {
            self.norm(SourceRole::AttnPostNorm, layer, d_model);
        }
        if config.has_cross() && number >= config.encoder_layers {
            self.norm(SourceRole::CrossNorm, layer, d_model);
            self.linear(SourceRole::CrossQuery, layer, (q_dim, d_model));
            self.linear(SourceRole::CrossKey, layer, (kv_dim, d_model));
            self.linear(SourceRole::CrossValue, layer, (kv_dim, d_model));
            self.linear(SourceRole::CrossOut, layer, (d_model, q_dim));
        }
        self.norm(SourceRole::MlpNorm, layer, d_model);
        if config.gated {
            self.linear(SourceRole::Gate, layer, (d_hidden, d_model));
        }
        self.linear(SourceRole::Up, layer, (d_hidden, d_model));
        self.linear(SourceRole::Down, layer, (d_model, d_hidden));
        if sandwich {
            self.norm(SourceRole::MlpPostNorm, layer, d_model);
        }
        if let Some(layer_dim) = layer_dim {
            self.matrix(SourceRole::LayerTable, layer, (config.vocab, layer_dim), 1.0);
            self.linear(SourceRole::LayerGate, layer, (layer_dim, d_model));
            self.linear(SourceRole::LayerProject, layer, (d_model, layer_dim));
            self.norm(SourceRole::LayerNorm, layer, d_model);
        }
    }

    fn given(&mut self, role: SourceRole, (rows, columns): (u32, u32), values: Vec<f32>) {
        self.tensors.push(Tensor { role, layer: None, rows: rows as usize, columns: columns as usize, data: values.into(), bias: None });
    }

    fn matrix(&mut self, role: SourceRole, layer: Option<u32>, (rows, columns): (u32, u32), scale: f32) {
        let (rows, columns) = (rows as usize, columns as usize);
        let values = self.numbers.row(rows * columns, scale);
        self.tensors.push(Tensor { role, layer, rows, columns, data: values.into(), bias: None });
    }

    fn linear(&mut self, role: SourceRole, layer: Option<u32>, shape: (u32, u32)) {
        self.matrix(role, layer, shape, width_scale(shape.1));
        let bias = self.bias.then(|| self.numbers.row(shape.0 as usize, 0.125));
        if let Some(tensor) = self.tensors.last_mut() {
            tensor.bias = bias;
        }
    }

    fn norm(&mut self, role: SourceRole, layer: Option<u32>, width: u32) {
        let columns = width as usize;
        let mut values: Vec<f32> = self.numbers.row(columns, 0.25).into_iter().map(|x| 1.0 + x).collect();
        if self.norm == NormKind::Layer {
            values.extend(self.numbers.row(columns, 0.125));
        }
        self.tensors.push(Tensor { role, layer, rows: values.len() / columns, columns, data: values.into(), bias: None });
    }
}
