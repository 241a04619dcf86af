//! The state of a run between two steps, so that it can be resumed.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor, safetensors};

use crate::config::TrainConfig;
use crate::error::{TrainError, write_beside};
use crate::optimizer::AdamW;

/// Everything that the next step depends on. Batches follow from the seed and the number of the step.
pub(crate) struct Checkpoint {
    pub(crate) weights: Vec<f32>,
    pub(crate) optimizer: AdamW,
    /// The mean loss of every step so far.
    pub(crate) losses: Vec<f64>,
    pub(crate) seconds: f64,
}

const FILE: &str = "checkpoint.safetensors";

impl Checkpoint {
    pub(crate) fn save(&self, dir: &Path, config: &TrainConfig) -> Result<(), TrainError> {
        let list = |values: &[f32]| Tensor::from_slice(values, values.len(), &Device::Cpu);
        let wide = |values: &[f64]| Tensor::from_slice(values, values.len(), &Device::Cpu);
        let config = config_text(config)?.into_bytes();
        let tensors = HashMap::from([
            ("weights", list(&self.weights)?),
            ("mean", list(&self.optimizer.mean)?),
            ("square", list(&self.optimizer.square)?),
            ("losses", wide(&self.losses)?),
            ("seconds", wide(&[self.seconds])?),
            ("config", Tensor::from_slice(&config, config.len(), &Device::Cpu)?),
        ]);
        write_beside(&dir.join(FILE), |part| Ok(safetensors::save(&tensors, part)?))
    }

    /// Loads the checkpoint of a folder; `None` without one.
    pub(crate) fn load(dir: &Path, config: &TrainConfig) -> Result<Option<Self>, TrainError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let tensors = safetensors::load(&path, &Device::Cpu)?;
        let missing = || TrainError::Format(format!("{} is not a checkpoint", path.display()));
        let get = |name: &str| tensors.get(name).ok_or_else(missing);
        if get("config")?.to_vec1::<u8>()? != config_text(config)?.into_bytes() {
            let path = path.display();
            return Err(TrainError::Config(format!(
                "{path} belongs to a run with another configuration; use another folder or remove --resume"
            )));
        }
        let losses = get("losses")?.to_vec1::<f64>()?;
        Ok(Some(Self {
            weights: get("weights")?.to_vec1()?,
            optimizer: AdamW { steps: losses.len(), mean: get("mean")?.to_vec1()?, square: get("square")?.to_vec1()? },
            losses,
            seconds: get("seconds")?.to_vec1::<f64>()?.iter().sum(),
        }))
    }

    /// Removes the checkpoint of a finished run.
    pub(crate) fn remove(dir: &Path) -> Result<(), TrainError> {
        let path = dir.join(FILE);
        if path.exists() { std::fs::remove_file(&path).map_err(TrainError::io(&path)) } else { Ok(()) }
    }
}

fn config_text(config: &TrainConfig) -> Result<String, TrainError> {
    let config = TrainConfig { figures: None, ..config.clone() };
    toml::to_string(&config).map_err(|e| TrainError::Config(e.to_string()))
}
