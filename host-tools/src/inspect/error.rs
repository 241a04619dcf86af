//! Requests that a model or its input does not support.

/// A request that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The model reads audio or pictures.
    #[error("this model reads audio or pictures; inspect supports models that read tokens")]
    NotTokens,
    /// The view needs next-token predictions.
    #[error("it is an encoder and predicts no next token, which {view} needs; use --attention")]
    Encoder {
        /// The view.
        view: &'static str,
    },
    /// The view supports decoders only.
    #[error("it is an encoder-decoder; {view} supports decoders only; --attention shows its encoder")]
    EncoderDecoder {
        /// The view.
        view: &'static str,
    },
    /// Linear attention has no weights per token.
    #[error("its attention is linear: it keeps running sums and has no attention weights to show")]
    LinearAttention,
    /// The rows of a board do not fit the model and prompt.
    #[error("the rows of {machine} (layer {layer}, head {head}) do not match this model and prompt")]
    BoardRows {
        /// Name of the machine.
        machine: String,
        /// Layer of the head.
        layer: u32,
        /// The head.
        head: u32,
    },
    /// A neuron outside the model.
    #[error("no neuron {layer}:{index}; the model has {layers} layers of {d_hidden} neurons, counted from 0")]
    Neuron {
        /// Requested layer.
        layer: usize,
        /// Requested index.
        index: usize,
        /// Layers of the model.
        layers: usize,
        /// Neurons per layer.
        d_hidden: usize,
    },
    /// Patching needs prompts of equal length.
    #[error("the prompt has {prompt} tokens and the other one {other}; patching needs prompts of equal length")]
    PromptLengths {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens of the other prompt.
        other: usize,
    },
    /// Patching needs prompts with different answers.
    #[error("both prompts give the answer the same probability, so patching can recover nothing; choose another --target")]
    SameAnswer,
    /// A target text of several tokens.
    #[error("{text:?} is not one token of this model but {count}: {pieces}; name one of them")]
    SeveralTokens {
        /// The text.
        text: String,
        /// Its tokens.
        count: usize,
        /// Their texts.
        pieces: String,
    },
    /// The tokenizer fails.
    #[error(transparent)]
    Tokenizer(#[from] attoformer::Error),
}
