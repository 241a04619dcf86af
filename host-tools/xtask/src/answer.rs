//! The report of a finished job, collected from a machine's frames: the JSON that `cargo xtask qemu` prints.

use attoformer_protocol::job::{Answer, Frame};
use serde::Serialize;

/// Results of one job. The instruction count is the emulator's; it is not a cycle count.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The machine's name.
    pub machine: String,
    /// Generated tokens, without the prompt.
    pub tokens: Vec<u32>,
    /// Generated text.
    pub text: String,
    /// Hash over the logits and tokens of every sampled position, eight hexadecimal digits.
    pub output_hash: String,
    /// Running hash after each token: the first difference between two machines is the first token that differs.
    pub token_hashes: Vec<String>,
    /// Tokens in the prompt.
    pub prompt_tokens: u32,
    /// Instructions of the encoder's forward pass, for a model with an encoder.
    #[serde(skip_serializing_if = "is_zero")]
    pub instructions_encode: u64,
    /// Instructions of the prefill of the whole prompt.
    pub instructions_prefill: u64,
    /// Instructions of each decode step: sampling a token and feeding it.
    pub instructions_per_token: Vec<u64>,
    /// Bytes of the program in flash.
    pub flash_bytes_code: u32,
    /// Bytes of the image in flash.
    pub flash_bytes_model: u32,
    /// Bytes of the arena that the plan needs.
    pub ram_bytes_arena: u32,
    /// Bytes of the audio front end's features and scratch buffer; 0 without audio.
    #[serde(skip_serializing_if = "is_zero_bytes")]
    pub ram_bytes_frontend: u32,
    /// Bytes of the arena up to the last written one.
    pub arena_high_water: u32,
    /// Bytes of statics.
    pub ram_bytes_static: u32,
    /// Stack size in use at the deepest point, in bytes.
    pub stack_high_water: u32,
    /// Whether the golden vector matched on this machine; false if the planned context is too small for it.
    pub self_test: bool,
    /// Whether the model produced its end-of-sequence token.
    pub ended: bool,
    /// Raw logits of every position fed, f32 little-endian; empty unless the job requested them.
    #[serde(skip)]
    pub logits: Vec<u8>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn is_zero_bytes(bytes: &u32) -> bool {
    *bytes == 0
}

impl Report {
    /// Creates an empty report of a machine.
    pub fn new(machine: &str) -> Self {
        Self { machine: machine.to_owned(), ..Self::default() }
    }

    /// Adds one frame.
    pub fn add(&mut self, frame: &Frame<'_>) {
        match *frame {
            Frame::Ready { arena_bytes, self_tested } => {
                self.self_test = self_tested;
                self.ram_bytes_arena = arena_bytes;
            }
            Frame::Encoded { instructions } => self.instructions_encode = instructions,
            Frame::Prefilled { tokens, instructions } => {
                self.prompt_tokens = tokens;
                self.instructions_prefill = instructions;
            }
            Frame::Token { token, hash } => {
                self.tokens.push(token);
                self.token_hashes.push(format!("{hash:08x}"));
            }
            Frame::Fed { instructions } => self.instructions_per_token.push(instructions),
            Frame::Text(text) => self.text.push_str(text),
            Frame::Logits(bytes) => self.logits.extend_from_slice(bytes),
            Frame::Done(answer) => self.finish(&answer),
            Frame::Log(_) | Frame::Attention { .. } | Frame::Calibrated { .. } | Frame::Failed(_) => {}
        }
    }

    fn finish(&mut self, answer: &Answer) {
        self.output_hash = format!("{:08x}", answer.output_hash);
        self.ended = answer.ended;
        self.flash_bytes_code = answer.flash_bytes_code;
        self.flash_bytes_model = answer.flash_bytes_model;
        self.ram_bytes_arena = answer.ram_bytes_arena;
        self.arena_high_water = answer.arena_high_water;
        self.ram_bytes_frontend = answer.ram_bytes_frontend;
        self.ram_bytes_static = answer.ram_bytes_static;
        self.stack_high_water = answer.stack_high_water;
    }
}
