//! One job for an emulated machine, without a link.
//!
//! In: one [`Job`], a block of bytes in the machine's memory before the program starts. Out: a stream of [`Frame`]s, each postcard in COBS with a zero
//! byte as terminator, over semihosting. Frames are small and are sent as soon as their content exists, so the machine buffers neither tokens nor text,
//! and the host shows a story while it is generated.

use serde::{Deserialize, Serialize};

/// First bytes of a job block. A `u32` length and the postcard of a [`Job`] follow, then, at the next multiple of four, the data of its [`Source`].
pub const JOB_MAGIC: [u8; 4] = *b"ATJ1";
/// Bytes before the postcard: magic and length.
pub const JOB_HEADER: usize = 8;
/// Maximum size of a job block, in bytes.
pub const MAX_JOB: usize = 64 * 1024;
/// Maximum number of tokens of a prompt.
pub const MAX_PROMPT: usize = 1024;
/// Bytes of payload that fit one [`Frame::Text`], [`Frame::Logits`], [`Frame::Log`] or [`Frame::Failed`].
pub const MAX_PAYLOAD: usize = 256;
/// Maximum size of an encoded frame, in bytes, with COBS and the terminating zero.
pub const MAX_FRAME: usize = MAX_PAYLOAD + 64;

/// A job for the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job<'a> {
    /// Bytes of the source data after the job.
    pub source_bytes: u32,
    /// Address of the image in the board's memory.
    pub image_at: u32,
    /// Bytes of the image.
    pub image_bytes: u32,
    /// The task.
    #[serde(borrow)]
    pub task: Task<'a>,
}

/// A kind of task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Task<'a> {
    /// Run the model.
    Generate(#[serde(borrow)] Generate<'a>),
    /// Run a loop of known length and report its instruction count.
    Calibrate {
        /// Instructions of the loop.
        instructions: u32,
    },
    /// Prefill a prompt and send the attention weights of one head; needs the feature `attention`.
    Attention(#[serde(borrow)] Attention<'a>),
}

/// A prompt, and the head whose attention weights are sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attention<'a> {
    /// The prompt.
    #[serde(borrow)]
    pub prompt: Prompt<'a>,
    /// The layer.
    pub layer: u32,
    /// The head.
    pub head: u32,
}

/// A prompt and the settings of its continuation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generate<'a> {
    /// Input of the encoder.
    pub source: Source,
    /// Prompt of the decoder.
    #[serde(borrow)]
    pub prompt: Prompt<'a>,
    /// Maximum number of tokens to generate.
    pub generate: u32,
    /// Context length to plan for; `None`: the packed one.
    pub context: Option<u32>,
    /// Prefill block: tokens per pass over the weights; `None`: the engine's default.
    pub block: Option<u32>,
    /// Feed the prompt in chunks of this many tokens; `None`: all at once.
    pub chunk: Option<u32>,
    /// Size of the arena in bytes; `None`: the plan's.
    pub arena_bytes: Option<u32>,
    /// Sampling parameters.
    pub sampling: Sampling,
    /// Also send the raw logits of every position; the prompt is then fed token by token.
    pub logits: bool,
}

/// Input of an encoder: its elements follow the job, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// No input: the model is a decoder.
    #[default]
    Nothing,
    /// Tokens, `u32`.
    Tokens,
    /// Feature rows, `f32`.
    Features,
    /// Audio samples for the image's front end, `i16`.
    Samples,
}

/// Offset of the source data in a job block whose postcard has `length` bytes.
pub const fn source_at(length: usize) -> usize {
    (JOB_HEADER + length).next_multiple_of(4)
}

/// A prompt: text for the image's tokenizer, or tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Prompt<'a> {
    /// Text.
    Text(&'a str),
    /// Tokens, four little-endian bytes each.
    Tokens(&'a [u8]),
}

/// Sampling parameters; temperature 0 is greedy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Divisor of the logits; 0 is greedy.
    pub temperature: f32,
    /// Number of most likely tokens to keep; 0 keeps all.
    pub top_k: u32,
    /// Keep the most likely tokens that reach this cumulative probability (nucleus sampling).
    pub top_p: f32,
    /// Random seed.
    pub seed: u64,
}

impl Sampling {
    /// Greedy sampling.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0 };
}

/// A message from the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Frame<'a> {
    /// One raw defmt log frame.
    Log(&'a [u8]),
    /// The image and the session are open.
    Ready {
        /// Arena bytes that the plan needs.
        arena_bytes: u32,
        /// Whether the golden vector matched; false if the plan's context is too small for it.
        self_tested: bool,
    },
    /// The source has been encoded.
    Encoded {
        /// Instruction count, with hashing and sending the output.
        instructions: u64,
    },
    /// The prompt has been prefilled.
    Prefilled {
        /// Tokens of the prompt.
        tokens: u32,
        /// Instruction count, without the tokenizer.
        instructions: u64,
    },
    /// One token was sampled.
    Token {
        /// The token.
        token: u32,
        /// Running output hash, including this token.
        hash: u32,
    },
    /// The last sampled token was fed.
    Fed {
        /// Instruction count of sampling and feeding it.
        instructions: u64,
    },
    /// Text of whole UTF-8 characters.
    Text(&'a str),
    /// Logits of a position, f32 little-endian, split into several frames if necessary.
    Logits(&'a [u8]),
    /// Result of [`Task::Calibrate`].
    Calibrated {
        /// Instructions counted.
        counted: u64,
        /// Instruction count of an empty region.
        overhead: u64,
    },
    /// Attention weights of the head of [`Task::Attention`] for a range of keys.
    Attention {
        /// The query's position.
        position: u32,
        /// The first key's position.
        key: u32,
        /// One weight for each key, `u32` little-endian, in units of the row's sum.
        weights: &'a [u8],
    },
    /// The job is done.
    Done(Answer),
    /// The job failed: a sentence.
    Failed(&'a str),
}

/// Figures of a finished job; sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Output hash over every sampled position, or over an encoder's output.
    pub output_hash: u32,
    /// Whether the model produced EOS.
    pub ended: bool,
    /// Program in flash: code, constants and the initial values of statics.
    pub flash_bytes_code: u32,
    /// The image in flash.
    pub flash_bytes_model: u32,
    /// Arena that the plan needs.
    pub ram_bytes_arena: u32,
    /// Features and scratch buffer of the audio front end.
    pub ram_bytes_frontend: u32,
    /// Highest written byte of the arena, plus one.
    pub arena_high_water: u32,
    /// Statics of the program.
    pub ram_bytes_static: u32,
    /// Stack size in use at the deepest point.
    pub stack_high_water: u32,
}
