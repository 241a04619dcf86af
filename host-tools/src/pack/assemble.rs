//! Assembles an image from a checkpoint.

use std::borrow::Cow;

use attoformer::image::section;
use attoformer::image::{AttentionKind, Config, KvType, PositionKind};
use attoformer::internals::format::{TensorOrder, shape_of};
use attoformer::{Plan, arena_bytes};

use super::calibrate::Calibration;
use super::error::PackError;
use super::frontend;
use super::fuse::{FusedTensor, fuse};
use super::golden::{GOLDEN_HASH_OFFSET, GoldenInput, golden_hash};
use super::options::Options;
use super::sections;
use super::smooth::scalings;
use super::tensor_id::TensorId;
use super::weights::{self, Storage, StoredTensor, formats};
use super::writer::{ImageWriter, seal};
use crate::error::Error;
use crate::files::AlignedBytes;
use crate::import::Checkpoint;
use crate::report::progress::Progress;

/// A finished image.
pub struct Packed {
    /// The image.
    pub image: AlignedBytes,
    /// How each tensor is stored, in directory order.
    pub tensors: Vec<StoredTensor>,
}

/// Packs a checkpoint.
///
/// # Errors
/// [`PackError`] with the checkpoint's file: the options do not fit the model, or the model does not fit the format.
pub fn pack(checkpoint: &Checkpoint, options: &Options, progress: &Progress) -> Result<Packed, Error> {
    build(checkpoint, options, progress).map_err(Error::file(&checkpoint.path))
}

fn build(checkpoint: &Checkpoint, options: &Options, progress: &Progress) -> Result<Packed, PackError> {
    let config = config(checkpoint, options)?;
    // Refuses a shape that the engine does not support before any tensor is read.
    ImageWriter::new(&config)?;
    let ids = tensor_ids(&config);
    let formats = formats(&config, &ids, options)?;
    let Some(text) = &options.calibration else {
        let storages: Vec<Storage> = ids.iter().zip(formats).map(|(&id, format)| Storage::plain(id, format)).collect();
        return with_golden(write_sections(checkpoint, &config, &storages, options, &mut |index| {
            progress.advance(1);
            fuse(checkpoint, &config, ids[index]).map(Cow::Owned)
        })?);
    };
    let reference = Options::reference();
    let trained = self::config(checkpoint, &reference)?;
    let mut fused: Vec<FusedTensor> = ids.iter().map(|&id| fuse(checkpoint, &trained, id)).collect::<Result<_, PackError>>()?;
    let calibration = {
        let storages: Vec<Storage> = ids.iter().map(|&id| Storage::plain(id, reference.weights)).collect();
        let sections = write_sections(checkpoint, &trained, &storages, &reference, &mut |index| Ok(Cow::Borrowed(&fused[index])))?;
        Calibration::record(&sections.image, text)?
    };
    let scalings = scalings(&config, &calibration, &ids, &formats, &fused, progress);
    let storages: Vec<Storage> =
        ids.iter().zip(formats).zip(scalings).map(|((&id, format), scaling)| Storage { id, format, scaling }).collect();
    with_golden(write_sections(checkpoint, &config, &storages, options, &mut |index| {
        let mut tensor = std::mem::take(&mut fused[index]);
        tensor.truncate_rows(shape_of(&config, ids[index].0).0);
        Ok(Cow::Owned(tensor))
    })?)
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

/// All tensors in directory order.
fn tensor_ids(config: &Config) -> Vec<TensorId> {
    let order = TensorOrder::new(config);
    (0..order.count()).map(|index| order.role_at(index)).collect()
}

/// A sealed image whose golden hash is still zero.
struct Sections {
    image: AlignedBytes,
    tensors: Vec<StoredTensor>,
    /// Offset of the golden section.
    golden: usize,
}

/// Writes all sections. `fused` provides each tensor by its index.
fn write_sections<'f>(
    checkpoint: &Checkpoint,
    config: &Config,
    storages: &[Storage],
    options: &Options,
    fused: &mut dyn FnMut(usize) -> Result<Cow<'f, FusedTensor>, PackError>,
) -> Result<Sections, PackError> {
    let mut image = ImageWriter::new(config)?;
    image.model_version(options.model_version);
    let mut tensors = Ok(Vec::new());
    image.section(section::WEIGHTS, |out| tensors = weights::write(storages, options.target, fused, out));
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
        image.section(section::GENERATION, |out| sections::decoding(decoding, out));
    }
    let golden = image.section(section::GOLDEN, |out| GoldenInput::new(config).put(out));
    let image = image.finish(arena_bytes(config, Plan::packed(config)), tensors.len() as u32)?;
    Ok(Sections { image: AlignedBytes::copy_of(&image), tensors, golden })
}

/// Computes the golden hash and updates the checksums.
fn with_golden(Sections { mut image, tensors, golden }: Sections) -> Result<Packed, PackError> {
    let hash = golden_hash(&image)?;
    let at = golden + GOLDEN_HASH_OFFSET;
    image[at..at + 4].copy_from_slice(&hash.to_le_bytes());
    seal(&mut image);
    Ok(Packed { image, tensors })
}
