//! From a checkpoint to an image: matrices fused, quantized and laid out, and the sections around them.

pub mod calibrate;
pub mod frontend;
mod fuse;
pub mod layout;
pub mod sections;
mod smooth;
mod weights;
mod writer;

use std::io::{Read, Write};
use std::path::Path;

use attoformer::image::header::{Architecture, AttentionKind, Config, Front, KvType, PositionKind};
use attoformer::image::{Image, section};
use attoformer::{Plan, Session, arena_bytes, kernels};

use crate::error::Error;
use crate::files::AlignedBytes;
use crate::import::Checkpoint;
use crate::pack::calibrate::Calibration;
use crate::quantize::Format;
use crate::report::progress::Progress;
use layout::Target;
use sections::GoldenInput;
use writer::ImageWriter;

pub use fuse::name as tensor_name;
pub use weights::StoredTensor;
pub use writer::seal;

/// What may be chosen when a checkpoint is packed.
#[derive(Clone, Debug)]
pub struct Options {
    /// How matrices are stored; norms are always f32.
    pub weights: Format,
    /// Exceptions by tensor name; `*` stands for any layer. The last that fits counts.
    pub overrides: Vec<(String, Format)>,
    /// How keys and values are stored.
    pub kv: KvType,
    /// Longest sequence; the trained one unless given.
    pub context: Option<u32>,
    /// What the values are laid out for.
    pub target: Target,
    /// What the inputs of the matrices were seen to be: int8 and int4 matrices get an `in_scale` from it.
    pub calibration: Option<Calibration>,
}

impl Options {
    /// Nothing is rounded: the reference that other choices are measured against.
    pub fn reference() -> Self {
        Options { weights: Format::F32, overrides: Vec::new(), kv: KvType::F32, context: None, target: Target::Portable, calibration: None }
    }
}

/// A finished image.
pub struct Packed {
    /// The image.
    pub image: AlignedBytes,
    /// What became of each tensor, in directory order.
    pub tensors: Vec<StoredTensor>,
}

/// Packs a checkpoint.
///
/// # Errors
/// One sentence that names the checkpoint's file: what is asked for does not fit the model, or the model not the format.
pub fn pack(checkpoint: &Checkpoint, options: &Options, progress: &Progress) -> Result<Packed, Error> {
    let refuse = Error::file(&checkpoint.path);
    build(checkpoint, options, progress).map_err(refuse)
}

fn build(checkpoint: &Checkpoint, options: &Options, progress: &Progress) -> Result<Packed, String> {
    // The state of linear attention is always f32.
    let kv = if checkpoint.config.attention == AttentionKind::Linear { KvType::F32 } else { options.kv };
    let config = Config { kv, context: context(checkpoint, options)?, ..checkpoint.config };
    let mut image = ImageWriter::new(&config)?;
    let mut tensors = Ok(Vec::new());
    image.section(section::WEIGHTS, |out| tensors = weights::write(checkpoint, &config, options, progress, out));
    let tensors = tensors?;
    image.section(section::DIRECTORY, |out| tensors.iter().for_each(|tensor| tensor.put_entry(out)));
    image.section(section::METADATA, |out| sections::metadata(checkpoint, out));
    if let Some(tokenizer) = &checkpoint.tokenizer {
        image.section(section::TOKENIZER, |out| sections::tokenizer(tokenizer, out));
    }
    if config.positions == PositionKind::Rotary {
        image.section(section::ROTARY, |out| sections::rotary(&checkpoint.rotary, out));
    }
    if !checkpoint.labels.is_empty() {
        image.section(section::LABELS, |out| out.extend(checkpoint.labels.join("\n").into_bytes()));
    }
    if let Some(template) = &checkpoint.chat_template {
        image.section(section::CHAT, |out| out.extend(template.as_bytes()));
    }
    if let Some(parameters) = &checkpoint.audio {
        image.section(section::FRONTEND, |out| frontend::section(parameters, out));
    }
    if let Some(pictures) = &checkpoint.pictures {
        image.section(section::PICTURES, |out| sections::pictures(pictures, out));
    }
    if let Some(decoding) = &checkpoint.generation_config {
        image.section(section::DECODING, |out| sections::decoding(decoding, out));
    }
    let golden = image.section(section::GOLDEN, |out| sections::golden(&golden_input(&config), out));
    let mut image = AlignedBytes::copy_of(&image.finish(arena_bytes(&config, Plan::packed(&config)), tensors.len() as u32)?);

    let hash = golden_hash(&image)?;
    let at = golden + sections::GOLDEN_HASH_AT;
    image[at..at + 4].copy_from_slice(&hash.to_le_bytes());
    seal(&mut image);
    Ok(Packed { image, tensors })
}

fn context(checkpoint: &Checkpoint, options: &Options) -> Result<u32, String> {
    let trained = checkpoint.config.context;
    match options.context {
        Some(asked) if asked == 0 || asked > trained => {
            Err(format!("a context of {asked} tokens was asked for, the model was trained for 1 to {trained}"))
        }
        asked => Ok(asked.unwrap_or(trained)),
    }
}

/// What the golden vector feeds: the begin token and a few tokens spread over the vocabulary, then some are generated; a model that reads
/// features gets a few rows of them. It needs no tokenizer, and reaches other rows of the embedding than a common phrase would.
fn golden_input(config: &Config) -> GoldenInput {
    const FED: u32 = 8;
    const GENERATED: u32 = 8;
    let fed = if config.has_embedding() { FED.min(config.context) } else { 0 };
    let source = if config.has_cross() { config.encoder_context } else { config.context };
    // Half of the frames, or all but a class token's, become rows.
    let rows = if config.front == Front::Tokens { 0 } else { FED.min(source).max(2) - u32::from(config.class_token) };
    let spread = (1..fed).map(|index| (index as u64 * config.vocab as u64 / fed as u64) as u32);
    let features = (1..=rows * config.features).map(|index| (index.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0);
    GoldenInput {
        tokens: std::iter::once(config.begin).chain(spread).take(fed as usize).collect(),
        features: features.collect(),
        rows,
        // The token generated last is not fed, so that even a context of one token has room for one.
        generate: if config.architecture == Architecture::Encoder { 0 } else { GENERATED.min(config.context - fed + 1) },
    }
}

/// What the scalar kernels, which are the specification, make of the golden input.
fn golden_hash(image: &[u8]) -> Result<u32, String> {
    let refuse = |error: attoformer::Error| format!("the engine refuses what was packed: {error}");
    let image = Image::new(image).map_err(refuse)?;
    let plan = Plan::packed(image.config());
    let bytes = arena_bytes(image.config(), plan);
    let mut arena = AlignedBytes::try_zeroed(bytes).ok_or_else(|| format!("its arena of {bytes} bytes is more memory than there is"))?;
    let mut session = Session::with_kernels(&image, &mut arena, plan, &kernels::SCALAR).map_err(refuse)?;
    session.golden_hash(&image.golden().map_err(refuse)?).map_err(refuse)
}

/// Refuses to write an image over anything but an older image: checkpoints, tokenizers and texts lie in the same folders.
///
/// # Errors
/// [`Error::File`] when another kind of file is there.
pub fn check_output(path: &Path) -> Result<(), Error> {
    let mut start = Vec::new();
    // Opening a pipe would wait for its other end.
    if path.is_file() {
        let file = std::fs::File::open(path).map_err(Error::io(path))?;
        file.take(4).read_to_end(&mut start).map_err(Error::io(path))?;
    }
    if !start.is_empty() && start != *b"ATTO" {
        return Err(Error::file(path)("it is there and is no image: it would be lost, so name another output".to_owned()));
    }
    Ok(())
}

/// Compares the image with the flash it may take.
///
/// # Errors
/// [`Error::File`] with both numbers when it is larger.
pub fn check_budget(path: &Path, packed: &Packed, budget: Option<u64>) -> Result<(), Error> {
    let size = packed.image.len() as u64;
    match budget {
        Some(budget) if size > budget => {
            let what = format!("the image takes {size} bytes of flash, {} more than the budget of {budget}", size - budget);
            Err(Error::file(path)(what))
        }
        _ => Ok(()),
    }
}

/// Writes an image beside its final name and renames it.
///
/// # Errors
/// [`Error::Io`]; then nothing is left behind.
pub fn write(path: &Path, packed: &Packed) -> Result<(), Error> {
    crate::files::write_whole(path, |file| file.write_all(&packed.image).map_err(Error::io(path)))
}
