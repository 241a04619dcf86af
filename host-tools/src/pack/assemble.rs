//! Assembles an image from a checkpoint.

use std::collections::BTreeMap;

use attoformer::image::section;
use attoformer::image::{AttentionKind, Config, KvType, PositionKind, Role};
use attoformer::internals::format::limits::INT4_COLUMNS_MAX;
use attoformer::internals::format::{ENTRY_BYTES, shape_of};
use attoformer::{Plan, arena_bytes};

use super::activations::{ActivationBits, Activations};
use super::calibrate::samples::Samples;
use super::calibrate::{self, Calibrated, Calibrator, MeasuredLoss, has_key_offset};
use super::error::PackError;
use super::frontend;
use super::fuse::{fuse, source};
use super::golden::{GOLDEN_HASH_OFFSET, GoldenInput, golden_hash};
use super::options::{Calibration, Options};
use super::prepare::{Prepared, Storage, prepare, prepare_blocks};
use super::sections;
use super::smooth::is_product;
use super::tensor_id::{TensorId, tensor_ids};
use super::weights::{self, StoredTensor, formats};
use super::writer::{ImageWriter, seal};
use crate::error::Error;
use crate::files::AlignedBytes;
use crate::import::Checkpoint;
use crate::quantize::Format;
use crate::report::progress::Progress;

/// A finished image.
pub struct Packed {
    /// The image.
    pub image: AlignedBytes,
    /// How each tensor is stored, in directory order.
    pub tensors: Vec<StoredTensor>,
    /// Source of the calibration samples, as in `--calibrate`: self, built-in, a path or none.
    pub calibration: String,
    /// Loss on samples that were not used; `None` without any.
    pub measured_loss: Option<MeasuredLoss>,
}

/// Packs a checkpoint.
///
/// # Errors
/// [`PackError`] with the checkpoint's file: the options do not fit the model, or the model does not fit the format.
pub fn pack(checkpoint: &Checkpoint, options: &Options, progress: &Progress) -> Result<Packed, Error> {
    build(checkpoint, options, progress).map_err(Error::file(&checkpoint.path))
}

fn build(checkpoint: &Checkpoint, options: &Options, progress: &Progress) -> Result<Packed, PackError> {
    let request = request(checkpoint, options)?;
    assemble(checkpoint, &request, options, None, progress)
}

/// Shape of an image and formats of its tensors.
#[derive(Clone, Debug)]
pub struct Request {
    /// The shape, without what calibration adds.
    pub config: Config,
    /// Format of each tensor.
    pub formats: BTreeMap<TensorId, Format>,
}

impl Request {
    /// Whether GPTQ is used, which needs more samples.
    pub fn needs_gptq(&self) -> bool {
        self.formats.values().any(|format| matches!(format, Format::Int4 { .. }))
    }
}

/// The image that the options ask for.
///
/// # Errors
/// [`PackError`]: the options do not fit the model, or the engine does not support its shape.
pub fn request(checkpoint: &Checkpoint, options: &Options) -> Result<Request, PackError> {
    let config = config(checkpoint, options)?;
    // Refuses a shape that the engine does not support before any tensor is read.
    ImageWriter::new(&config)?;
    let ids = tensor_ids(&config);
    let formats: BTreeMap<TensorId, Format> = ids.iter().copied().zip(formats(&config, &ids, options)?).collect();
    check_int4(&config, &formats)?;
    let takes_12_bits = |(id, format): (&TensorId, &Format)| *format == Format::Int8 && is_product(&config, id.0);
    if options.activations == Activations::Twelve && !formats.iter().any(takes_12_bits) {
        return Err(PackError::NoInt8);
    }
    Ok(Request { config, formats })
}

/// Refuses int4 matrices with longer rows than the engine can multiply, before any tensor is read.
fn check_int4(config: &Config, formats: &BTreeMap<TensorId, Format>) -> Result<(), PackError> {
    for (&(role, layer), _) in formats.iter().filter(|(_, format)| matches!(format, Format::Int4 { .. })) {
        let (_, columns) = shape_of(config, role);
        if columns > INT4_COLUMNS_MAX {
            let tensor = if layer.is_some() { format!("layers.*.{}", role.name()) } else { role.name().to_owned() };
            return Err(PackError::Int4Columns { tensor, columns });
        }
    }
    Ok(())
}

/// Packs a checkpoint in the formats of a request, calibrated with these samples if given.
///
/// # Errors
/// Those of [`pack`].
pub fn pack_with(
    checkpoint: &Checkpoint,
    request: &Request,
    options: &Options,
    samples: Option<&Samples>,
    progress: &Progress,
) -> Result<Packed, Error> {
    assemble(checkpoint, request, options, samples, progress).map_err(Error::file(&checkpoint.path))
}

fn assemble(
    checkpoint: &Checkpoint,
    request: &Request,
    options: &Options,
    given: Option<&Samples>,
    progress: &Progress,
) -> Result<Packed, PackError> {
    let Request { config, formats } = request;
    let is_quantized = formats.iter().any(|(id, format)| !id.0.is_always_f32() && format.grid(1).is_some());
    let found = match given {
        None if is_quantized => calibrate::samples(checkpoint, &options.calibration, request.needs_gptq(), progress)?,
        _ => None,
    };
    let Some(samples) = given.or(found.as_ref()) else {
        let bits = |role| if is_product(config, role) { options.activations.without_samples() } else { ActivationBits::Eight };
        let storage = |id: TensorId| Storage { activations: bits(id.0), ..Storage::plain(id, formats[&id]) };
        let tensors = tensor_ids(config).into_iter().map(|id| Ok(prepare_blocks(&source(checkpoint, config, id)?, &storage(id))));
        return write(checkpoint, config, tensors, options, progress);
    };
    let config = attoformer::config! { key_offset: has_key_offset(config), ..*config };
    let Calibrated { mut tensors, streams } = Calibrator::new(checkpoint, &config, options, formats, samples, progress).run()?;
    let all = tensor_ids(&config).into_iter().map(|id| match tensors.remove(&id) {
        // While a model is calibrated, its tables have only the rows of the samples' tokens.
        Some(prepared) if id.0 != Role::LayerTable => Ok(prepared),
        _ => Ok(prepare_blocks(&source(checkpoint, &config, id)?, &Storage::plain(id, formats[&id]))),
    });
    let packed = write(checkpoint, &config, all, options, &Progress::silent())?;
    let measured_loss = calibrate::measure(&packed.image, checkpoint, samples, &streams)?;
    Ok(Packed { calibration: samples.origin.clone(), measured_loss, ..packed })
}

/// Writes the image of these tensors with its golden vector.
fn write(
    checkpoint: &Checkpoint,
    config: &Config,
    tensors: impl Iterator<Item = Result<Prepared, PackError>>,
    options: &Options,
    progress: &Progress,
) -> Result<Packed, PackError> {
    let tensors = tensors.inspect(|_| progress.advance(1));
    with_golden(write_sections(checkpoint, config, tensors, options)?)
}

/// An image without its golden hash, for the packer's own use. Its context may exceed the trained one.
pub fn plain_image(checkpoint: &Checkpoint, config: &Config, storages: impl Iterator<Item = Storage>) -> Result<AlignedBytes, PackError> {
    let tensors = storages.map(|storage| {
        let trained = if storage.id.0 == Role::Positions { &checkpoint.config } else { config };
        let mut tensor = fuse(checkpoint, trained, storage.id)?;
        tensor.set_rows(shape_of(config, storage.id.0).0);
        Ok(prepare(tensor, &storage))
    });
    Ok(write_sections(checkpoint, config, tensors, &Options::reference())?.image)
}

/// The configuration of the image.
fn config(checkpoint: &Checkpoint, options: &Options) -> Result<Config, PackError> {
    let trained = checkpoint.config.context;
    let context = options.context.unwrap_or(trained);
    if options.context.is_some() && (context == 0 || context > trained) {
        return Err(PackError::Context { requested: context, trained });
    }
    // The state of linear attention is always f32.
    let linear = checkpoint.config.attention == AttentionKind::Linear;
    let kv = if linear { KvType::F32 } else { options.kv };
    let key_offset = checkpoint.config.key_offset && kv == KvType::Int8;
    Ok(attoformer::config! { kv, context, key_offset, ..checkpoint.config })
}

/// A sealed image whose golden hash is still zero.
struct Sections {
    image: AlignedBytes,
    tensors: Vec<StoredTensor>,
    /// Offset of the golden section.
    golden: usize,
}

/// Writes all sections.
fn write_sections(
    checkpoint: &Checkpoint,
    config: &Config,
    prepared: impl Iterator<Item = Result<Prepared, PackError>>,
    options: &Options,
) -> Result<Sections, PackError> {
    let mut image = ImageWriter::new(config)?;
    image.model_version(options.model_version);
    let mut tensors = Ok(Vec::new());
    image.section(section::WEIGHTS, |out| tensors = weights::write(prepared, options.target, out));
    let tensors = tensors?;
    image.section(section::DIRECTORY, |out| tensors.iter().for_each(|tensor| tensor.put_entry(out)));
    let golden = put_other_sections(&mut image, checkpoint, config);
    let image = image.finish(arena_bytes(config, Plan::packed(config)), tensors.len() as u32)?;
    Ok(Sections { image: image.into(), tensors, golden })
}

/// Writes the sections after the weights and the directory; returns the offset of the golden section.
fn put_other_sections(image: &mut ImageWriter, checkpoint: &Checkpoint, config: &Config) -> usize {
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
        image.section(section::GENERATION, |out| sections::decoding(decoding, out));
    }
    image.section(section::GOLDEN, |out| GoldenInput::new(config).put(out))
}

/// Offset of the weights, and bytes of all sections after them if the next one starts at a multiple of the sections' alignment.
///
/// # Errors
/// [`PackError::Unsupported`].
pub fn rest_bytes(checkpoint: &Checkpoint, config: &Config, tensors: usize) -> Result<(usize, usize), PackError> {
    let mut image = ImageWriter::new(config)?;
    let start = image.section(section::WEIGHTS, |_| {});
    image.section(section::DIRECTORY, |out| out.resize(out.len() + tensors * ENTRY_BYTES, 0));
    put_other_sections(&mut image, checkpoint, config);
    Ok((start, image.len() - start))
}

/// Computes the golden hash and updates the checksums.
fn with_golden(Sections { mut image, tensors, golden }: Sections) -> Result<Packed, PackError> {
    let hash = golden_hash(&image)?;
    let at = golden + GOLDEN_HASH_OFFSET;
    image[at..at + 4].copy_from_slice(&hash.to_le_bytes());
    seal(&mut image);
    Ok(Packed { image, tensors, calibration: Calibration::None.to_string(), measured_loss: None })
}
