//! The enumerations of the format: one byte of the header each.

/// Defines an enumeration that the header states in one byte.
macro_rules! kind {
    ($(#[$about:meta])* enum $name:ident { $($(#[$what:meta])* $variant:ident = $byte:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$what])* $variant = $byte,)+
        }

        impl $name {
            /// The variant with this number; `None` for an unknown one.
            pub const fn from_byte(byte: u8) -> Option<Self> {
                match byte {
                    $($byte => Some($name::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

kind! {
    /// The stacks of a model.
    enum Architecture {
        /// A stack of blocks that predicts the next token (Radford et al. 2018).
        Decoder = 0,
        /// A stack of bidirectional blocks whose rows are pooled or classified (Devlin et al. 2018, section 3).
        Encoder = 1,
        /// An encoder, and a decoder with cross-attention to the encoder's rows (Vaswani et al. 2017, section 3.1).
        EncoderDecoder = 2,
    }
}

kind! {
    /// Normalization of a token's row.
    enum NormKind {
        /// RMSNorm, `x / rms(x) * scale` (Zhang and Sennrich 2019).
        Rms = 0,
        /// Layer norm, `(x - mean) / std * scale + bias` (Ba et al. 2016).
        Layer = 1,
    }
}

kind! {
    /// Where a block normalizes (Xiong et al. 2020).
    enum NormPlacement {
        /// Before attention and MLP: `x + f(norm(x))`.
        Pre = 0,
        /// After the residual sum: `norm(x + f(x))`, as in Vaswani et al. 2017.
        Post = 1,
        /// On both sides: `x + post_norm(f(norm(x)))` (Ding et al. 2021, section 2.3).
        Sandwich = 2,
    }
}

kind! {
    /// The MLP's activation function. A gated MLP with it is ReGLU, GeGLU or SwiGLU (Shazeer 2020).
    enum Activation {
        /// `max(x, 0)`.
        Relu = 0,
        /// Gaussian error linear unit in its tanh form (Hendrycks and Gimpel 2016, section 2).
        GeluTanh = 1,
        /// `x * sigmoid(x)`.
        Silu = 2,
        /// Gaussian error linear unit, `x * Phi(x)` with the normal distribution itself (Hendrycks and Gimpel 2016, section 2).
        GeluErf = 3,
        /// `max(x, 0)^2` (So et al. 2021, section 3).
        SquaredRelu = 4,
    }
}

kind! {
    /// How positions are encoded.
    enum PositionKind {
        /// No positions.
        None = 0,
        /// RoPE: rotation of neighboring pairs of queries and keys (Su et al. 2021).
        Rotary = 1,
        /// A table with a row per position, added to the embedding: learned, or sines and cosines (Vaswani et al. 2017, section 3.5).
        LearnedAbsolute = 2,
        /// ALiBi: scores fall linearly with the distance, by a slope per head (Press et al. 2022, section 3).
        Alibi = 3,
        /// T5 relative position bias: a learned addend to the scores for each head and range of distances (Raffel et al. 2020, section 2.1).
        T5Relative = 4,
    }
}

kind! {
    /// Which keys a query attends to.
    enum MaskKind {
        /// Causal mask: the token itself and every earlier one.
        Causal = 0,
        /// Sliding window: the token itself and the `window - 1` tokens before it (Child et al. 2019; Beltagy et al. 2020).
        Window = 1,
        /// Every token of the sequence: encoders only.
        Bidirectional = 2,
        /// At most `window` tokens on either side, and the first `globals` tokens, which attend to all tokens and are attended to by all
        /// (Beltagy et al. 2020, section 3; Zaheer et al. 2020, section 2): encoders only.
        Local = 3,
        /// Prefix LM: a bidirectional prefix, then causal (Liu et al. 2018, section 4.2.4; Dong et al. 2019): decoders only.
        Prefix = 4,
    }
}

kind! {
    /// How queries, keys and values are combined.
    enum AttentionKind {
        /// Softmax over scaled products (Vaswani et al. 2017, section 3.2.1).
        Softmax = 0,
        /// Linear attention with a running state, `phi(q) S / (phi(q) z)` and `phi(x) = elu(x) + 1` (Katharopoulos et al. 2020, equations 8
        /// and 16 to 20): memory does not grow with the text.
        Linear = 1,
    }
}

kind! {
    /// How an encoder's rows become one embedding.
    enum Pooling {
        /// No pooling: a decoder has a head, or every row is classified.
        None = 0,
        /// The mean of all rows (Reimers and Gurevych 2019, section 3).
        Mean = 1,
        /// The first row, that of the BOS (`[CLS]`) token (Devlin et al. 2018, section 3).
        First = 2,
        /// The last row (Neelakantan et al. 2022, section 2.1).
        Last = 3,
    }
}

kind! {
    /// The unit that the classifier labels: whole sequences, or tokens.
    enum Classifier {
        /// No classifier: the output is logits of the next token, or an embedding.
        None = 0,
        /// Whole sequences, by their pooled row (Devlin et al. 2018, section 4.1).
        Sequence = 1,
        /// Every token (Devlin et al. 2018, section 5.3); with two labels, the start and the end of an answer (section 4.2).
        Tokens = 2,
    }
}

kind! {
    /// The activation function of a dense layer between pooling and classifier.
    enum Pooler {
        /// No dense layer.
        None = 0,
        /// `tanh(W x + b)` (Devlin et al. 2018).
        Tanh = 1,
        /// `max(W x + b, 0)` (Sanh et al. 2019).
        Relu = 2,
    }
}

kind! {
    /// The input stem: the layers that produce the rows of the first block.
    enum InputStem {
        /// A token embedding table.
        Tokens = 0,
        /// Patch embedding, a linear layer over rows of features: image patches (Dosovitskiy et al. 2021, section 3.1), frames of sound (Berg
        /// et al. 2021).
        Patches = 1,
        /// Two convolutions of width 3 over rows of features, the second with stride 2, each followed by the activation (Radford et al. 2022,
        /// section 2.2).
        Convolution = 2,
    }
}

kind! {
    /// Element type of the KV cache.
    enum KvType {
        /// 32-bit float.
        F32 = 0,
        /// IEEE 754 binary16.
        F16 = 1,
        /// 8-bit integers with one scale per token.
        Int8 = 2,
    }
}

impl Architecture {
    /// The name that users see.
    pub const fn name(self) -> &'static str {
        match self {
            Architecture::Decoder => "decoder",
            Architecture::Encoder => "encoder",
            Architecture::EncoderDecoder => "encoder-decoder",
        }
    }
}

impl KvType {
    /// The name that users see.
    pub const fn name(self) -> &'static str {
        match self {
            KvType::F32 => "f32",
            KvType::F16 => "f16",
            KvType::Int8 => "int8",
        }
    }
}
