//! What a host and a board say to each other.
//!
//! In: one [`Job`], a block of bytes that lies in the board's memory before the program starts. Out: a stream of
//! [`Frame`]s, each postcard in COBS with a zero byte behind it, over whatever carries bytes (semihosting here, a
//! UART on a real board). Frames are small and leave as soon as their content exists, so the board keeps no list of
//! tokens and no text, and the host shows a story while it is being written.
#![no_std]

use serde::{Deserialize, Serialize};

/// The first bytes of a job block; a `u32` length and the postcard of a [`Job`] follow, then, at the next multiple of four, what its [`Source`] names.
pub const JOB_MAGIC: [u8; 4] = *b"ATJ1";
/// Bytes in front of the postcard: magic and length.
pub const JOB_HEADER: usize = 8;
/// A job block has at most this many bytes.
pub const MAX_JOB: usize = 64 * 1024;
/// A prompt has at most this many tokens.
pub const MAX_PROMPT: usize = 1024;
/// Bytes of payload that fit one [`Frame::Text`], [`Frame::Logits`], [`Frame::Log`] or [`Frame::Failed`].
pub const MAX_PAYLOAD: usize = 256;
/// A frame on the wire has at most this many bytes, COBS and the zero at its end included.
pub const MAX_FRAME: usize = MAX_PAYLOAD + 64;

/// What the board is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job<'a> {
    /// Bytes of the source behind the job.
    pub source_bytes: u32,
    /// Address of the image in the board's memory.
    pub image_at: u32,
    /// Bytes of the image.
    pub image_bytes: u32,
    /// The work itself.
    #[serde(borrow)]
    pub task: Task<'a>,
}

/// The kinds of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Task<'a> {
    /// Run the model.
    Generate(#[serde(borrow)] Generate<'a>),
    /// Run a loop of known length and report how many instructions the counter saw.
    Calibrate {
        /// Instructions of the loop.
        instructions: u32,
    },
    /// Read a prompt and send what one head looks at; programs built with the feature `attention` can.
    Attention(#[serde(borrow)] Attention<'a>),
}

/// A head to watch while a prompt is read.
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

/// A prompt and how to go on from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generate<'a> {
    /// What an encoder reads first.
    pub source: Source,
    /// Where the text begins.
    #[serde(borrow)]
    pub prompt: Prompt<'a>,
    /// Tokens to generate at most.
    pub generate: u32,
    /// Context to plan for; the packed one when absent.
    pub context: Option<u32>,
    /// Tokens that one weight read serves during prefill; the default of the engine when absent.
    pub block: Option<u32>,
    /// Feed the prompt in pieces of this many tokens; all at once when absent.
    pub chunk: Option<u32>,
    /// Give the engine an arena of this many bytes; what the plan asks for when absent.
    pub arena_bytes: Option<u32>,
    /// How to choose the next token.
    pub sampling: Sampling,
    /// Send the raw logits of every position as well; the prompt is then fed token by token.
    pub logits: bool,
}

/// What an encoder reads: its elements lie behind the job, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// Nothing: the model is a decoder.
    #[default]
    Nothing,
    /// Tokens, `u32`.
    Tokens,
    /// Rows of features, `f32`.
    Features,
    /// Sound for the image's front end, `i16`.
    Samples,
}

/// Where what follows a postcard of `length` bytes begins in a job block.
pub const fn source_at(length: usize) -> usize {
    (JOB_HEADER + length).next_multiple_of(4)
}

/// Text for the image's tokenizer, or tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Prompt<'a> {
    /// Text.
    Text(&'a str),
    /// Tokens, four little-endian bytes each.
    Tokens(&'a [u8]),
}

/// Sampling parameters; `temperature` 0 takes the likeliest token.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Divides the logits; 0 is greedy.
    pub temperature: f32,
    /// Keep this many tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the likeliest tokens whose probabilities reach this sum.
    pub top_p: f32,
    /// Seed of the generator.
    pub seed: u64,
}

impl Sampling {
    /// The likeliest token, always.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0 };
}

/// What the board says while it works.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Frame<'a> {
    /// One raw defmt log frame.
    Log(&'a [u8]),
    /// The image is open and the session made.
    Ready {
        /// Arena bytes that the plan asks for.
        arena_bytes: u32,
        /// The golden vector came out right; false when the plan's context is too small for it.
        self_tested: bool,
    },
    /// The source has been encoded.
    Encoded {
        /// Instructions it took, hashing and sending the output among them.
        instructions: u64,
    },
    /// The prompt has been read.
    Prefilled {
        /// Tokens of the prompt.
        tokens: u32,
        /// Instructions it took, without the tokenizer.
        instructions: u64,
    },
    /// One token was chosen.
    Token {
        /// The token.
        token: u32,
        /// The running output hash, this token included.
        hash: u32,
    },
    /// The token before was fed.
    Fed {
        /// Instructions of feeding it and of choosing the next one.
        instructions: u64,
    },
    /// A piece of text, whole UTF-8 characters.
    Text(&'a str),
    /// Logits of a position, f32 little-endian, in several frames when they are many.
    Logits(&'a [u8]),
    /// The instructions that the counter saw during [`Task::Calibrate`].
    Calibrated {
        /// Instructions counted.
        counted: u64,
        /// Instructions that the shortest countable region reads as.
        overhead: u64,
    },
    /// What the head of [`Task::Attention`] gives a run of keys.
    Attention {
        /// The query's position.
        position: u32,
        /// The first key's position.
        key: u32,
        /// A weight for each key, `u32` little-endian, in units of the row's sum.
        weights: &'a [u8],
    },
    /// The work is done.
    Done(Answer),
    /// The work cannot be done: a sentence.
    Failed(&'a str),
}

/// The figures of a finished job, all in bytes but the hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Output hash over every sampled position, or over what an encoder puts out.
    pub output_hash: u32,
    /// Why the text ended: the model said so.
    pub ended: bool,
    /// Program in flash: code, constants and the initial values of statics.
    pub flash_bytes_code: u32,
    /// The image in flash.
    pub flash_bytes_model: u32,
    /// Arena that the plan asked for.
    pub ram_bytes_arena: u32,
    /// Features and scratch of the front end, where sound was heard.
    pub ram_bytes_frontend: u32,
    /// Highest byte of the arena that was written, plus one.
    pub arena_high_water: u32,
    /// Statics of the program.
    pub ram_bytes_static: u32,
    /// Stack bytes in use at the deepest point.
    pub stack_high_water: u32,
}
