//! Messages: what a host asks and what a board answers. Each is the postcard payload of one frame.
//!
//! A request is answered by any number of partial replies and one final reply: the requested value, [`Reply::Done`] or [`Reply::Failed`].
//! [`Request::Input`], [`Request::Chunk`] and [`Request::Cancel`] have no reply of their own; the endpoint acknowledges them.

use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// A request of the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Asks for [`Reply::Hello`].
    Hello,
    /// Asks for [`Reply::Slot`] of slot 0 or 1.
    Slot(u8),
    /// Asks for [`Reply::Label`]: the name of a classifier's label.
    Label(u32),
    /// Replays the model's golden vector.
    SelfTest,
    /// Stores a part of the input of the next [`Request::Run`], [`Request::Encode`] or [`Request::Attention`].
    Input {
        /// Offset of the part, bytes.
        at: u32,
        /// The part.
        bytes: &'a [u8],
    },
    /// Generates text after the input: [`Reply::Piece`]s.
    Run(Run),
    /// Encodes the input: [`Reply::Values`], an embedding or a classifier's logits.
    Encode(Input),
    /// Prefills the input and sends the attention weights of one head: [`Reply::Attention`]s.
    Attention {
        /// The input.
        input: Input,
        /// The layer.
        layer: u32,
        /// The query head.
        head: u32,
    },
    /// Measures each operator in one pass over the golden vector's tokens: [`Reply::Operator`]s.
    Bench,
    /// Ends a running request.
    Cancel,
    /// Begins an upload or goes on with the same one: [`Reply::Resume`].
    Begin(Upload),
    /// The next bytes of the upload.
    Chunk(&'a [u8]),
    /// All bytes were sent: checks the new model, has it test itself, switches to it.
    Finish,
    /// Erases slot 0 or 1.
    Erase(u8),
    /// Stores the public key of models, once.
    Provision([u8; 32]),
    /// Asks for the log: [`Reply::Log`]s.
    Logs,
}

/// The kind of an input, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The kind.
    pub kind: InputKind,
    /// Bytes that were sent as [`Request::Input`].
    pub bytes: u32,
}

/// The kind of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputKind {
    /// UTF-8 text for the model's tokenizer.
    Text,
    /// Tokens, `u32` little-endian.
    Tokens,
    /// Audio samples for the model's front end, `i16` little-endian.
    Samples,
    /// Rows of features, `f32` little-endian.
    Features,
}

/// A generation: its prompt, limit and sampling parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The prompt, text or tokens.
    pub input: Input,
    /// Tokens to generate at most; `u32::MAX`: until the context is full.
    pub limit: u32,
    /// Divisor of the logits; 0 is greedy.
    pub temperature: f32,
    /// Number of most likely tokens to keep; 0 keeps all.
    pub top_k: u32,
    /// Keep the most likely tokens that reach this cumulative probability (nucleus sampling).
    pub top_p: f32,
    /// Divisor of the logits of tokens that occurred already; 1 is off.
    pub repetition_penalty: f32,
    /// Random seed.
    pub seed: u64,
}

/// The image that an upload brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Bytes of the image.
    pub bytes: u32,
    /// CRC-32 of the whole image; tells whether an earlier upload of the same image can go on.
    pub checksum: u32,
    /// Version of the model, as the image states it.
    pub version: u32,
    /// From the switch on, the least version that the board accepts; it never falls.
    pub min_version: Option<u32>,
    /// The image's signature, its last 64 bytes, so that it is verified while the image arrives; `None` for an image without one.
    #[serde(with = "signature")]
    pub signature: Option<[u8; 64]>,
}

/// A reply of the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// The board.
    Hello(#[serde(borrow)] Hello<'a>),
    /// A slot.
    Slot(#[serde(borrow)] SlotInfo<'a>),
    /// The name of a label; empty if the image has no names.
    Label(&'a str),
    /// A generated token and the text that it completes.
    Piece {
        /// The token; `None` for text that was held back until the end.
        token: Option<u32>,
        /// Ticks of choosing this token and of feeding the one before it.
        ticks: u64,
        /// Whole UTF-8 characters.
        text: &'a str,
    },
    /// The next values of an encoder's output, `f32` little-endian.
    Values(&'a [u8]),
    /// Attention weights of the requested head for a range of keys.
    Attention {
        /// The query's position.
        position: u32,
        /// The first key's position.
        key: u32,
        /// One weight for each key, `u32` little-endian, in units of the row's sum.
        weights: &'a [u8],
    },
    /// The time of an operator.
    Operator {
        /// The operator.
        name: &'a str,
        /// Ticks in all its calls.
        ticks: u64,
    },
    /// The upload can begin.
    Resume {
        /// The slot that it goes to.
        slot: u8,
        /// Bytes that are there from an earlier, interrupted upload: the first chunk begins here.
        at: u32,
    },
    /// A line of the log.
    Log(&'a str),
    /// The request is done.
    Done(Done),
    /// The request failed.
    Failed(#[serde(borrow)] Fault<'a>),
}

/// A board and its program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// The board's name in [`crate::boards`].
    pub board: &'a str,
    /// Version of the engine.
    pub engine: &'a str,
    /// Number of the numeric specification.
    pub numerics: u32,
    /// Features of the engine in the program, one bit each, in the order of [`FEATURES`].
    pub features: u32,
    /// Bytes for the arena and the input together.
    pub arena_bytes: u32,
    /// Bytes of a slot.
    pub slot_bytes: u32,
    /// Ticks per second of all times.
    pub ticks_per_second: u32,
    /// The meaning of a tick.
    pub counts: Counts,
    /// The slot that runs.
    pub running: Option<u8>,
    /// Whether models must be signed.
    pub has_key: bool,
    /// Least model version that is accepted.
    pub min_version: u32,
}

/// The meaning of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counts {
    /// A cycle of the CPU.
    Cycles,
    /// An instruction, in an emulator that counts them.
    Instructions,
    /// Time alone.
    Time,
}

/// Names of the engine's features, in the order of the bits of [`Hello::features`].
pub const FEATURES: [&str; 15] = [
    "bpe",
    "byte-bpe",
    "wordpiece",
    "unigram",
    "encoder",
    "linear-attention",
    "audio",
    "pictures",
    "int8",
    "int4",
    "a12",
    "f16",
    "f32",
    "kv-int8",
    "kv-float",
];

/// A slot and what it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SlotInfo<'a> {
    /// Its state.
    #[serde(borrow)]
    pub state: SlotState<'a>,
    /// Bytes of the image; 0 without one.
    pub bytes: u32,
    /// CRC-32 of the image.
    pub checksum: u32,
    /// Expected output hash of the golden vector.
    pub golden: u32,
    /// Bytes of arena that the model needs.
    pub arena_bytes: u32,
    /// Version of the model.
    pub version: u32,
    /// Whether the image ends with a signature.
    pub is_signed: bool,
    /// Whether the board's kernels read the image's layout at full speed.
    pub has_fast_layout: bool,
    /// Number of labels, if the model is a classifier.
    pub labels: u32,
    /// Sample rate of the audio that the model reads, Hz; 0 if it reads none.
    pub sample_rate: u32,
    /// Width of the rows of features that the model reads; 0 if it reads none.
    pub row_width: u32,
    /// Name of the model.
    pub name: &'a str,
}

/// State of a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SlotState<'a> {
    /// It holds no image.
    Empty,
    /// It holds a model that can run.
    Ready,
    /// It holds the model that runs.
    Running,
    /// An upload to it was interrupted after so many bytes.
    Uploading {
        /// Whole sectors that are there, bytes.
        done: u32,
        /// Bytes of the image.
        bytes: u32,
    },
    /// It holds an image that cannot run.
    Bad(#[serde(borrow)] Fault<'a>),
}

/// Figures of a finished request; 0 where they do not apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Output hash of a generation or of an encoder's output.
    pub output_hash: u32,
    /// Tokens of the prompt or of the input.
    pub tokens: u32,
    /// Tokens that were truncated at the end of the input.
    pub truncated: u32,
    /// The reason why a generation ended.
    pub end: End,
    /// Ticks of the prefill, of the encoder, of a self-test or of an upload's checks.
    pub ticks: u64,
    /// Ticks of generating all tokens.
    pub ticks_decode: u64,
}

/// The reason why a generation ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It was no generation.
    #[default]
    None,
    /// The model generated EOS.
    EndOfText,
    /// The limit of tokens was reached.
    Limit,
    /// The context is full.
    ContextFull,
    /// The host cancelled it.
    Cancelled,
}

impl End {
    /// The name that users see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            End::None => "done",
            End::EndOfText => "end_of_text",
            End::Limit => "limit",
            End::ContextFull => "context_full",
            End::Cancelled => "cancelled",
        }
    }
}

/// Serializes 64 bytes as two arrays of 32, the longest that serde knows.
mod signature {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Halves = Option<([u8; 32], [u8; 32])>;

    pub fn serialize<S: Serializer>(bytes: &Option<[u8; 64]>, serializer: S) -> Result<S::Ok, S::Error> {
        let halves: Halves = bytes.and_then(|bytes| bytes.split_first_chunk().and_then(|(r, s)| Some((*r, *s.first_chunk()?))));
        halves.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 64]>, D::Error> {
        let halves = Halves::deserialize(deserializer)?;
        Ok(halves.map(|(r, s)| {
            let mut bytes = [0; 64];
            bytes.iter_mut().zip(r.iter().chain(&s)).for_each(|(to, from)| *to = *from);
            bytes
        }))
    }
}
