//! The choice of a format for each tensor: measured losses, exact sizes of images, and the best formats under a budget or for a loss.

mod choice;
mod error;
pub mod file;
mod size;
mod target;

use std::collections::BTreeMap;
use std::fmt;

use attoformer::internals::format::limits::INT4_COLUMNS_MAX;
use attoformer::internals::format::shape_of;
use serde::Serialize;

use super::assemble::{Packed, Request, pack_with, request};
use super::calibrate;
use super::calibrate::samples::Samples;
use super::calibrate::sensitivity::{Formats, Loss, measure};
use super::options::Options;
use super::tensor_id::{TensorId, tensor_name};
use super::weights::{convolves, is_overridden};
use crate::error::Error;
use crate::import::Checkpoint;
use crate::quantize::Format;
use crate::report::progress::Progress;
use crate::report::table::{Table, thousands};
use choice::{Item, choose};
pub use error::FormatsError;
use size::ImageSize;
pub use target::Reached;

/// Loss of the model if only this tensor takes this format. The field names are an interface that scripts read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorLoss {
    /// Name of the tensor.
    pub name: String,
    /// Its format, as in `--tensor`.
    pub format: String,
    /// Mean KL divergence from the f32 model in nats; 1 - cosine for embeddings.
    pub loss: f64,
    /// Size of values, scales and bias in this format.
    pub bytes: u64,
}

/// Losses of all tensors.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Sensitivity(pub Vec<TensorLoss>);

impl fmt::Display for Sensitivity {
    /// A table with most loss per byte first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<&TensorLoss> = self.0.iter().collect();
        let per_byte = |row: &TensorLoss| row.loss / row.bytes.max(1) as f64;
        rows.sort_by(|a, b| per_byte(b).total_cmp(&per_byte(a)));
        let mut table = Table::new(&["tensor", "format", "loss", "bytes", "loss per MB"]);
        for row in rows {
            let scaled = format!("{:.6}", per_byte(row) * 1e6);
            table.row([row.name.clone(), row.format.clone(), format!("{:.6}", row.loss), thousands(row.bytes), scaled]);
        }
        writeln!(f, "{table}")
    }
}

/// Chooses formats for the tensors of a model.
pub struct Chooser<'c> {
    checkpoint: &'c Checkpoint,
    options: &'c Options,
    request: Request,
    size: ImageSize,
    samples: Option<Samples>,
    losses: Option<Vec<Loss>>,
}

impl<'c> Chooser<'c> {
    /// A chooser for images with these options; their format of the weights has no effect but for the group of int4.
    ///
    /// # Errors
    /// [`PackError`](super::PackError): the options do not fit the model.
    pub fn new(checkpoint: &'c Checkpoint, options: &'c Options) -> Result<Self, Error> {
        // The tensors that take another format are the candidates; int8 fits every matrix.
        let stated = Options { weights: Format::Int8, ..options.clone() };
        let request = request(checkpoint, &stated).map_err(Error::file(&checkpoint.path))?;
        let size = ImageSize::new(checkpoint, &request.config, options).map_err(Error::file(&checkpoint.path))?;
        Ok(Chooser { checkpoint, options, request, size, samples: None, losses: None })
    }

    /// The formats that a tensor can take; none for one that stays as it is.
    fn candidates(&self, id: TensorId) -> Vec<Format> {
        let (_, columns) = shape_of(&self.request.config, id.0);
        let is_fixed = id.0.is_always_f32() || convolves(&self.request.config, id.0) || is_overridden(id, self.options);
        let int4 = Format::Int4 { group: self.options.int4_group() };
        let all = [Format::Int8, int4];
        let fits = |format: &&Format| **format == Format::Int8 || columns <= INT4_COLUMNS_MAX;
        if is_fixed { Vec::new() } else { all.iter().filter(fits).copied().collect() }
    }

    /// The formats of all tensors if each takes the given one of its candidates.
    fn formats(&self, pick: impl Fn(TensorId, &[Format]) -> Option<Format>) -> BTreeMap<TensorId, Format> {
        let of = |(&id, &stated): (&TensorId, &Format)| (id, pick(id, &self.candidates(id)).unwrap_or(stated));
        self.request.formats.iter().map(of).collect()
    }

    /// Samples that calibrate GPTQ.
    fn samples(&mut self, progress: &Progress) -> Result<&Samples, Error> {
        if self.samples.is_none() {
            let found = calibrate::samples(self.checkpoint, &self.options.calibration, true, progress);
            self.samples = found.map_err(Error::file(&self.checkpoint.path))?;
        }
        self.samples.as_ref().ok_or_else(|| Error::file(&self.checkpoint.path)(FormatsError::NoSamples))
    }

    fn losses(&mut self) -> Result<&[Loss], Error> {
        if self.losses.is_none() {
            let progress = Progress::new("layers", self.request.config.all_layers().into());
            self.samples(&progress)?;
            let candidates = self.request.formats.keys().map(|&id| (id, self.candidates(id)));
            let formats: Formats = candidates.filter(|(_, formats)| !formats.is_empty()).collect();
            if let Some(samples) = &self.samples {
                let measured = measure(self.checkpoint, &self.request.config, self.options, &formats, samples, &progress);
                self.losses = Some(measured.map_err(Error::file(&self.checkpoint.path))?);
            }
        }
        Ok(self.losses.as_deref().unwrap_or_default())
    }

    /// Measures the loss of every tensor in int8 and in int4.
    ///
    /// # Errors
    /// [`FormatsError::NoSamples`]; [`PackError`](super::PackError): the model cannot be run.
    pub fn sensitivity(&mut self) -> Result<Sensitivity, Error> {
        self.losses()?;
        let of = |loss: &Loss| TensorLoss {
            name: tensor_name(loss.id.0, loss.id.1),
            format: loss.format.to_string(),
            loss: loss.loss,
            bytes: self.size.of_tensor(loss.id, loss.format),
        };
        Ok(Sensitivity(self.losses.iter().flatten().map(of).collect()))
    }

    /// Chooses the formats of the least loss with which the image takes at most `budget` bytes.
    ///
    /// # Errors
    /// [`FormatsError::Budget`] if even the smallest image is larger, and those of [`Chooser::sensitivity`].
    pub fn for_budget(&mut self, budget: u64) -> Result<Choice, Error> {
        let largest = self.largest();
        let bytes = self.size.of_image(&largest);
        if bytes <= budget {
            return Ok(Choice { formats: largest, bytes, is_largest: true });
        }
        let smallest = self.smallest();
        let least = self.size.of_image(&smallest);
        if least > budget {
            return Err(Error::file(&self.checkpoint.path)(self.too_small(budget, least)));
        }
        self.losses()?;
        let items: Vec<(TensorId, Item)> =
            largest.iter().filter_map(|(&id, &wide)| Some((id, self.item(id, wide, smallest[&id])?))).collect();
        let wide = choose(&items.iter().map(|(_, item)| *item).collect::<Vec<Item>>(), budget - least);
        let mut formats = smallest;
        for ((id, _), _) in items.iter().zip(&wide).filter(|(_, wide)| **wide) {
            formats.insert(*id, largest[id]);
        }
        let bytes = self.size.of_image(&formats);
        debug_assert!(bytes <= budget);
        Ok(Choice { formats, bytes, is_largest: false })
    }

    /// The refusal of a budget, which names the smallest image.
    fn too_small(&self, budget: u64, smallest: u64) -> FormatsError {
        let least = self.size.of_image(&self.formats(|_, formats| formats.last().map(|format| format.with_group(0))));
        FormatsError::Budget { format: Format::Int4 { group: self.options.int4_group() }, smallest, least, budget }
    }

    fn smallest(&self) -> BTreeMap<TensorId, Format> {
        self.formats(|_, formats| formats.last().copied())
    }

    fn largest(&self) -> BTreeMap<TensorId, Format> {
        self.formats(|_, formats| formats.first().copied())
    }

    /// Bytes of the image with every matrix in its widest format, at most.
    pub fn largest_bytes(&self) -> u64 {
        self.size.of_image(&self.largest())
    }

    /// Bytes of the smallest image.
    pub fn smallest_bytes(&self) -> u64 {
        self.size.of_image(&self.smallest())
    }

    /// What a tensor gains by its wider format, and what that costs.
    fn item(&self, id: TensorId, wide: Format, narrow: Format) -> Option<Item> {
        let loss = |format: Format| {
            let found = self.losses.iter().flatten().find(|loss| (loss.id, loss.format) == (id, format));
            found.map_or(0.0, |loss| loss.loss)
        };
        let bytes = |format| self.size.of_tensor(id, format);
        (wide != narrow).then(|| Item { gain: (loss(narrow) - loss(wide)).max(0.0), bytes: bytes(wide) - bytes(narrow).min(bytes(wide)) })
    }

    /// Packs an image with chosen formats.
    ///
    /// # Errors
    /// Those of [`pack`](super::pack()).
    pub fn pack(&self, choice: &Choice, progress: &Progress) -> Result<Packed, Error> {
        self.pack_as(choice, self.options, progress)
    }

    fn pack_as(&self, choice: &Choice, options: &Options, progress: &Progress) -> Result<Packed, Error> {
        let request = Request { formats: choice.formats.clone(), ..self.request.clone() };
        let samples = self.samples.as_ref().filter(|_| request.needs_gptq());
        pack_with(self.checkpoint, &request, options, samples, progress)
    }
}

/// Names and formats that the options state for all tensors that are not always f32.
///
/// # Errors
/// [`PackError`](super::PackError): the options do not fit the model.
pub fn stated(checkpoint: &Checkpoint, options: &Options) -> Result<Vec<(String, Format)>, Error> {
    let request = request(checkpoint, options).map_err(Error::file(&checkpoint.path))?;
    let tensors = request.formats.iter().filter(|(id, _)| !id.0.is_always_f32());
    Ok(tensors.map(|(id, &format)| (tensor_name(id.0, id.1), format)).collect())
}

/// Chosen formats.
#[derive(Clone, Debug)]
pub struct Choice {
    formats: BTreeMap<TensorId, Format>,
    /// Size of the image with these formats at most; factors that do not help are left out.
    pub bytes: u64,
    /// Whether every matrix has its widest format.
    pub is_largest: bool,
}

impl Choice {
    /// Names and formats of all tensors that are not always f32.
    pub fn tensors(&self) -> impl Iterator<Item = (String, Format)> {
        self.formats.iter().filter(|(id, _)| !id.0.is_always_f32()).map(|(id, &format)| (tensor_name(id.0, id.1), format))
    }
}

impl fmt::Display for Choice {
    /// One line per role: `qkv: int4:32 in layers 1-2; int8 in layers 0, 3-5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        type Layers = Vec<(Option<u32>, Format)>;
        let mut roles: BTreeMap<(bool, attoformer::image::Role), Layers> = BTreeMap::new();
        for (&(role, layer), &format) in self.formats.iter().filter(|(id, _)| !id.0.is_always_f32()) {
            roles.entry((layer.is_some(), role)).or_default().push((layer, format));
        }
        for ((_, role), tensors) in roles {
            let first = tensors[0].1;
            if tensors.iter().all(|(_, format)| *format == first) {
                writeln!(f, "{}: {first}", role.name())?;
                continue;
            }
            let mut layers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
            for (layer, format) in tensors {
                layers.entry(format.to_string()).or_default().extend(layer);
            }
            let parts = layers.iter().map(|(format, layers)| format!("{format} in layers {}", ranges(layers)));
            writeln!(f, "{}: {}", role.name(), parts.collect::<Vec<String>>().join("; "))?;
        }
        Ok(())
    }
}

/// Numbers of layers as ranges: `0-3, 7`.
fn ranges(layers: &[u32]) -> String {
    let runs = layers.chunk_by(|a, b| a + 1 == *b);
    let name = |run: &[u32]| if let [first, .., last] = run { format!("{first}-{last}") } else { format!("{}", run[0]) };
    runs.map(name).collect::<Vec<String>>().join(", ")
}
