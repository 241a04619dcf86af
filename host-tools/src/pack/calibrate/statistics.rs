//! Statistics of one layer's activations over all samples.

use std::collections::BTreeMap;

use attoformer::Error;
use attoformer::image::Role;

use super::samples::Sample;
use super::stream::{Bounds, Inputs, Observed, Rows, Runner};
use crate::quantize::{Hessian, HessianBuilder, Matrix};

/// Samples that run through a layer at a time. Sums are added in this order, so it must not depend on the number of threads.
const TOGETHER: usize = 4;
/// Rows of each matrix's input that are kept at least, of a long text, for the search of its smoothing factors.
const ROWS_KEPT: usize = 1024;

/// Inputs of one matrix.
#[derive(Debug)]
pub struct InputStatistics {
    /// Columns.
    pub columns: usize,
    /// A part of the rows, evenly spread, `(rows, columns)`.
    pub rows: Vec<f32>,
    /// Second moments, where GPTQ needs them.
    pub hessian: Option<Hessian>,
}

impl InputStatistics {
    /// The kept rows.
    pub fn matrix(&self) -> Matrix<'_> {
        Matrix { columns: self.columns, values: &self.rows }
    }
}

/// Statistics of a layer.
#[derive(Debug, Default)]
pub struct Statistics {
    /// Of each matrix's input.
    pub inputs: BTreeMap<Role, InputStatistics>,
    /// Bounds of the self-attention's keys.
    pub keys: Bounds,
    /// Bounds of the cross-attention's keys.
    pub cross_keys: Bounds,
}

/// The rows of all samples before a layer: in f32, and where GPTQ is used in the quantized model.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    /// Of the f32 model.
    pub exact: Vec<Rows>,
    /// Of the quantized model.
    pub quantized: Option<Vec<Rows>>,
    /// Output of an encoder's last layer in the f32 model.
    pub outputs: Vec<Vec<f32>>,
}

/// Samples of a stack, of which the first `tuned` are observed.
#[derive(Clone, Copy)]
pub struct StackSamples<'s> {
    /// All samples.
    pub samples: &'s [Sample],
    /// Number of observed samples.
    pub tuned: usize,
    /// Tokens of each sample as indices into the vocabulary.
    pub tokens: &'s [Vec<u32>],
    /// The encoder's rows, for cross-attention.
    pub encoder: Option<&'s Streams>,
}

/// Collects the inputs of one matrix.
struct Collector {
    columns: usize,
    /// Every row whose index is a multiple of `stride`.
    rows: Vec<f32>,
    stride: usize,
    seen: usize,
    hessian: Option<HessianBuilder>,
}

impl Collector {
    fn new(columns: usize, is_quantized: bool, wants_hessian: bool) -> Self {
        let hessian = wants_hessian.then(|| HessianBuilder::new(columns, is_quantized));
        Collector { columns, rows: Vec::new(), stride: 1, seen: 0, hessian }
    }

    /// Adds a sample's rows in the f32 stream, and in the quantized stream if there is one.
    fn add(&mut self, exact: &[f32], quantized: Option<&[f32]>) {
        for row in exact.chunks_exact(self.columns) {
            if self.seen.is_multiple_of(self.stride) {
                self.rows.extend_from_slice(row);
            }
            self.seen += 1;
            if self.rows.len() == 2 * ROWS_KEPT * self.columns {
                self.thin_out();
            }
        }
        if let Some(hessian) = &mut self.hessian {
            let matrix = |values| Matrix { columns: self.columns, values };
            hessian.add(matrix(quantized.unwrap_or(exact)), quantized.map(|_| matrix(exact)));
        }
    }

    /// Keeps every other row.
    fn thin_out(&mut self) {
        let kept = self.rows.chunks_exact(self.columns).step_by(2).flatten().copied().collect();
        (self.rows, self.stride) = (kept, 2 * self.stride);
    }

    fn finish(self) -> InputStatistics {
        InputStatistics { columns: self.columns, rows: self.rows, hessian: self.hessian.map(HessianBuilder::finish) }
    }
}

/// Runs the f32 layer over both streams and collects its statistics. `streams.exact` moves on to the rows after the layer; the quantized stream
/// stays, until the layer is quantized. `wants_hessian` tells for which matrices GPTQ is used.
pub fn observe(
    runner: &Runner<'_>,
    stack: StackSamples<'_>,
    streams: &mut Streams,
    wants_hessian: &dyn Fn(Role) -> bool,
) -> Result<Statistics, Error> {
    let mut statistics = Statistics::default();
    let mut collectors: BTreeMap<Role, Collector> = BTreeMap::new();
    streams.outputs.clear();
    for start in (0..stack.samples.len()).step_by(TOGETHER) {
        let exact = run(runner, stack, start, &streams.exact, |encoder| &encoder.exact)?;
        let quantized = match &streams.quantized {
            Some(rows) if start < stack.tuned => {
                Some(run(runner, stack, start, rows, |encoder| encoder.quantized.as_ref().unwrap_or(&encoder.exact))?)
            }
            _ => None,
        };
        for (index, mut observed) in exact.into_iter().enumerate() {
            if start + index < stack.tuned {
                let quantized = quantized.as_ref().map(|all| &all[index]);
                for (&role, Inputs { columns, values }) in &observed.inputs {
                    let quantized = quantized.map(|observed| observed.inputs[&role].values.as_slice());
                    let new = || Collector::new(*columns, quantized.is_some(), wants_hessian(role));
                    collectors.entry(role).or_insert_with(new).add(values, quantized);
                }
                statistics.keys.join(&observed.keys);
                statistics.cross_keys.join(&observed.cross_keys);
            }
            streams.exact[start + index] = std::mem::take(&mut observed.rows);
            streams.outputs.push(observed.output);
        }
    }
    statistics.inputs = collectors.into_iter().map(|(role, collector)| (role, collector.finish())).collect();
    Ok(statistics)
}

fn run(
    runner: &Runner<'_>,
    stack: StackSamples<'_>,
    start: usize,
    rows: &[Rows],
    of_encoder: impl Fn(&Streams) -> &Vec<Rows>,
) -> Result<Vec<Observed>, Error> {
    let end = (start + TOGETHER).min(stack.samples.len());
    let samples: Vec<&Sample> = stack.samples[start..end].iter().collect();
    let given: Vec<&[f32]> = rows[start..end].iter().map(Vec::as_slice).collect();
    let encoder: Vec<&[f32]> = match stack.encoder {
        Some(streams) => of_encoder(streams)[start..end].iter().map(Vec::as_slice).collect(),
        None => Vec::new(),
    };
    runner.run(&samples, &stack.tokens[start..end], &given, &encoder)
}

/// Runs the quantized stream through the quantized layer.
pub fn advance(runner: &Runner<'_>, stack: StackSamples<'_>, streams: &mut Streams) -> Result<(), Error> {
    let Some(mut rows) = streams.quantized.take() else { return Ok(()) };
    for start in (0..stack.tuned).step_by(TOGETHER) {
        let observed = run(runner, stack, start, &rows, |encoder| encoder.quantized.as_ref().unwrap_or(&encoder.exact))?;
        rows.iter_mut().skip(start).zip(observed).for_each(|(rows, observed)| *rows = observed.rows);
    }
    streams.quantized = Some(rows);
    Ok(())
}

/// Computes the rows of every sample before the first layer, and the statistics of the input stem.
pub fn embed(runner: &Runner<'_>, stack: StackSamples<'_>, wants_hessian: &dyn Fn(Role) -> bool) -> Result<(Vec<Rows>, Statistics), Error> {
    let mut collectors: BTreeMap<Role, Collector> = BTreeMap::new();
    let mut all = Vec::new();
    for start in (0..stack.samples.len()).step_by(TOGETHER) {
        let end = (start + TOGETHER).min(stack.samples.len());
        let samples: Vec<&Sample> = stack.samples[start..end].iter().collect();
        for (index, observed) in runner.embed(&samples, &stack.tokens[start..end])?.into_iter().enumerate() {
            if start + index < stack.tuned {
                for (&role, Inputs { columns, values }) in &observed.inputs {
                    let new = || Collector::new(*columns, false, wants_hessian(role));
                    collectors.entry(role).or_insert_with(new).add(values, None);
                }
            }
            all.push(observed.rows);
        }
    }
    let inputs = collectors.into_iter().map(|(role, collector)| (role, collector.finish())).collect();
    Ok((all, Statistics { inputs, ..Statistics::default() }))
}
