//! Ablation: the change of the answer's log-probability without each head, attention, MLP and layer.
//!
//! Michel et al. 2019 ablate heads; Meng et al. 2022 and Geva et al. 2021 compare heads and MLPs to locate facts.

use attoformer::probe::{Part, Site};
use attoformer::{Probe, Session};
use serde::Serialize;

use super::lens::Residuals;
use super::model::{InspectedModel, feed};
use super::numbers::{log_probability, rounded};
use crate::error::Error;
use crate::report::progress::Progress;

/// Replacement for an ablated component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Zero.
    Zero,
    /// The mean over the positions of a reference, which keeps its constant contribution.
    Mean,
}

/// An ablated component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One head of a layer.
    Head(u32, usize),
    /// All heads of a layer.
    Attention(u32),
    /// The MLP of a layer.
    Mlp(u32),
    /// A whole layer: its output is its input.
    Layer(u32),
}

/// Mean activations over the positions of a reference, by layer.
#[derive(Clone, Debug)]
pub struct Means {
    /// Outputs of the heads `(q_dim)`.
    heads: Vec<Vec<f64>>,
    /// Contributions of the attention `(d_model)`.
    attention: Vec<Vec<f64>>,
    /// Contributions of the MLP `(d_model)`.
    mlp: Vec<Vec<f64>>,
    /// Contributions of the whole layer `(d_model)`.
    layer: Vec<Vec<f64>>,
    /// Input of the current layer.
    read: Vec<f32>,
    positions: f64,
}

impl Means {
    /// Runs the reference.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn of<'t>(session: &mut Session, sequences: impl IntoIterator<Item = &'t [u32]>) -> Result<Self, attoformer::Error> {
        let config = *session.config();
        let empty = |width: u32| vec![vec![0.0; width as usize]; config.layers as usize];
        let narrow = empty(config.d_model);
        let mut means = Means {
            heads: empty(config.q_dim()),
            attention: narrow.clone(),
            mlp: narrow.clone(),
            layer: narrow,
            read: Vec::new(),
            positions: 0.0,
        };
        for tokens in sequences {
            feed(session, tokens, &mut means)?;
            means.positions += tokens.len() as f64;
        }
        let count = means.positions.max(1.0);
        let lists = [&mut means.heads, &mut means.attention, &mut means.mlp, &mut means.layer];
        lists.into_iter().flatten().flatten().for_each(|sum| *sum /= count);
        Ok(means)
    }
}

impl Probe for Means {
    fn rows(&mut self, site: Site, width: usize, rows: &mut [f32]) {
        let layer = site.layer as usize;
        let sums = match site.part {
            Part::Embedded => return self.read = rows.to_vec(),
            Part::Heads => &mut self.heads[layer],
            Part::Attention => &mut self.attention[layer],
            Part::Mlp => &mut self.mlp[layer],
            Part::Residual => {
                for (row, read) in rows.chunks(width).zip(self.read.chunks(width)) {
                    self.layer[layer].iter_mut().zip(row.iter().zip(read)).for_each(|(sum, (&x, &before))| *sum += (x - before) as f64);
                }
                return self.read = rows.to_vec();
            }
            _ => return,
        };
        for row in rows.chunks(width) {
            sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x as f64);
        }
    }
}

/// A probe that ablates a component at all positions.
struct Ablation<'m> {
    target: Target,
    means: Option<&'m Means>,
    /// Residual stream of the unmodified model: the layers before the target are not run again.
    whole: &'m Residuals,
    head_dim: usize,
}

impl Probe for Ablation<'_> {
    fn first_layer(&self) -> u32 {
        match self.target {
            Target::Head(layer, _) | Target::Attention(layer) | Target::Mlp(layer) | Target::Layer(layer) => layer,
        }
    }

    fn rows(&mut self, site: Site, width: usize, rows: &mut [f32]) {
        let layer = site.layer as usize;
        let mean = |of: fn(&Means) -> &Vec<Vec<f64>>| self.means.map(|means| &of(means)[layer][..]);
        match (self.target, site.part) {
            (Target::Head(at, head), Part::Heads) if at == site.layer => {
                replace(rows, width, head * self.head_dim..(head + 1) * self.head_dim, mean(|means| &means.heads));
            }
            (Target::Attention(at), Part::Attention) if at == site.layer => replace(rows, width, 0..width, mean(|means| &means.attention)),
            (Target::Mlp(at), Part::Mlp) if at == site.layer => replace(rows, width, 0..width, mean(|means| &means.mlp)),
            (Target::Layer(at), Part::Residual) if at == site.layer => {
                self.whole.restore(layer, site.start, rows);
                if let Some(mean) = mean(|means| &means.layer) {
                    rows.chunks_mut(width).for_each(|row| row.iter_mut().zip(mean).for_each(|(x, &mean)| *x += mean as f32));
                }
            }
            (_, Part::Embedded) => self.whole.restore(self.first_layer() as usize, site.start, rows),
            _ => {}
        }
    }
}

/// Replaces columns of all rows by their mean or by zero.
fn replace(rows: &mut [f32], width: usize, columns: std::ops::Range<usize>, mean: Option<&[f64]>) {
    for row in rows.chunks_mut(width) {
        for column in columns.clone() {
            row[column] = mean.map_or(0.0, |mean| mean[column] as f32);
        }
    }
}

/// Data of the view: changes of the answer's log-probability in nats, negative if the answer needs the component.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Replacement for an ablated component.
    pub method: Method,
    /// The answer at the last position.
    pub target: u32,
    /// Its log-probability in the unmodified model.
    pub log_p: f32,
    /// Layers.
    pub layers: usize,
    /// Heads of a layer.
    pub heads: usize,
    /// Effect of each head `(layers, heads)`.
    pub head: Vec<f32>,
    /// Effect of each layer's attention.
    pub attention: Vec<f32>,
    /// Effect of each layer's MLP.
    pub mlp: Vec<f32>,
    /// Effect of each layer.
    pub layer: Vec<f32>,
}

impl View {
    /// The heads as (layer, head, change of the log-probability), the one that the answer needs most first.
    pub fn ranking(&self) -> Vec<(usize, usize, f32)> {
        let mut heads: Vec<_> =
            self.head.iter().enumerate().map(|(index, &effect)| (index / self.heads, index % self.heads, effect)).collect();
        heads.sort_by(|a, b| a.2.total_cmp(&b.2));
        heads
    }
}

/// All targets: heads, attentions, MLPs, layers.
pub fn targets(layers: u32, heads: usize) -> Vec<Target> {
    let heads = (0..layers).flat_map(|layer| (0..heads).map(move |head| Target::Head(layer, head)));
    let whole = [Target::Attention, Target::Mlp, Target::Layer].into_iter().flat_map(|part| (0..layers).map(part));
    heads.chain(whole).collect()
}

/// Ablates each target.
///
/// # Errors
/// [`InspectError`](super::InspectError) for models that are not decoders, or those of the engine.
pub fn view(model: &InspectedModel, tokens: &[u32], target: u32, means: Option<&Means>, progress: &Progress) -> Result<View, Error> {
    model.check_decoder("ablation")?;
    let (layers, heads) = (model.config().layers as usize, model.config().heads as usize);
    let residuals = model.session(|session| Residuals::of(session, tokens))?;
    let whole = model.session(|session| feed(session, tokens, &mut ()).map(|logits| log_probability(logits, target)))?;
    let targets = targets(model.config().layers, heads);
    let effects = model.sweep(targets.len(), progress, |session, index| {
        let head_dim = session.config().head_dim as usize;
        let mut ablation = Ablation { target: targets[index], means, whole: &residuals, head_dim };
        Ok(rounded(log_probability(feed(session, tokens, &mut ablation)?, target) - whole))
    })?;
    let (head, rest) = effects.split_at(layers * heads);
    let part = |index: usize| rest[index * layers..][..layers].to_vec();
    let method = if means.is_some() { Method::Mean } else { Method::Zero };
    Ok(View { method, target, log_p: rounded(whole), layers, heads, head: head.to_vec(), attention: part(0), mlp: part(1), layer: part(2) })
}
