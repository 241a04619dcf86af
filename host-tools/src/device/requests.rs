//! Requests to a board.

use attoformer_protocol::link::message::{Counts, Done, FEATURES, Hello, Input, InputKind, Reply, Request, Run, SlotInfo, SlotState};

use super::client::Client;
use super::error::DeviceError;
use super::transport::Transport;

/// Bytes of input in one message.
const PART: usize = 200;

/// A board and its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardInfo {
    /// The board's name.
    pub board: String,
    /// Version of the engine.
    pub engine: String,
    /// Number of the numeric specification.
    pub numerics: u32,
    /// Features of the engine in the program.
    pub features: Vec<&'static str>,
    /// Bytes for arena and input.
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

impl From<Hello<'_>> for BoardInfo {
    fn from(hello: Hello<'_>) -> Self {
        let has = |index: usize| hello.features >> index & 1 != 0;
        Self {
            board: hello.board.to_owned(),
            engine: hello.engine.to_owned(),
            numerics: hello.numerics,
            features: FEATURES.iter().enumerate().filter(|(index, _)| has(*index)).map(|(_, name)| *name).collect(),
            arena_bytes: hello.arena_bytes,
            slot_bytes: hello.slot_bytes,
            ticks_per_second: hello.ticks_per_second,
            counts: hello.counts,
            running: hello.running,
            has_key: hello.has_key,
            min_version: hello.min_version,
        }
    }
}

/// A slot and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its state, in a word; for an image that cannot run, the reason.
    pub state: String,
    /// Bytes of the image.
    pub bytes: u32,
    /// CRC-32 of the image.
    pub checksum: u32,
    /// Expected output hash of the golden vector.
    pub golden: u32,
    /// Bytes of arena that the model needs.
    pub arena_bytes: u32,
    /// Version of the model.
    pub version: u32,
    /// Whether the image is signed.
    pub is_signed: bool,
    /// Whether the board's kernels read the image's layout at full speed.
    pub has_fast_layout: bool,
    /// Number of labels of a classifier.
    pub labels: u32,
    /// Sample rate of the audio that the model reads, Hz; 0 if it reads none.
    pub sample_rate: u32,
    /// Width of the rows of features that the model reads; 0 if it reads none.
    pub row_width: u32,
    /// Name of the model.
    pub name: String,
}

impl From<SlotInfo<'_>> for Slot {
    fn from(slot: SlotInfo<'_>) -> Self {
        let state = match slot.state {
            SlotState::Empty => "empty".to_owned(),
            SlotState::Ready => "ready".to_owned(),
            SlotState::Running => "running".to_owned(),
            SlotState::Uploading { done, bytes } => format!("upload interrupted at {done} of {bytes} bytes"),
            SlotState::Bad(fault) => format!("bad: {fault}"),
        };
        Self {
            state,
            bytes: slot.bytes,
            checksum: slot.checksum,
            golden: slot.golden,
            arena_bytes: slot.arena_bytes,
            version: slot.version,
            is_signed: slot.is_signed,
            has_fast_layout: slot.has_fast_layout,
            labels: slot.labels,
            sample_rate: slot.sample_rate,
            row_width: slot.row_width,
            name: slot.name.to_owned(),
        }
    }
}

/// An input for the model.
#[derive(Clone, Copy, Debug)]
pub enum InputData<'d> {
    /// Text for the model's tokenizer.
    Text(&'d str),
    /// Tokens.
    Tokens(&'d [u32]),
    /// Audio samples at the model's rate.
    Samples(&'d [i16]),
    /// Rows of features.
    Features(&'d [f32]),
}

impl InputData<'_> {
    fn bytes(&self) -> (InputKind, Vec<u8>) {
        match self {
            InputData::Text(text) => (InputKind::Text, text.as_bytes().to_vec()),
            InputData::Tokens(tokens) => (InputKind::Tokens, tokens.iter().flat_map(|token| token.to_le_bytes()).collect()),
            InputData::Samples(samples) => (InputKind::Samples, samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()),
            InputData::Features(rows) => (InputKind::Features, rows.iter().flat_map(|value| value.to_le_bytes()).collect()),
        }
    }
}

/// A generated text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generated {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// Ticks of each token.
    pub ticks: Vec<u64>,
    /// The text.
    pub text: String,
    /// The board's figures.
    pub done: Done,
}

/// Sampling parameters and the limit of a generation.
#[derive(Clone, Copy, Debug)]
pub struct Sampling {
    /// Tokens to generate at most.
    pub limit: u32,
    /// Divisor of the logits; 0 is greedy.
    pub temperature: f32,
    /// Number of most likely tokens to keep; 0 keeps all.
    pub top_k: u32,
    /// Keep the most likely tokens that reach this cumulative probability.
    pub top_p: f32,
    /// Divisor of the logits of tokens that occurred already.
    pub repetition_penalty: f32,
    /// Random seed.
    pub seed: u64,
}

/// The attention weights of one query: the key's position and its share of the row.
pub type AttentionRow = Vec<(u32, f32)>;

impl<T: Transport> Client<T> {
    /// The board and its program.
    ///
    /// # Errors
    /// See [`Client::ask`]; so for all requests.
    pub fn hello(&mut self) -> Result<BoardInfo, DeviceError> {
        self.ask(&Request::Hello, |reply| match reply {
            Reply::Hello(hello) => Some(hello.into()),
            _ => None,
        })
    }

    /// A slot.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn slot(&mut self, slot: u8) -> Result<Slot, DeviceError> {
        self.ask(&Request::Slot(slot), |reply| match reply {
            Reply::Slot(slot) => Some(slot.into()),
            _ => None,
        })
    }

    /// A request whose one reply says that it is done.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn command(&mut self, request: &Request<'_>) -> Result<Done, DeviceError> {
        self.ask(request, |reply| match reply {
            Reply::Done(done) => Some(done),
            _ => None,
        })
    }

    /// The names of the running classifier's labels; their indices where the image has no names.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn labels(&mut self, count: usize) -> Result<Vec<String>, DeviceError> {
        let mut label = |index: usize| {
            self.ask(&Request::Label(index as u32), |reply| match reply {
                Reply::Label("") => Some(index.to_string()),
                Reply::Label(label) => Some(label.to_owned()),
                _ => None,
            })
        };
        (0..count).map(&mut label).collect()
    }

    /// Sends an input for the next request.
    fn send_input(&mut self, data: InputData<'_>) -> Result<Input, DeviceError> {
        let (kind, bytes) = data.bytes();
        for (index, part) in bytes.chunks(PART).enumerate() {
            self.send(&Request::Input { at: (index * PART) as u32, bytes: part })?;
        }
        Ok(Input { kind, bytes: bytes.len() as u32 })
    }

    /// Passes partial replies to `take` until the request is done. `take` returns false for a reply of another kind.
    fn replies(&mut self, mut take: impl FnMut(Reply<'_>) -> bool) -> Result<Done, DeviceError> {
        loop {
            let next = self.receive(|reply| match reply {
                Reply::Done(done) => Some(Some(done)),
                other => take(other).then_some(None),
            })?;
            match next {
                Some(Some(done)) => return Ok(done),
                Some(None) => {}
                None => return Err(self.misunderstood()),
            }
        }
    }

    /// Generates text and passes it to `on_text` as it arrives; `on_text` returns false to cancel the generation.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn generate(
        &mut self,
        prompt: InputData<'_>,
        sampling: &Sampling,
        mut on_text: impl FnMut(&str) -> bool,
    ) -> Result<Generated, DeviceError> {
        let input = self.send_input(prompt)?;
        let Sampling { limit, temperature, top_k, top_p, repetition_penalty, seed } = *sampling;
        self.send(&Request::Run(Run { input, limit, temperature, top_k, top_p, repetition_penalty, seed }))?;
        let mut generated = Generated::default();
        let mut is_cancelled = false;
        loop {
            let mut goes_on = true;
            let done = self.receive(|reply| match reply {
                Reply::Piece { token, ticks, text } => {
                    generated.tokens.extend(token);
                    generated.ticks.extend(token.map(|_| ticks));
                    generated.text.push_str(text);
                    goes_on = on_text(text);
                    Some(None)
                }
                Reply::Done(done) => Some(Some(done)),
                _ => None,
            })?;
            match done {
                Some(Some(done)) => return Ok(Generated { done, ..generated }),
                Some(None) if !goes_on && !is_cancelled => {
                    is_cancelled = true;
                    self.send(&Request::Cancel)?;
                }
                Some(None) => {}
                None => return Err(self.misunderstood()),
            }
        }
    }

    /// Encodes an input: an embedding, or a classifier's logits.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn encode(&mut self, data: InputData<'_>) -> Result<(Vec<f32>, Done), DeviceError> {
        let input = self.send_input(data)?;
        self.send(&Request::Encode(input))?;
        let mut values = Vec::new();
        let done = self.replies(|reply| match reply {
            Reply::Values(bytes) => {
                values.extend(bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)));
                true
            }
            _ => false,
        })?;
        Ok((values, done))
    }

    /// The attention weights of one head for a prompt: for each query, the visible keys.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn attention(&mut self, prompt: InputData<'_>, layer: u32, head: u32) -> Result<Vec<AttentionRow>, DeviceError> {
        let input = self.send_input(prompt)?;
        self.send(&Request::Attention { input, layer, head })?;
        let mut rows: Vec<Vec<(u32, u32)>> = Vec::new();
        self.replies(|reply| match reply {
            Reply::Attention { position, key, weights } => {
                // A board sends the queries in order; another number would allocate without bound.
                if position as usize > rows.len() {
                    return false;
                }
                rows.resize((position as usize + 1).max(rows.len()), Vec::new());
                let words = weights.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
                rows[position as usize].extend((key..).zip(words));
                true
            }
            _ => false,
        })?;
        let shares = |row: Vec<(u32, u32)>| {
            let sum: f64 = row.iter().map(|&(_, weight)| f64::from(weight)).sum();
            row.into_iter().map(|(key, weight)| (key, (f64::from(weight) / sum.max(1.0)) as f32)).collect()
        };
        Ok(rows.into_iter().map(shares).collect())
    }

    /// The ticks of each operator in one pass over the golden vector's tokens.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn bench(&mut self) -> Result<(Vec<(String, u64)>, Done), DeviceError> {
        self.send(&Request::Bench)?;
        let mut operators = Vec::new();
        let done = self.replies(|reply| match reply {
            Reply::Operator { name, ticks } => {
                operators.push((name.to_owned(), ticks));
                true
            }
            _ => false,
        })?;
        Ok((operators, done))
    }

    /// The lines of the board's log, oldest first.
    ///
    /// # Errors
    /// See [`Client::ask`].
    pub fn logs(&mut self) -> Result<Vec<String>, DeviceError> {
        self.send(&Request::Logs)?;
        let mut lines = Vec::new();
        self.replies(|reply| match reply {
            Reply::Log(line) => {
                lines.push(line.to_owned());
                true
            }
            _ => false,
        })?;
        Ok(lines)
    }
}
