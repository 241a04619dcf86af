//! Runs the model: encoder, prefill, generation.

use attoformer::frontend::Sizes;
use attoformer::image::Architecture;
use attoformer::{Error, Image, OutputHash, Plan, Sampler, Session, Tokenizer, arena_bytes, tokenizer::Decoder};
use attoformer_protocol::{Answer, Frame, Generate, MAX_PAYLOAD, MAX_PROMPT, Prompt, Sampling, Source};
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
    let mut sampler = sampler(task.sampling)?;
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
    let mut text = TextOut::new(image.tokenizer().ok(), tokens.len());
    (answer.output_hash, answer.ended) = generate_tokens(&mut session, &mut sampler, &mut text, task, counter)?;
    text.finish();
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
                let frontend = session.image().frontend().ok_or(Error::Architecture { asked: "hear sound" })?;
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
            let begins = usize::from(tokenizer.add_bos());
            *tokens.first_mut().ok_or(full)? = tokenizer.bos();
            let count = tokenizer.encode(text, tokens.get_mut(begins..).ok_or(full)?)?;
            tokens.truncate(count + begins);
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

/// Samples and feeds tokens until the limit, EOS or the end of the context. The instruction count excludes the hash and the output.
fn generate_tokens(
    session: &mut Session<'_>,
    sampler: &mut Sampler,
    text: &mut TextOut<'_>,
    task: &Generate<'_>,
    counter: &mut Counter,
) -> Result<(u32, bool), Error> {
    let mut hash = OutputHash::new();
    for made in 1..=task.generate {
        hash.logits(session.logits());
        let (token, sampling) = counter.count(|| session.sample(sampler));
        hash.token(token);
        if token == session.config().eos {
            return Ok((hash.value(), true));
        }
        channel::send(&Frame::Token { token, hash: hash.value() });
        text.push(token)?;
        if session.room() == 0 {
            break;
        }
        let (fed, feeding) = counter.count(|| session.step(token).map(|_| ()));
        fed?;
        channel::send(&Frame::Fed { instructions: sampling + feeding });
        if task.logits && made < task.generate {
            send_logits(session.logits());
        }
    }
    Ok((hash.value(), false))
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

/// Converts tokens to text frames; without a tokenizer it sends none.
struct TextOut<'a> {
    tokenizer: Option<Tokenizer<'a>>,
    decoder: Decoder,
}

impl<'a> TextOut<'a> {
    /// A prompt of one token is BOS, so the text starts after it; a longer prompt is continued.
    fn new(tokenizer: Option<Tokenizer<'a>>, prompt: usize) -> Self {
        let decoder = if prompt == 1 { Decoder::new() } else { Decoder::mid_text() };
        Self { tokenizer, decoder }
    }

    fn push(&mut self, token: u32) -> Result<(), Error> {
        if let Some(tokenizer) = &self.tokenizer {
            channel::send_text(self.decoder.push(tokenizer, token)?);
        }
        Ok(())
    }

    fn finish(&mut self) {
        channel::send_text(self.decoder.finish());
    }
}
