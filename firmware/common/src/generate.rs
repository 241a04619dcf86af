//! Runs the model: encoder, prefill, generation.

use attoformer::frontend::Sizes;
use attoformer::image::Architecture;
use attoformer::{End, Error, Hooks, Image, Limits, OutputHash, Plan, Sampler, Session, Work, arena_bytes};
use attoformer_protocol::job::{Answer, Frame, Generate, MAX_PAYLOAD, MAX_PROMPT, Prompt, Sampling, Source};
use heapless::Vec;
use zerocopy::{FromBytes, Immutable};

use crate::{channel, count::Counter, fail, memory};

pub(crate) type Tokens = Vec<u32, MAX_PROMPT>;

/// Opens the image, generates tokens after the prompt, and reports.
pub fn generate(image: &'static [u8], source: &'static [u8], task: &Generate<'_>, counter: &mut Counter) {
    let Some(arena) = memory::take_arena() else { fail::stop("the arena was taken twice") };
    let mut answer = match run_task(image, arena, source, task, counter) {
        Ok(answer) => answer,
        Err(error) => {
            defmt::error!("the job failed");
            fail::stop_with(format_args!("{error}"))
        }
    };
    answer.flash_bytes_code = memory::code_bytes() as u32;
    answer.arena_high_water = memory::arena_high_water(arena) as u32;
    answer.ram_bytes_static = memory::static_bytes() as u32;
    answer.stack_high_water = memory::stack_high_water() as u32;
    channel::send(&Frame::Done(answer));
}

fn run_task(
    bytes: &'static [u8],
    arena: &mut [u8],
    source: &'static [u8],
    task: &Generate<'_>,
    counter: &mut Counter,
) -> Result<Answer, Error> {
    let image = Image::new(bytes)?;
    let mut plan = Plan::packed(image.config());
    plan.context = task.context.unwrap_or(plan.context);
    plan.block = task.block.unwrap_or(plan.block);
    let need = arena_bytes(image.config(), plan);
    let sampler = sampler(task.sampling)?;
    let tokens = prompt_tokens(&image, &task.prompt)?;

    let granted = task.arena_bytes.map_or(need, |bytes| bytes as usize);
    let have = arena.len();
    let (arena, rest) = arena.split_at_mut_checked(granted).ok_or(Error::ArenaTooSmall { need: granted, have })?;
    let mut session = Session::with_plan(&image, arena, plan)?;
    defmt::info!("image of {=usize} bytes open, arena of {=usize}", bytes.len(), need);
    let self_tested = match session.self_test() {
        Ok(()) => true,
        // The plan's context is too small for the golden vector, so it cannot be replayed.
        Err(Error::ContextFull { .. }) => false,
        Err(error) => return Err(error),
    };
    channel::send(&Frame::Ready { arena_bytes: need as u32, self_tested });

    let mut answer = Answer { flash_bytes_model: image.bytes().len() as u32, ram_bytes_arena: need as u32, ..Answer::default() };
    if task.source != Source::Nothing {
        let floats = frontend_buffers(&image, task.source, rest)?;
        answer.ram_bytes_frontend = size_of_val(floats) as u32;
        let (hash, instructions) = encode(&mut session, task, source, floats, counter)?;
        channel::send(&Frame::Encoded { instructions });
        answer.output_hash = hash;
    }
    if image.config().architecture == Architecture::Encoder {
        return Ok(answer);
    }
    let instructions = prefill(&mut session, &tokens, task, counter)?;
    channel::send(&Frame::Prefilled { tokens: tokens.len() as u32, instructions });
    (answer.output_hash, answer.ended) = write_text(&mut session, sampler, task, counter)?;
    Ok(answer)
}

/// The front end's scratch buffer and feature rows, from the memory after the arena; empty without audio input.
fn frontend_buffers<'b>(image: &Image<'_>, source: Source, rest: &'b mut [u8]) -> Result<&'b mut [f32], Error> {
    let sizes = Sizes::of(image.bytes());
    let count = if source == Source::Samples { sizes.scratch + sizes.rows * sizes.features } else { 0 };
    let small = Error::BufferTooSmall { need: count, have: rest.len() / size_of::<f32>() };
    <[f32]>::mut_from_prefix_with_elems(rest, count).map(|(floats, _)| floats).map_err(|_| small)
}

/// Encodes the source; returns the hash of the output and the instruction count.
fn encode(
    session: &mut Session<'_>,
    task: &Generate<'_>,
    source: &[u8],
    floats: &mut [f32],
    counter: &mut Counter,
) -> Result<(u32, u64), Error> {
    let (result, instructions) = counter.count(|| {
        let output = match task.source {
            Source::Samples => {
                let frontend = session.image().frontend().ok_or(Error::Architecture { asked: "audio input" })?;
                let (scratch, rows) = floats.split_at_mut_checked(frontend.scratch_len()).unwrap_or_default();
                frontend.clip(words::<i16>(source)?, scratch, rows)?;
                session.encode_features(rows)?
            }
            Source::Features => session.encode_features(words(source)?)?,
            _ => session.encode(words(source)?)?,
        };
        let mut hash = OutputHash::new();
        hash.logits(output);
        if task.logits {
            send_logits(output);
        }
        Ok(hash.value())
    });
    result.map(|hash| (hash, instructions))
}

/// The source's elements; the host aligns them to four bytes.
fn words<T: FromBytes + Immutable>(source: &[u8]) -> Result<&[T], Error> {
    <[T]>::ref_from_bytes(source).map_err(|_| Error::Misaligned)
}

fn sampler(settings: Sampling) -> Result<Sampler, Error> {
    let sampler = Sampler::new(settings.seed).with_temperature(settings.temperature)?.with_top_p(settings.top_p)?;
    if settings.top_k == 0 { Ok(sampler) } else { sampler.with_top_k(settings.top_k) }
}

/// The prompt as tokens; BOS precedes a text if the tokenizer adds it.
pub(crate) fn prompt_tokens(image: &Image<'_>, prompt: &Prompt<'_>) -> Result<Tokens, Error> {
    let full = Error::BufferTooSmall { need: MAX_PROMPT + 1, have: MAX_PROMPT };
    let mut tokens = Tokens::new();
    match prompt {
        Prompt::Text(text) => {
            let tokenizer = image.tokenizer()?;
            tokens.resize_default(MAX_PROMPT).map_err(|_| full)?;
            let count = tokenizer.encode_prompt(text, &mut tokens)?;
            tokens.truncate(count);
        }
        Prompt::Tokens(bytes) => {
            let (words, _) = bytes.as_chunks::<4>();
            for word in words {
                tokens.push(u32::from_le_bytes(*word)).map_err(|_| full)?;
            }
        }
    }
    Ok(tokens)
}

/// Feeds the prompt in chunks; returns the instruction count.
fn prefill(session: &mut Session<'_>, tokens: &[u32], task: &Generate<'_>, counter: &mut Counter) -> Result<u64, Error> {
    let chunk = task.chunk.map_or(tokens.len(), |chunk| chunk as usize).max(1);
    if task.logits {
        for part in tokens.chunks(chunk) {
            session.prefill_each(part, |_, logits| send_logits(logits))?;
        }
        return Ok(0);
    }
    let (result, instructions) = counter.count(|| {
        if tokens.is_empty() {
            return session.prefill(tokens).map(|_| ());
        }
        tokens.chunks(chunk).try_for_each(|part| session.prefill(part).map(|_| ()))
    });
    result.map(|()| instructions)
}

/// Counts the instructions of choosing and feeding each token, and sends logits if the task asks for them.
struct Meter<'c> {
    counter: &'c mut Counter,
    logits: bool,
    choose: u64,
    /// Instructions of choosing and feeding the previous token, until they are reported.
    fed: Option<u64>,
}

impl Hooks for Meter<'_> {
    fn process_logits(&mut self, generated: usize, logits: &mut [f32]) {
        if self.logits && generated > 0 {
            send_logits(logits);
        }
    }

    fn measure<T>(&mut self, work: Work, run: impl FnOnce() -> T) -> T {
        let (result, instructions) = self.counter.count(run);
        match work {
            Work::Feed => self.fed = Some(self.choose + instructions),
            _ => self.choose = instructions,
        }
        result
    }
}

impl Meter<'_> {
    fn report(&mut self) {
        if let Some(instructions) = self.fed.take() {
            channel::send(&Frame::Fed { instructions });
        }
    }
}

/// Generates until the limit, EOS or the end of the context, and sends tokens, text and instruction counts. Hash and output are not counted.
/// Returns the output hash, and whether EOS ended the text.
fn write_text(session: &mut Session<'_>, sampler: Sampler, task: &Generate<'_>, counter: &mut Counter) -> Result<(u32, bool), Error> {
    let mut meter = Meter { counter, logits: task.logits, choose: 0, fed: None };
    let mut generation = session.continue_generation(sampler, Limits::tokens(task.generate as usize))?;
    let mut last = None;
    while let Some(piece) = generation.next_piece_with(&mut meter)? {
        meter.report();
        piece.parts().into_iter().for_each(channel::send_text);
        if let Some(token) = piece.token {
            last = Some(token);
            channel::send(&Frame::Token { token, hash: generation.output_hash() });
        }
    }
    let (hash, end) = (generation.output_hash(), generation.end());
    if let (Some(token), Some(End::Limit)) = (last, end)
        && session.remaining() > 0
    {
        // The last token is fed only to count its instructions.
        meter.measure(Work::Feed, || session.step(token).map(|_| ()))?;
        meter.report();
    }
    Ok((hash, end == Some(End::EndOfText)))
}

fn send_logits(logits: &[f32]) {
    let mut bytes = Vec::<u8, MAX_PAYLOAD>::new();
    for part in logits.chunks(MAX_PAYLOAD / 4) {
        bytes.clear();
        // Cannot overflow: a part has as many values as the buffer can hold.
        part.iter().for_each(|logit| drop(bytes.extend_from_slice(&logit.to_le_bytes())));
        channel::send(&Frame::Logits(&bytes));
    }
}
