//! The residual stream of every sample, carried from layer to layer.

use std::collections::BTreeMap;

use attoformer::image::Role;
use attoformer::probe::{Part, Site};
use attoformer::{Error, Image, Probe, Session, arena_bytes};
use rayon::prelude::*;

use super::layer_image::{Layer, Stack};
use super::samples::{Input, Sample};
use crate::engine::Setup;
use crate::files::AlignedBytes;

/// Rows of the residual stream of one sample, `(rows, d_model)`.
pub type Rows = Vec<f32>;

/// Observations of one sample in one layer.
#[derive(Debug, Default)]
pub struct Observed {
    /// Inputs of each matrix.
    pub inputs: BTreeMap<Role, Inputs>,
    /// The self-attention's keys, after their norm and rotation.
    pub keys: Bounds,
    /// The cross-attention's keys.
    pub cross_keys: Bounds,
    /// The residual stream after the layer.
    pub rows: Rows,
    /// An encoder's output after its last layer: the embedding or the labels.
    pub output: Vec<f32>,
}

/// Input rows of a matrix, `(rows, columns)`.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Columns.
    pub columns: usize,
    /// Values.
    pub values: Vec<f32>,
}

/// Least and largest value of each element of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds(Vec<[f32; 2]>);

impl Bounds {
    /// Widens the bounds to include a row.
    fn include(&mut self, row: &[f32]) {
        if self.0.is_empty() {
            self.0 = row.iter().map(|&x| [x, x]).collect();
        }
        for ([least, most], &x) in self.0.iter_mut().zip(row) {
            (*least, *most) = (least.min(x), most.max(x));
        }
    }

    /// Widens the bounds to include others.
    pub fn join(&mut self, other: &Bounds) {
        for side in 0..2 {
            let row: Vec<f32> = other.0.iter().map(|bounds| bounds[side]).collect();
            if !row.is_empty() {
                self.include(&row);
            }
        }
    }

    /// The middle of each element's bounds; `None` if nothing was included.
    pub fn middle(&self) -> Option<Vec<f32>> {
        (!self.0.is_empty()).then(|| self.0.iter().map(|[least, most]| (least + most) * 0.5).collect())
    }
}

/// Runs samples through one layer or through a model's input.
pub struct Runner<'i> {
    image: Image<'i>,
    setup: Setup,
    layer: Layer,
    /// The layer's number in the image.
    number: u32,
    /// Whether inputs of matrices are observed.
    pub records_inputs: bool,
}

impl<'i> Runner<'i> {
    /// A runner for a layer's image.
    pub fn new(bytes: &'i [u8], layer: Layer, number: u32) -> Result<Self, Error> {
        let setup = Setup { block: Some(64), ..Setup::default() };
        Ok(Runner { image: Image::new(bytes)?, setup, layer, number, records_inputs: true })
    }

    /// Runs samples through the layer, each with its rows before the layer and, for cross-attention, those of the encoder.
    pub fn run(&self, samples: &[&Sample], tokens: &[Vec<u32>], rows: &[&[f32]], encoder: &[&[f32]]) -> Result<Vec<Observed>, Error> {
        let all = samples.par_iter().enumerate().map(|(index, sample)| {
            let mut arena = AlignedBytes::zeroed(arena_bytes(self.image.config(), self.setup.plan(self.image.config())));
            let mut session = self.setup.session(&self.image, &mut arena)?;
            let mut probe = LayerProbe {
                rows: Some(rows[index]),
                encoder: encoder.get(index).copied(),
                number: self.number,
                is_encoding: false,
                records_inputs: self.records_inputs,
                observed: Observed::default(),
            };
            let count = rows[index].len() / self.image.config().d_model as usize;
            self.run_one(&mut session, &mut probe, sample, &tokens[index][..], count)?;
            Ok(probe.observed)
        });
        all.collect()
    }

    fn run_one(&self, session: &mut Session, probe: &mut LayerProbe, sample: &Sample, tokens: &[u32], count: usize) -> Result<(), Error> {
        // Without a table of its own per layer, a layer does not see its tokens.
        let unseen = |count: usize| vec![0; count];
        if self.layer.stack == Stack::Encoder {
            let output = session.encode_probed(&unseen(count), probe)?.to_vec();
            probe.observed.output = output;
            return Ok(());
        }
        if let Some(encoder) = probe.encoder {
            probe.is_encoding = true;
            session.encode_probed(&unseen(encoder.len() / self.image.config().d_model as usize), probe)?;
            probe.is_encoding = false;
        }
        debug_assert_eq!(sample.target.len(), count);
        let seen = if self.image.config().layer_width() > 0 { tokens.to_vec() } else { unseen(count) };
        session.prefill_probed(&seen, probe).map(|_| ())
    }

    /// Runs samples through a model's input: their rows before the first layer, and the inputs of the input stem's matrices.
    pub fn embed(&self, samples: &[&Sample], tokens: &[Vec<u32>]) -> Result<Vec<Observed>, Error> {
        let all = samples.par_iter().zip(tokens).map(|(sample, tokens)| {
            let mut arena = AlignedBytes::zeroed(arena_bytes(self.image.config(), self.setup.plan(self.image.config())));
            let mut session = self.setup.session(&self.image, &mut arena)?;
            let mut probe = LayerProbe {
                rows: None,
                encoder: None,
                number: 0,
                is_encoding: false,
                records_inputs: true,
                observed: Observed::default(),
            };
            match (&sample.input, self.layer.stack) {
                (Input::Features(features), Stack::Encoder) => session.encode_features_probed(features, &mut probe).map(|_| ())?,
                (_, Stack::Encoder) => session.encode_probed(tokens, &mut probe).map(|_| ())?,
                (_, Stack::Decoder) => session.prefill_probed(tokens, &mut probe).map(|_| ())?,
            }
            Ok(probe.observed)
        });
        all.collect()
    }
}

/// Writes the rows that enter a layer and observes what happens in it.
struct LayerProbe<'r> {
    /// Rows before the layer; `None` to observe the model's own.
    rows: Option<&'r [f32]>,
    /// The encoder's rows before its final norm.
    encoder: Option<&'r [f32]>,
    number: u32,
    /// Whether the encoder layer of zeros before a decoder layer is running.
    is_encoding: bool,
    records_inputs: bool,
    observed: Observed,
}

impl Probe for LayerProbe<'_> {
    fn rows(&mut self, site: Site, width: usize, rows: &mut [f32]) {
        let own = site.layer == self.number;
        let from = site.start * width;
        match site.part {
            Part::Residual if self.is_encoding => {
                let encoder = self.encoder.unwrap_or_default();
                rows.copy_from_slice(&encoder[from..from + rows.len()]);
            }
            Part::Embedded if !self.is_encoding => match self.rows {
                Some(given) => rows.copy_from_slice(&given[from..from + rows.len()]),
                None => self.observed.rows.extend_from_slice(rows),
            },
            Part::Residual if own && self.rows.is_some() => self.observed.rows.extend_from_slice(rows),
            Part::Keys if own && !self.is_encoding => self.observed.keys.include(rows),
            Part::CrossKeys if own => self.observed.cross_keys.include(rows),
            _ => {}
        }
    }

    fn input(&mut self, site: Site, columns: usize, rows: &[f32]) {
        let Part::Input(role) = site.part else { return };
        let outside = matches!(role, Role::Pooler | Role::Classifier | Role::Conv1 | Role::Conv2);
        if self.records_inputs && role != Role::Embedding && (outside || site.layer == self.number) {
            let inputs = self.observed.inputs.entry(role).or_default();
            inputs.columns = columns;
            inputs.values.extend_from_slice(rows);
        }
    }
}
