//! Whisper (Radford et al. 2022): log-mel frames through a convolution stem and an encoder, text from a decoder that looks at its rows.

use std::path::Path;

use attoformer::image::header::{Architecture, Config, Front, MaskKind, NormKind, NormPlacement, PositionKind};
use serde::Deserialize;

use super::take::Taker;
use super::weights::Weights;
use super::{Family, activation};
use crate::error::Error;
use crate::import::frontend::{Frontend, LogMel};
use crate::import::{Decoding, Part, Tensor};

/// What config.json says.
#[derive(Deserialize)]
pub struct Shape {
    d_model: u32,
    encoder_layers: u32,
    decoder_layers: u32,
    encoder_attention_heads: u32,
    decoder_attention_heads: u32,
    encoder_ffn_dim: u32,
    decoder_ffn_dim: u32,
    activation_function: String,
    vocab_size: u32,
    num_mel_bins: u32,
    max_source_positions: u32,
    max_target_positions: u32,
    decoder_start_token_id: u32,
    eos_token_id: u32,
    #[serde(default)]
    scale_embedding: bool,
}

/// What generation_config.json says of a transcript.
#[derive(Deserialize)]
struct Generation {
    decoder_start_token_id: u32,
    no_timestamps_token_id: u32,
    #[serde(default)]
    suppress_tokens: Vec<u32>,
    #[serde(default)]
    begin_suppress_tokens: Vec<u32>,
    #[serde(default)]
    is_multilingual: bool,
    #[serde(default)]
    lang_to_id: std::collections::BTreeMap<String, u32>,
    #[serde(default)]
    task_to_id: std::collections::BTreeMap<String, u32>,
}

/// Layer norms of this family add 1e-5 to the variance; its configuration does not say so.
const NORM_EPS: f32 = 1e-5;

impl Family for Shape {
    fn config(&self, folder: &Path) -> Result<Config, Error> {
        self.shape().map_err(Error::file(&folder.join(super::CONFIG)))
    }

    fn tensors(&self, weights: &mut Weights<'_>) -> Result<Vec<Tensor>, String> {
        self.take(Taker::new(weights, "model."))
    }

    fn frontend(&self, folder: &Path) -> Result<Option<Frontend>, Error> {
        let path = folder.join("preprocessor_config.json");
        let log_mel: LogMel = super::fields(super::json(&path)?).map_err(Error::file(&path))?;
        Ok(Some(log_mel.frontend()))
    }

    /// In English, without timestamps.
    fn decoding(&self, folder: &Path) -> Result<Option<Decoding>, Error> {
        let path = folder.join("generation_config.json");
        if !path.exists() {
            return Ok(None);
        }
        let generation: Generation = super::fields(super::json(&path)?).map_err(Error::file(&path))?;
        let mut prompt = vec![generation.decoder_start_token_id];
        if generation.is_multilingual {
            prompt.extend(generation.lang_to_id.get("<|en|>"));
            prompt.extend(generation.task_to_id.get("transcribe"));
        }
        prompt.push(generation.no_timestamps_token_id);
        Ok(Some(Decoding { prompt, suppressed: generation.suppress_tokens, suppressed_first: generation.begin_suppress_tokens }))
    }
}

impl Shape {
    fn shape(&self) -> Result<Config, String> {
        let heads = self.encoder_attention_heads;
        if heads == 0 || !self.d_model.is_multiple_of(heads) {
            return Err(format!("a d_model of {} does not divide into {heads} heads", self.d_model));
        }
        if self.decoder_attention_heads != heads || self.decoder_ffn_dim != self.encoder_ffn_dim {
            return Err("its encoder and decoder differ in heads or in the MLP's width, which cannot be read yet".to_owned());
        }
        Ok(Config {
            architecture: Architecture::EncoderDecoder,
            norm: NormKind::Layer,
            placement: NormPlacement::Pre,
            activation: activation(&self.activation_function)?,
            gated: false,
            positions: PositionKind::Learned,
            mask: MaskKind::Causal,
            d_model: self.d_model,
            d_hidden: self.encoder_ffn_dim,
            layers: self.decoder_layers,
            encoder_layers: self.encoder_layers,
            heads,
            kv_heads: heads,
            head_dim: self.d_model / heads,
            vocab: self.vocab_size,
            context: self.max_target_positions,
            encoder_context: self.max_source_positions,
            norm_eps: NORM_EPS,
            tied_head: true,
            front: Front::Convolution,
            features: self.num_mel_bins,
            embedding_scale: if self.scale_embedding { (self.d_model as f32).sqrt() } else { 0.0 },
            begin: self.decoder_start_token_id,
            end: self.eos_token_id,
            ..Config::DECODER
        })
    }

    fn take(&self, mut take: Taker<'_, '_>) -> Result<Vec<Tensor>, String> {
        let (width, vocab) = (self.d_model as usize, self.vocab_size as usize);
        let embedding = take.values("decoder.embed_tokens.weight", &[vocab, width])?;
        take.put(Part::Embedding, None, (vocab, width), embedding, None);
        for (part, name, places) in [
            (Part::EncoderPositions, "encoder.embed_positions.weight", self.max_source_positions as usize),
            (Part::Positions, "decoder.embed_positions.weight", self.max_target_positions as usize),
        ] {
            let positions = take.values(name, &[places, width])?;
            take.put(part, None, (places, width), positions, None);
        }
        convolution(&mut take, Part::FrontFirst, "encoder.conv1", (width, self.num_mel_bins as usize))?;
        convolution(&mut take, Part::FrontSecond, "encoder.conv2", (width, width))?;
        for layer in 0..self.encoder_layers {
            self.block(&mut take, layer, &format!("encoder.layers.{layer}"), false)?;
        }
        take.layer_norm(Part::EncoderNorm, None, "encoder.layer_norm", width)?;
        for layer in 0..self.decoder_layers {
            self.block(&mut take, self.encoder_layers + layer, &format!("decoder.layers.{layer}"), true)?;
        }
        take.layer_norm(Part::FinalNorm, None, "decoder.layer_norm", width)?;
        // A copy of the embedding in some files.
        take.weights.skip("proj_out.weight");
        Ok(take.tensors)
    }

    fn block(&self, take: &mut Taker<'_, '_>, layer: u32, name: &str, crosses: bool) -> Result<(), String> {
        let (width, hidden) = (self.d_model as usize, self.encoder_ffn_dim as usize);
        let (layer, square) = (Some(layer), (width, width));
        let name = |rest: &str| format!("{name}.{rest}");
        take.layer_norm(Part::AttnNorm, layer, &name("self_attn_layer_norm"), width)?;
        take.linear(Part::Query, layer, &name("self_attn.q_proj"), square)?;
        take.linear(Part::Key, layer, &name("self_attn.k_proj"), square)?;
        take.linear(Part::Value, layer, &name("self_attn.v_proj"), square)?;
        take.linear(Part::AttnOut, layer, &name("self_attn.out_proj"), square)?;
        if crosses {
            take.layer_norm(Part::CrossNorm, layer, &name("encoder_attn_layer_norm"), width)?;
            take.linear(Part::CrossQuery, layer, &name("encoder_attn.q_proj"), square)?;
            take.linear(Part::CrossKey, layer, &name("encoder_attn.k_proj"), square)?;
            take.linear(Part::CrossValue, layer, &name("encoder_attn.v_proj"), square)?;
            take.linear(Part::CrossOut, layer, &name("encoder_attn.out_proj"), square)?;
        }
        take.layer_norm(Part::MlpNorm, layer, &name("final_layer_norm"), width)?;
        take.linear(Part::Up, layer, &name("fc1"), (hidden, width))?;
        take.linear(Part::Down, layer, &name("fc2"), (width, hidden))
    }
}

/// A convolution of width 3, whose file has (out, in, tap): the taps' inputs come one after another.
fn convolution(take: &mut Taker<'_, '_>, part: Part, name: &str, (rows, inputs): (usize, usize)) -> Result<(), String> {
    let values = take.values(&format!("{name}.weight"), &[rows, inputs, 3])?;
    let bias = take.values(&format!("{name}.bias"), &[rows])?;
    let by_tap = |row: &[f32]| (0..3).flat_map(|tap| row.chunks_exact(3).map(move |taps| taps[tap])).collect::<Vec<f32>>();
    let values = values.chunks_exact(3 * inputs).flat_map(by_tap).collect();
    take.put(part, None, (rows, 3 * inputs), values, Some(bias));
    Ok(())
}
