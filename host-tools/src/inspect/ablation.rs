//! What each part of a model is worth to one answer: the part is taken away, and the answer's log-probability is looked at again.
//!
//! Of heads this is Michel et al. 2019's question; of heads against MLPs it is where a fact sits (Meng et al. 2022; Geva et al. 2021).

use attoformer::probe::{Part, Site};
use attoformer::{Probe, Session};
use serde::Serialize;

use super::lens::Residuals;
use super::model::{InspectedModel, feed};
use super::{log_probability, rounded};
use crate::error::Error;
use crate::report::progress::Progress;

/// What is put in the place of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Nothing.
    Zero,
    /// Its mean over the positions of a reference, so that what it always says is not taken away.
    Mean,
}

/// A part that is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// One head of a layer.
    Head(u32, usize),
    /// All heads of a layer.
    Attention(u32),
    /// A layer's MLP.
    Mlp(u32),
    /// A layer as a whole: what it reads is what it returns.
    Layer(u32),
}

/// Mean rows over the positions of a reference, by layer.
#[derive(Clone, Debug)]
pub struct Means {
    /// Heads' answers, `(q_dim)`.
    heads: Vec<Vec<f64>>,
    /// What attentions add, `(d_model)`.
    attention: Vec<Vec<f64>>,
    /// What MLPs add, `(d_model)`.
    mlp: Vec<Vec<f64>>,
    /// What layers add as a whole, `(d_model)`.
    layer: Vec<Vec<f64>>,
    /// What the layer at work read.
    read: Vec<f32>,
    positions: f64,
}

impl Means {
    /// Runs a reference.
    ///
    /// # Errors
    /// What the engine says.
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
            Part::Neurons => return,
        };
        for row in rows.chunks(width) {
            sums.iter_mut().zip(row).for_each(|(sum, &x)| *sum += x as f64);
        }
    }
}

/// A probe that takes a part away at all positions.
struct Ablation<'m> {
    target: Target,
    means: Option<&'m Means>,
    /// The whole model's residual stream: layers before the target's are not run again.
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

/// Puts a mean, or nothing, in these columns of all rows.
fn replace(rows: &mut [f32], width: usize, columns: std::ops::Range<usize>, mean: Option<&[f64]>) {
    for row in rows.chunks_mut(width) {
        for column in columns.clone() {
            row[column] = mean.map_or(0.0, |mean| mean[column] as f32);
        }
    }
}

/// The view: changes of the answer's log-probability, in nats; below zero where the answer needs the part.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// What was put in the place of a part.
    pub method: Method,
    /// The answer, at the last position.
    pub target: u32,
    /// Its log-probability in the whole model.
    pub log_p: f32,
    /// Layers.
    pub layers: usize,
    /// Heads of a layer.
    pub heads: usize,
    /// Of each head: layer, then head.
    pub head: Vec<f32>,
    /// Of each layer's attention.
    pub attention: Vec<f32>,
    /// Of each layer's MLP.
    pub mlp: Vec<f32>,
    /// Of each layer.
    pub layer: Vec<f32>,
}

impl View {
    /// Heads by their effect, the one that the answer needs most first: layer, head, change of the log-probability.
    pub fn ranking(&self) -> Vec<(usize, usize, f32)> {
        let mut heads: Vec<_> =
            self.head.iter().enumerate().map(|(index, &effect)| (index / self.heads, index % self.heads, effect)).collect();
        heads.sort_by(|a, b| a.2.total_cmp(&b.2));
        heads
    }
}

/// Everything that is taken away, one after another: heads, attentions, MLPs, layers.
pub fn targets(layers: u32, heads: usize) -> Vec<Target> {
    let heads = (0..layers).flat_map(|layer| (0..heads).map(move |head| Target::Head(layer, head)));
    let whole = [Target::Attention, Target::Mlp, Target::Layer].into_iter().flat_map(|part| (0..layers).map(part));
    heads.chain(whole).collect()
}

/// Takes each part away in turn.
///
/// # Errors
/// [`Error::File`] for models that do not write, or what the engine says.
pub fn view(model: &InspectedModel, tokens: &[u32], target: u32, means: Option<&Means>, progress: &Progress) -> Result<View, Error> {
    model.check_writes("ablation")?;
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
