//! What tensors are for, and which of them an image has in which order: both follow from the header.

use super::header::{Config, Front, NormKind, NormPlacement, Pooler, PositionKind};

/// Distances that a relative bias tells apart on either side; those beyond count as this one (T5's largest).
pub const BIAS_SPAN: usize = 128;

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Role {
    /// Token embedding, `(vocab, d_model)`.
    Embedding = 0,
    /// Learned positions, `(context, d_model)`.
    Positions = 1,
    /// Norm of the attention.
    AttnNorm = 2,
    /// Fused query, key and value projection, `(q_dim + 2 kv_dim, d_model)`.
    Qkv = 3,
    /// Projection of the attended values, `(d_model, q_dim)`.
    AttnOut = 4,
    /// Norm of the MLP.
    MlpNorm = 5,
    /// First MLP matrix: gate rows, then up rows when gated.
    MlpUp = 6,
    /// Second MLP matrix, `(d_model, d_hidden)`.
    MlpDown = 7,
    /// Norm before the head.
    FinalNorm = 8,
    /// Output head, `(vocab, d_model)`.
    Head = 9,
    /// Norm between the embedding and the first block.
    EmbeddingNorm = 10,
    /// Norm of each query head, `(1 or 2, head_dim)`.
    QueryNorm = 11,
    /// Norm of each key head.
    KeyNorm = 12,
    /// Norm behind the attention, of [`NormPlacement::Sandwich`](super::header::NormPlacement::Sandwich).
    AttnPostNorm = 13,
    /// Norm behind the MLP.
    MlpPostNorm = 14,
    /// Norm of the attention to the encoder's rows.
    CrossNorm = 15,
    /// Its query projection, `(q_dim, d_model)`.
    CrossQuery = 16,
    /// Its fused key and value projection of the encoder's rows, `(2 kv_dim, d_model)`.
    CrossKv = 17,
    /// Its output projection, `(d_model, q_dim)`.
    CrossOut = 18,
    /// A layer's own token table, `(vocab, layer_dim)`.
    LayerTable = 19,
    /// Gate of its rows, `(layer_dim, d_model)`.
    LayerGate = 20,
    /// Projection of the gated rows, `(d_model, layer_dim)`.
    LayerProject = 21,
    /// Norm of what is added.
    LayerNorm = 22,
    /// Projection of patches `(d_model, features)`, or first convolution `(d_model, 3 * features)`.
    FrontFirst = 23,
    /// Second convolution, `(d_model, 3 * d_model)`.
    FrontSecond = 24,
    /// Row before the patches, `(1, d_model)`.
    ClassToken = 25,
    /// Positions of an encoder-decoder's encoder, `(encoder_context, d_model)`.
    EncoderPositions = 26,
    /// Norm behind an encoder-decoder's encoder.
    EncoderNorm = 27,
    /// Slopes `(heads, 1)` or addends `(heads, buckets)` of the scores.
    ScoreBias = 28,
    /// The same of an encoder-decoder's encoder.
    EncoderScoreBias = 29,
    /// Dense layer before the classifier, `(d_model, d_model)`.
    Pooler = 30,
    /// Labels, `(labels, d_model)`.
    Classifier = 31,
}

/// Every role, by its number.
const ROLES: [Role; 32] = [
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
    Role::FrontFirst,
    Role::FrontSecond,
    Role::ClassToken,
    Role::EncoderPositions,
    Role::EncoderNorm,
    Role::ScoreBias,
    Role::EncoderScoreBias,
    Role::Pooler,
    Role::Classifier,
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
            Role::FrontFirst => "front_first",
            Role::FrontSecond => "front_second",
            Role::ClassToken => "class_token",
            Role::EncoderPositions => "encoder_positions",
            Role::EncoderNorm => "encoder_norm",
            Role::ScoreBias => "score_bias",
            Role::EncoderScoreBias => "encoder_score_bias",
            Role::Pooler => "pooler",
            Role::Classifier => "classifier",
        }
    }

    /// Whether the tensor is a norm's scale (and bias).
    pub const fn is_norm(self) -> bool {
        RoleSet::NORMS.has(self)
    }

    /// Whether the engine reads the tensor as plain f32, as it does norms and rows that stand alone.
    pub const fn is_plain(self) -> bool {
        self.is_norm() || matches!(self, Role::ClassToken | Role::ScoreBias | Role::EncoderScoreBias)
    }
}

/// Roles as bits, in the order of their numbers: what a config implies, and a tensor's place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoleSet(u32);

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
        while let [role, behind @ ..] = rest {
            bits |= 1 << *role as u32;
            rest = behind;
        }
        RoleSet(bits)
    }

    const fn with(self, there: bool, roles: &[Role]) -> RoleSet {
        if there { RoleSet(self.0 | RoleSet::of(roles).0) } else { self }
    }

    const fn has(self, role: Role) -> bool {
        self.0 >> role as u32 & 1 != 0
    }

    const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// How many of the set come before `role`.
    const fn before(self, role: Role) -> u32 {
        (self.0 & ((1 << role as u32) - 1)).count_ones()
    }

    /// The role with `before` others of the set before it.
    const fn nth(self, before: u32) -> Role {
        let mut bits = self.0;
        let mut left = before;
        while left != 0 {
            bits &= bits.wrapping_sub(1);
            left -= 1;
        }
        ROLES[(bits.trailing_zeros() & 31) as usize]
    }
}

/// Tensors before the layers.
const fn in_front(config: &Config) -> RoleSet {
    let tabled = matches!(config.positions, PositionKind::Learned);
    let biased = matches!(config.positions, PositionKind::Alibi | PositionKind::Buckets);
    RoleSet(0)
        .with(config.has_embedding(), &[Role::Embedding])
        .with(tabled, &[Role::Positions])
        .with(tabled && config.has_cross(), &[Role::EncoderPositions])
        .with(biased, &[Role::ScoreBias])
        .with(biased && config.has_cross(), &[Role::EncoderScoreBias])
        .with(config.embedding_norm, &[Role::EmbeddingNorm])
        .with(!matches!(config.front, Front::Tokens), &[Role::FrontFirst])
        .with(matches!(config.front, Front::Convolution), &[Role::FrontSecond])
        .with(config.class_token, &[Role::ClassToken])
}

/// Tensors of a layer; layers of an encoder-decoder count on from its encoder's to its decoder's.
const fn in_layer(config: &Config, layer: u32) -> RoleSet {
    RoleSet::of(&[Role::AttnNorm, Role::Qkv, Role::AttnOut, Role::MlpNorm, Role::MlpUp, Role::MlpDown])
        .with(config.qk_norm, &[Role::QueryNorm, Role::KeyNorm])
        .with(matches!(config.placement, NormPlacement::Sandwich), &[Role::AttnPostNorm, Role::MlpPostNorm])
        .with(config.has_cross() && layer >= config.encoder_layers, &[Role::CrossNorm, Role::CrossQuery, Role::CrossKv, Role::CrossOut])
        .with(config.layer_dim != 0, &[Role::LayerTable, Role::LayerGate, Role::LayerProject, Role::LayerNorm])
}

/// Tensors behind the layers.
const fn behind(config: &Config) -> RoleSet {
    RoleSet(0)
        .with(config.final_norm, &[Role::FinalNorm])
        .with(config.final_norm && config.has_cross(), &[Role::EncoderNorm])
        .with(config.has_head(), &[Role::Head])
        .with(!matches!(config.pooler, Pooler::None), &[Role::Pooler])
        .with(config.labels != 0, &[Role::Classifier])
}

/// The order of an image's tensors, as its header implies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorOrder {
    front: RoleSet,
    /// A layer of an encoder-decoder's encoder.
    encoder: RoleSet,
    /// Any other layer.
    layer: RoleSet,
    behind: RoleSet,
    encoder_layers: u32,
    layers: u32,
}

impl TensorOrder {
    /// The order under this config.
    pub const fn new(config: &Config) -> Self {
        TensorOrder {
            front: in_front(config),
            encoder: in_layer(config, 0),
            layer: in_layer(config, config.encoder_layers),
            behind: behind(config),
            encoder_layers: config.encoder_layers,
            layers: config.all_layers(),
        }
    }

    /// Tensors of all layers below `layer`.
    const fn below(&self, layer: u32) -> u32 {
        let in_encoder = if layer < self.encoder_layers { layer } else { self.encoder_layers };
        in_encoder * self.encoder.len() + (layer - in_encoder) * self.layer.len()
    }

    /// Tensors that the image must have.
    pub const fn count(&self) -> u32 {
        self.front.len() + self.below(self.layers) + self.behind.len()
    }

    /// Role and layer of tensor `index`, for an index below [`TensorOrder::count`].
    pub const fn role_at(&self, index: u32) -> (Role, Option<u32>) {
        let stack = self.front.len();
        let end = stack + self.below(self.layers);
        if index < stack {
            return (self.front.nth(index), None);
        }
        if index >= end {
            return (self.behind.nth(index - end), None);
        }
        let (index, encoder) = (index - stack, self.below(self.encoder_layers));
        let (first, index, roles) =
            if index < encoder { (0, index, self.encoder) } else { (self.encoder_layers, index - encoder, self.layer) };
        let of_layer = if roles.len() == 0 { 1 } else { roles.len() };
        (roles.nth(index % of_layer), Some(first + index / of_layer))
    }

    /// The inverse of [`TensorOrder::role_at`], with the layer where the role has one; `None` for a tensor that is not implied.
    pub const fn find(&self, role: Role, layer: u32) -> Option<(u32, Option<u32>)> {
        let roles = if layer < self.encoder_layers { self.encoder } else { self.layer };
        if roles.has(role) && layer < self.layers {
            return Some((self.front.len() + self.below(layer) + roles.before(role), Some(layer)));
        }
        if self.front.has(role) {
            return Some((self.front.before(role), None));
        }
        if self.behind.has(role) { Some((self.front.len() + self.below(self.layers) + self.behind.before(role), None)) } else { None }
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
        Role::LayerTable => (config.vocab, config.layer_dim),
        Role::LayerGate => (config.layer_dim, d_model),
        Role::LayerProject => (d_model, config.layer_dim),
        Role::FrontFirst => match config.front {
            Front::Convolution => (d_model, 3 * config.features),
            _ => (d_model, config.features),
        },
        Role::FrontSecond => (d_model, 3 * d_model),
        Role::ClassToken => (1, d_model),
        Role::ScoreBias | Role::EncoderScoreBias => match config.positions {
            PositionKind::Buckets => (config.heads, 2 * BIAS_SPAN as u32 + 1),
            _ => (config.heads, 1),
        },
        Role::Pooler => (d_model, d_model),
        Role::Classifier => (config.labels, d_model),
        _ => (of_norm, d_model),
    }
}
