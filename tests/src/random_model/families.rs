//! A small model of every family that the engine supports.

use super::RandomModel;
use attoformer::image::{
    Activation, Architecture, AttentionKind, Classifier, InputStem, MaskKind, NormKind, NormPlacement, Pooler, Pooling, PositionKind,
};

impl RandomModel {
    /// Small decoders: Llama, GPT-2, the original transformer (Vaswani et al. 2017), a sliding window, a single layer of odd width.
    pub fn family() -> [(&'static str, Self); 5] {
        let small = Self::small();
        let with = |bias, config| RandomModel { config, bias, ..small };
        let gpt2 = attoformer::config! {
            norm: NormKind::Layer,
            activation: Activation::GeluTanh,
            gated: false,
            positions: PositionKind::LearnedAbsolute,
            ..small.config
        };
        let vaswani = attoformer::config! {
            placement: NormPlacement::Post,
            activation: Activation::Relu,
            positions: PositionKind::None,
            final_norm: false,
            tied_head: false,
            ..gpt2
        };
        let mistral = attoformer::config! { mask: MaskKind::Window, window: Some(5), tied_head: false, ..small.config };
        let odd = attoformer::config! { layers: 1, d_model: 7, d_hidden: 172, kv_heads: 1, head_dim: 2, ..small.config };
        [
            ("llama", small),
            ("gpt-2", with(true, gpt2)),
            ("vaswani", with(true, vaswani)),
            ("mistral", with(false, mistral)),
            ("odd", with(false, odd)),
        ]
    }

    /// Small encoders: BERT's shape, and a later one with pre-norm, RoPE and a gated MLP.
    pub fn encoders() -> [(&'static str, Self); 2] {
        let small = Self::small();
        let later = attoformer::config! {
            architecture: Architecture::Encoder,
            mask: MaskKind::Bidirectional,
            pooling: Pooling::First,
            tied_head: false,
            ..small.config
        };
        let bert = attoformer::config! {
            norm: NormKind::Layer,
            placement: NormPlacement::Post,
            activation: Activation::GeluErf,
            gated: false,
            positions: PositionKind::LearnedAbsolute,
            kv_heads: small.config.heads,
            embedding_norm: true,
            final_norm: false,
            pooling: Pooling::Mean,
            l2_normalize: true,
            ..later
        };
        [("bert", RandomModel { config: bert, bias: true, ..small }), ("later", RandomModel { config: later, ..small })]
    }
}

/// One small model of each family, by name: decoders, then encoders, then encoder-decoders. The first five are those of [`RandomModel::family`].
pub fn families() -> Vec<(&'static str, RandomModel)> {
    RandomModel::family().into_iter().chain(decoders()).chain(encoders()).chain(two_stacks()).chain(offset_keys()).collect()
}

/// Models with key offsets, for every kind of rotation, head norm, mask and stack that keys depend on.
pub fn offset_keys() -> [(&'static str, RandomModel); 6] {
    let find = |name: &str, models: &[(&str, RandomModel)]| models.iter().find(|(found, _)| *found == name).expect("a family").1;
    let of = |model: RandomModel| RandomModel { config: attoformer::config! { key_offset: true, ..model.config }, ..model };
    let (first, decoders, encoders, two) = (RandomModel::family(), decoders(), encoders(), two_stacks());
    let window = find("mistral", &first);
    let window = RandomModel { config: attoformer::config! { partial_rotary_dim: Some(4), qk_norm: true, ..window.config }, ..window };
    [
        ("offset", of(find("llama", &first))),
        ("offset-gemma", of(find("gemma", &decoders))),
        ("offset-window", of(window)),
        ("offset-prefix", of(find("prefix", &decoders))),
        ("offset-local", of(find("local", &encoders))),
        ("offset-t5", of(find("t5", &two))),
    ]
}

fn decoders() -> [(&'static str, RandomModel); 6] {
    let small = RandomModel::small();
    let llama = small.config;
    let with = |config| RandomModel { config, ..small };
    let gemma = attoformer::config! {
        placement: NormPlacement::Sandwich,
        qk_norm: true,
        activation: Activation::GeluTanh,
        embedding_scale: Some(5.0),
        norm_eps: 1e-6,
        ..llama
    };
    let neox = attoformer::config! {
        norm: NormKind::Layer,
        activation: Activation::GeluErf,
        gated: false,
        parallel: true,
        partial_rotary_dim: Some(4),
        tied_head: false,
        kv_heads: llama.heads,
        ..llama
    };
    let bloom = attoformer::config! { positions: PositionKind::Alibi, embedding_norm: true, heads: 3, kv_heads: 3, partial_rotary_dim: None, ..neox };
    let per_layer = attoformer::config! { layer_dim: Some(10), activation: Activation::SquaredRelu, ..llama };
    let linear = attoformer::config! { attention: AttentionKind::Linear, positions: PositionKind::None, ..llama };
    let prefix = attoformer::config! { mask: MaskKind::Prefix, ..llama };
    [
        ("gemma", with(gemma)),
        ("neox", RandomModel { bias: true, head_bias: true, ..with(neox) }),
        ("alibi", RandomModel { bias: true, ..with(attoformer::config! { parallel: false, ..bloom }) }),
        ("per-layer", with(per_layer)),
        ("linear", with(linear)),
        ("prefix", with(prefix)),
    ]
}

fn encoders() -> Vec<(&'static str, RandomModel)> {
    let [(bert_name, bert), (later_name, later)] = RandomModel::encoders();
    let local = attoformer::config! { mask: MaskKind::Local, window: Some(3), globals: 2, ..later.config };
    let linear = attoformer::config! { attention: AttentionKind::Linear, positions: PositionKind::LearnedAbsolute, ..later.config };
    let keywords = attoformer::config! {
        input_stem: InputStem::Patches,
        features: 10,
        class_token: true,
        vocab: 0,
        bos: 0,
        eos: 0,
        embedding_norm: false,
        pooling: Pooling::First,
        l2_normalize: false,
        classifier: Classifier::Sequence,
        labels: 12,
        ..bert.config
    };
    let sentences = attoformer::config! {
        pooling: Pooling::First,
        l2_normalize: false,
        classifier: Classifier::Sequence,
        pooler: Pooler::Tanh,
        labels: 3,
        ..bert.config
    };
    let tokens =
        attoformer::config! { pooling: Pooling::None, l2_normalize: false, classifier: Classifier::Tokens, labels: 5, ..bert.config };
    vec![
        (bert_name, bert),
        (later_name, later),
        ("local", RandomModel { config: local, ..later }),
        ("linear-encoder", RandomModel { config: linear, sinusoidal: true, ..later }),
        ("keywords", RandomModel { config: keywords, ..bert }),
        ("sentences", RandomModel { config: sentences, ..bert }),
        ("tokens", RandomModel { config: tokens, ..bert }),
    ]
}

fn two_stacks() -> [(&'static str, RandomModel); 3] {
    let small = RandomModel::small();
    let two = attoformer::config! { architecture: Architecture::EncoderDecoder, encoder_layers: 2, encoder_context: 30, ..small.config };
    let paper = attoformer::config! {
        norm: NormKind::Layer,
        placement: NormPlacement::Post,
        activation: Activation::Relu,
        gated: false,
        positions: PositionKind::LearnedAbsolute,
        final_norm: false,
        kv_heads: two.heads,
        embedding_scale: Some(5.0),
        ..two
    };
    let t5 = attoformer::config! {
        activation: Activation::GeluTanh,
        positions: PositionKind::T5Relative,
        buckets: 32,
        score_scale: Some(1.0),
        norm_eps: 1e-6,
        tied_head: false,
        layers: 1,
        ..two
    };
    let whisper = attoformer::config! {
        placement: NormPlacement::Pre,
        activation: Activation::GeluErf,
        final_norm: true,
        embedding_scale: None,
        input_stem: InputStem::Convolution,
        features: 10,
        ..paper
    };
    [
        ("encoder-decoder", RandomModel { config: paper, bias: true, sinusoidal: true, ..small }),
        ("t5", RandomModel { config: t5, ..small }),
        ("whisper", RandomModel { config: whisper, bias: true, ..small }),
    ]
}
