//! Tensor roles, and the order of an image's tensors: both follow from the header.

use super::config::Config;
use super::limits::BIAS_SPAN;
use super::types::{InputStem, NormKind, NormPlacement, Pooler, PositionKind};

/// The purpose of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum Role {
    /// Token embedding, `(vocab, d_model)`.
    Embedding = 0,
    /// Position table, `(context, d_model)`.
    Positions = 1,
    /// Norm of the self-attention.
    AttnNorm = 2,
    /// Fused query, key and value projection, `(q_dim + 2 kv_dim, d_model)`.
    Qkv = 3,
    /// Output projection of the attention, `(d_model, q_dim)`.
    AttnOut = 4,
    /// Norm of the MLP.
    MlpNorm = 5,
    /// First MLP matrix, `(mlp_up_dim, d_model)`: gate rows, then up rows when gated.
    MlpUp = 6,
    /// Second MLP matrix, `(d_model, d_hidden)`.
    MlpDown = 7,
    /// Norm before the head.
    FinalNorm = 8,
    /// Output head (LM head), `(vocab, d_model)`.
    Head = 9,
    /// Norm after the embedding.
    EmbeddingNorm = 10,
    /// Norm of each query head, `(1 or 2, head_dim)`: scale, then bias of a layer norm.
    QueryNorm = 11,
    /// Norm of each key head.
    KeyNorm = 12,
    /// Norm after the attention, of [`NormPlacement::Sandwich`].
    AttnPostNorm = 13,
    /// Norm after the MLP.
    MlpPostNorm = 14,
    /// Norm of the cross-attention.
    CrossNorm = 15,
    /// Query projection of the cross-attention, `(q_dim, d_model)`.
    CrossQuery = 16,
    /// Fused key and value projection of the cross-attention, `(2 kv_dim, d_model)`.
    CrossKv = 17,
    /// Output projection of the cross-attention, `(d_model, q_dim)`.
    CrossOut = 18,
    /// A layer's own token table (per-layer embedding), `(vocab, layer_dim)`.
    LayerTable = 19,
    /// Gate of the per-layer embedding, `(layer_dim, d_model)`.
    LayerGate = 20,
    /// Projection of the gated per-layer embedding, `(d_model, layer_dim)`.
    LayerProject = 21,
    /// Norm of the projected per-layer embedding.
    LayerNorm = 22,
    /// Patch embedding `(d_model, features)`, or first convolution `(d_model, 3 * features)`.
    Conv1 = 23,
    /// Second convolution, `(d_model, 3 * d_model)`.
    Conv2 = 24,
    /// Class token: a learned row before the patches, `(1, d_model)`.
    ClassToken = 25,
    /// Position table of an encoder-decoder's encoder, `(encoder_context, d_model)`.
    EncoderPositions = 26,
    /// Norm after an encoder-decoder's encoder.
    EncoderNorm = 27,
    /// ALiBi slopes `(heads, 1)`, or T5 relative biases by distance `(heads, 2 * BIAS_SPAN + 1)`.
    ScoreBias = 28,
    /// Slopes or biases of an encoder-decoder's encoder, shaped like [`Role::ScoreBias`].
    EncoderScoreBias = 29,
    /// Dense layer before the classifier, `(d_model, d_model)`.
    Pooler = 30,
    /// Classifier, `(labels, d_model)`.
    Classifier = 31,
    /// Subtracted from the keys of the self-attention before an int8 KV cache stores them, `(1, kv_dim)`.
    KeyOffset = 32,
}

/// Every role, by its number.
pub const ROLES: [Role; 33] = [
    Role::Embedding,
    Role::Positions,
    Role::AttnNorm,
    Role::Qkv,
    Role::AttnOut,
    Role::MlpNorm,
    Role::MlpUp,
    Role::MlpDown,
    Role::FinalNorm,
    Role::Head,
    Role::EmbeddingNorm,
    Role::QueryNorm,
    Role::KeyNorm,
    Role::AttnPostNorm,
    Role::MlpPostNorm,
    Role::CrossNorm,
    Role::CrossQuery,
    Role::CrossKv,
    Role::CrossOut,
    Role::LayerTable,
    Role::LayerGate,
    Role::LayerProject,
    Role::LayerNorm,
    Role::Conv1,
    Role::Conv2,
    Role::ClassToken,
    Role::EncoderPositions,
    Role::EncoderNorm,
    Role::ScoreBias,
    Role::EncoderScoreBias,
    Role::Pooler,
    Role::Classifier,
    Role::KeyOffset,
];

impl Role {
    /// The role's name in listings: `qkv` in `layers.3.qkv`.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Embedding => "embedding",
            Role::Positions => "positions",
            Role::AttnNorm => "attn_norm",
            Role::Qkv => "qkv",
            Role::AttnOut => "attn_out",
            Role::MlpNorm => "mlp_norm",
            Role::MlpUp => "mlp_up",
            Role::MlpDown => "mlp_down",
            Role::FinalNorm => "final_norm",
            Role::Head => "head",
            Role::EmbeddingNorm => "embedding_norm",
            Role::QueryNorm => "query_norm",
            Role::KeyNorm => "key_norm",
            Role::AttnPostNorm => "attn_post_norm",
            Role::MlpPostNorm => "mlp_post_norm",
            Role::CrossNorm => "cross_norm",
            Role::CrossQuery => "cross_query",
            Role::CrossKv => "cross_kv",
            Role::CrossOut => "cross_out",
            Role::LayerTable => "layer_table",
            Role::LayerGate => "layer_gate",
            Role::LayerProject => "layer_project",
            Role::LayerNorm => "layer_norm",
            Role::Conv1 => "conv1",
            Role::Conv2 => "conv2",
            Role::ClassToken => "class_token",
            Role::EncoderPositions => "encoder_positions",
            Role::EncoderNorm => "encoder_norm",
            Role::ScoreBias => "score_bias",
            Role::EncoderScoreBias => "encoder_score_bias",
            Role::Pooler => "pooler",
            Role::Classifier => "classifier",
            Role::KeyOffset => "key_offset",
        }
    }

    /// Whether the tensor is a norm's scale (and bias).
    pub const fn is_norm(self) -> bool {
        RoleSet::NORMS.has(self)
    }

    /// Whether the tensor is always stored as f32: norms, the class token, score biases and key offsets.
    pub const fn is_always_f32(self) -> bool {
        self.is_norm() || matches!(self, Role::ClassToken | Role::ScoreBias | Role::EncoderScoreBias | Role::KeyOffset)
    }
}

/// A set of roles, one bit each, iterated in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleSet(u64);

impl RoleSet {
    const NORMS: RoleSet = RoleSet::of(&[
        Role::AttnNorm,
        Role::MlpNorm,
        Role::FinalNorm,
        Role::EmbeddingNorm,
        Role::QueryNorm,
        Role::KeyNorm,
        Role::AttnPostNorm,
        Role::MlpPostNorm,
        Role::CrossNorm,
        Role::LayerNorm,
        Role::EncoderNorm,
    ]);

    const fn of(roles: &[Role]) -> RoleSet {
        let mut bits = 0;
        let mut rest = roles;
        while let [role, others @ ..] = rest {
            bits |= 1u64 << *role as u32;
            rest = others;
        }
        RoleSet(bits)
    }

    const fn with(self, condition: bool, roles: &[Role]) -> RoleSet {
        if condition { RoleSet(self.0 | RoleSet::of(roles).0) } else { self }
    }

    const fn has(self, role: Role) -> bool {
        self.0 & 1 << role as u32 != 0
    }

    const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Number of the set's roles below `role`.
    const fn before(self, role: Role) -> u32 {
        let role = role as u32;
        // Counting 64 bits is slow on microcontrollers, and few roles need it.
        if role < u32::BITS { (self.0 as u32 & ((1 << role) - 1)).count_ones() } else { (self.0 & ((1 << role) - 1)).count_ones() }
    }

    /// The role with `before` smaller roles in the set.
    const fn nth(self, before: u32) -> Role {
        let mut bits = self.0;
        let mut left = before;
        while left != 0 {
            bits &= bits.wrapping_sub(1);
            left -= 1;
        }
        let role = bits.trailing_zeros() as usize;
        if role < ROLES.len() { ROLES[role] } else { Role::Embedding }
    }
}

/// Roles of the embedding and input stem, outside the layers.
const fn input_roles(config: &Config) -> RoleSet {
    let tabled = matches!(config.positions, PositionKind::LearnedAbsolute);
    let biased = matches!(config.positions, PositionKind::Alibi | PositionKind::T5Relative);
    RoleSet(0)
        .with(config.has_embedding(), &[Role::Embedding])
        .with(tabled, &[Role::Positions])
        .with(tabled && config.has_cross(), &[Role::EncoderPositions])
        .with(biased, &[Role::ScoreBias])
        .with(biased && config.has_cross(), &[Role::EncoderScoreBias])
        .with(config.embedding_norm, &[Role::EmbeddingNorm])
        .with(!matches!(config.input_stem, InputStem::Tokens), &[Role::Conv1])
        .with(matches!(config.input_stem, InputStem::Convolution), &[Role::Conv2])
        .with(config.class_token, &[Role::ClassToken])
}

/// Roles of a layer. An encoder-decoder numbers its encoder's layers first, then its decoder's.
const fn layer_roles(config: &Config, layer: u32) -> RoleSet {
    RoleSet::of(&[Role::AttnNorm, Role::Qkv, Role::AttnOut, Role::MlpNorm, Role::MlpUp, Role::MlpDown])
        .with(config.qk_norm, &[Role::QueryNorm, Role::KeyNorm])
        .with(config.key_offset, &[Role::KeyOffset])
        .with(matches!(config.placement, NormPlacement::Sandwich), &[Role::AttnPostNorm, Role::MlpPostNorm])
        .with(config.has_cross() && layer >= config.encoder_layers, &[Role::CrossNorm, Role::CrossQuery, Role::CrossKv, Role::CrossOut])
        .with(config.layer_width() != 0, &[Role::LayerTable, Role::LayerGate, Role::LayerProject, Role::LayerNorm])
}

/// Roles of the head, pooler and classifier, outside the layers.
const fn output_roles(config: &Config) -> RoleSet {
    RoleSet(0)
        .with(config.final_norm, &[Role::FinalNorm])
        .with(config.final_norm && config.has_cross(), &[Role::EncoderNorm])
        .with(config.has_head(), &[Role::Head])
        .with(!matches!(config.pooler, Pooler::None), &[Role::Pooler])
        .with(config.labels != 0, &[Role::Classifier])
}

/// The order of an image's tensors, which follows from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorOrder {
    input: RoleSet,
    /// Roles of a layer of an encoder-decoder's encoder.
    encoder: RoleSet,
    /// Roles of any other layer.
    layer: RoleSet,
    output: RoleSet,
    /// Sizes of the first three sets: counting bits is slow on microcontrollers.
    input_len: u32,
    encoder_len: u32,
    layer_len: u32,
    encoder_layers: u32,
    layers: u32,
}

impl TensorOrder {
    /// The order under this config.
    pub const fn new(config: &Config) -> Self {
        let (input, encoder, layer) = (input_roles(config), layer_roles(config, 0), layer_roles(config, config.encoder_layers));
        TensorOrder {
            input,
            encoder,
            layer,
            output: output_roles(config),
            input_len: input.len(),
            encoder_len: encoder.len(),
            layer_len: layer.len(),
            encoder_layers: config.encoder_layers,
            layers: config.all_layers(),
        }
    }

    /// Number of tensors in the layers below `layer`.
    const fn below(&self, layer: u32) -> u32 {
        let in_encoder = if layer < self.encoder_layers { layer } else { self.encoder_layers };
        in_encoder * self.encoder_len + (layer - in_encoder) * self.layer_len
    }

    /// Number of tensors in the image.
    pub const fn count(&self) -> u32 {
        self.input_len + self.below(self.layers) + self.output.len()
    }

    /// Role and layer of tensor `index`, for an index below [`TensorOrder::count`].
    pub const fn role_at(&self, index: u32) -> (Role, Option<u32>) {
        let stack = self.input_len;
        let end = stack + self.below(self.layers);
        if index < stack {
            return (self.input.nth(index), None);
        }
        if index >= end {
            return (self.output.nth(index - end), None);
        }
        let (index, encoder) = (index - stack, self.below(self.encoder_layers));
        let (first, index, roles, len) = if index < encoder {
            (0, index, self.encoder, self.encoder_len)
        } else {
            (self.encoder_layers, index - encoder, self.layer, self.layer_len)
        };
        let of_layer = if len == 0 { 1 } else { len };
        (roles.nth(index % of_layer), Some(first + index / of_layer))
    }

    /// The inverse of [`TensorOrder::role_at`], with the layer where the role has one; `None` for a tensor that is not implied.
    pub const fn find(&self, role: Role, layer: u32) -> Option<(u32, Option<u32>)> {
        let roles = if layer < self.encoder_layers { self.encoder } else { self.layer };
        if roles.has(role) && layer < self.layers {
            return Some((self.input_len + self.below(layer) + roles.before(role), Some(layer)));
        }
        if self.input.has(role) {
            return Some((self.input.before(role), None));
        }
        if self.output.has(role) { Some((self.input_len + self.below(self.layers) + self.output.before(role), None)) } else { None }
    }
}

/// Shape `(rows, columns)` of a role under this config.
pub const fn shape_of(config: &Config, role: Role) -> (u32, u32) {
    let d_model = config.d_model;
    let of_norm = match config.norm {
        NormKind::Rms => 1,
        NormKind::Layer => 2,
    };
    match role {
        Role::Embedding | Role::Head => (config.vocab, d_model),
        Role::Positions => (config.context, d_model),
        Role::EncoderPositions => (config.encoder_context, d_model),
        Role::QueryNorm | Role::KeyNorm => (of_norm, config.head_dim),
        Role::Qkv => (config.qkv_dim(), d_model),
        Role::CrossQuery => (config.q_dim(), d_model),
        Role::CrossKv => (2 * config.kv_dim(), d_model),
        Role::AttnOut | Role::CrossOut => (d_model, config.q_dim()),
        Role::MlpUp => (config.mlp_up_dim(), d_model),
        Role::MlpDown => (d_model, config.d_hidden),
        Role::LayerTable => (config.vocab, config.layer_width()),
        Role::LayerGate => (config.layer_width(), d_model),
        Role::LayerProject => (d_model, config.layer_width()),
        Role::Conv1 => match config.input_stem {
            InputStem::Convolution => (d_model, 3 * config.features),
            _ => (d_model, config.features),
        },
        Role::Conv2 => (d_model, 3 * d_model),
        Role::ClassToken => (1, d_model),
        Role::KeyOffset => (1, config.kv_dim()),
        Role::ScoreBias | Role::EncoderScoreBias => match config.positions {
            PositionKind::T5Relative => (config.heads, 2 * BIAS_SPAN as u32 + 1),
            _ => (config.heads, 1),
        },
        Role::Pooler => (d_model, d_model),
        Role::Classifier => (config.labels, d_model),
        _ => (of_norm, d_model),
    }
}
