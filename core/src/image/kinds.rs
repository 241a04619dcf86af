//! What a model can be made of: the header's one-byte fields.

/// An enumeration that a header states in one byte.
macro_rules! kind {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $byte:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$what])* $variant = $byte,)+
        }

        impl $name {
            /// The variant that a header's byte stands for.
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
    /// How the stacks are wired.
    Architecture {
        /// A stack of blocks that predicts the next token (Radford et al. 2018).
        Decoder = 0,
        /// A stack of blocks over a whole sequence (Devlin et al. 2018, section 3), whose rows are pooled or classified.
        Encoder = 1,
        /// An encoder, and a decoder whose blocks also attend to the encoder's rows (Vaswani et al. 2017, section 3.1).
        EncoderDecoder = 2,
    }
}

kind! {
    /// Normalisation of a token's row.
    NormKind {
        /// `x / rms(x) * scale` (Zhang and Sennrich 2019).
        Rms = 0,
        /// `(x - mean) / std * scale + bias` (Ba et al. 2016).
        Layer = 1,
    }
}

kind! {
    /// Where a block normalises (Xiong et al. 2020).
    NormPlacement {
        /// Before attention and MLP: `x + f(norm(x))`.
        Pre = 0,
        /// After the residual sum: `norm(x + f(x))`, as in Vaswani et al. 2017.
        Post = 1,
        /// On both sides: `x + post_norm(f(norm(x)))` (Ding et al. 2021, section 2.3).
        Sandwich = 2,
    }
}

kind! {
    /// The MLP's non-linearity.
    Activation {
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
    /// How tokens learn where they stand.
    PositionKind {
        /// Not at all.
        None = 0,
        /// Rotation of neighbouring pairs of queries and keys (Su et al. 2021).
        Rotary = 1,
        /// A row per position, added to the embedding: learned, or sines and cosines (Vaswani et al. 2017, section 3.5).
        Learned = 2,
        /// Scores fall with the distance, by a slope of each head (Press et al. 2022, section 3).
        Alibi = 3,
        /// A learned addend to the scores for each head and range of distances (Raffel et al. 2020, section 2.1).
        Buckets = 4,
    }
}

kind! {
    /// Which keys a query may see.
    MaskKind {
        /// Itself and every token before it.
        Causal = 0,
        /// Itself and the `window - 1` tokens before it (Child et al. 2019; Beltagy et al. 2020).
        Window = 1,
        /// Every token of the sequence: encoders only.
        Bidirectional = 2,
        /// At most `window` tokens to either side, and the first `globals` tokens, which see and are seen by all (Beltagy et al. 2020,
        /// section 3; Zaheer et al. 2020, section 2): encoders only.
        Local = 3,
        /// A prefix whose tokens see one another, then causal (Liu et al. 2018, section 4.2.4; Dong et al. 2019): decoders only.
        Prefix = 4,
    }
}

kind! {
    /// How a query's answer is made of keys and values.
    AttentionKind {
        /// Softmax over scaled products (Vaswani et al. 2017, section 3.2.1).
        Softmax = 0,
        /// A running state, `phi(q) S / (phi(q) z)` with `phi(x) = elu(x) + 1` (Katharopoulos et al. 2020, equations 8 and 16 to 20): memory
        /// does not grow with the text.
        Linear = 1,
    }
}

kind! {
    /// What an encoder makes of its rows.
    Pooling {
        /// Nothing: a decoder has a head, or every row is classified.
        None = 0,
        /// The mean of all rows (Reimers and Gurevych 2019, section 3).
        Mean = 1,
        /// The first row, that of the begin token (Devlin et al. 2018, section 3).
        First = 2,
        /// The last row (Neelakantan et al. 2022, section 2.1).
        Last = 3,
    }
}

kind! {
    /// What is told apart.
    Classifier {
        /// Nothing: the output is logits of the next token, or an embedding.
        None = 0,
        /// Whole sequences, by their pooled row (Devlin et al. 2018, section 4.1).
        Sequence = 1,
        /// Every row (Devlin et al. 2018, section 5.3); with two labels, where an answer begins and ends (section 4.2).
        Tokens = 2,
    }
}

kind! {
    /// A dense layer between pooling and classifier, by its non-linearity.
    Pooler {
        /// There is none.
        None = 0,
        /// `tanh(W x + b)` (Devlin et al. 2018).
        Tanh = 1,
        /// `max(W x + b, 0)` (Sanh et al. 2019).
        Relu = 2,
    }
}

kind! {
    /// What stands before the first block.
    Front {
        /// A table of tokens.
        Tokens = 0,
        /// A linear layer over rows of features: image patches (Dosovitskiy et al. 2021, section 3.1), frames of sound (Berg et al. 2021).
        Patches = 1,
        /// Two convolutions of width 3 over rows of features, the second with stride 2, an activation behind each (Radford et al. 2022,
        /// section 2.2).
        Convolution = 2,
    }
}

kind! {
    /// Element type of stored keys and values.
    KvType {
        /// 32-bit float.
        F32 = 0,
        /// IEEE 754 binary16.
        F16 = 1,
        /// Eight bits with one scale per token row.
        Int8 = 2,
    }
}
