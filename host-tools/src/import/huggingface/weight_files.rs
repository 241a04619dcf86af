//! Safetensors files of a model directory: one file, or several with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::file_names::{INDEX, WEIGHTS};
use crate::error::Error;
use crate::files::FileBytes;
use crate::import::json_file::{fields, read_json};
use crate::import::weights::Weights;

/// The memory-mapped weights files.
pub struct WeightFiles {
    /// The one file, or the index of several.
    pub path: PathBuf,
    files: Vec<(PathBuf, FileBytes)>,
    /// Name of the file of each tensor; empty with one file.
    index: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reason why the index of the weights files is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum IndexError {
    /// A path instead of a file name.
    #[error("the index names {0}, which is not a file name in its folder")]
    ForeignFile(String),
    /// No files.
    #[error("the index names no file")]
    NoFiles,
    /// A tensor that its file lacks.
    #[error("the index places the tensor {tensor} in {file}, which lacks it; download both again")]
    TensorMissing {
        /// Name of the tensor.
        tensor: String,
        /// Name of the file.
        file: String,
    },
}

impl WeightFiles {
    /// Maps the files of a folder.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::File`] for an index that is not valid.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let (single, index) = (folder.join(WEIGHTS), folder.join(INDEX));
        if single.exists() || !index.exists() {
            return Ok(WeightFiles { files: vec![(single.clone(), FileBytes::open(&single)?)], path: single, index: BTreeMap::new() });
        }
        let Index { weight_map } = fields(read_json(&index)?).map_err(Error::file(&index))?;
        let names: BTreeSet<&String> = weight_map.values().collect();
        let mut files = Vec::new();
        for name in names {
            // The index must not lead out of the folder.
            if Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(Error::file(&index)(IndexError::ForeignFile(name.clone())));
            }
            files.push((folder.join(name), FileBytes::open(&folder.join(name))?));
        }
        if files.is_empty() {
            return Err(Error::file(&index)(IndexError::NoFiles));
        }
        Ok(WeightFiles { path: index, files, index: weight_map })
    }

    /// All tensors, each from the file that the index names.
    ///
    /// # Errors
    /// [`Error::File`]: a file is damaged, or lacks a tensor of the index.
    pub fn weights(&self) -> Result<Weights, Error> {
        let mut weights = Weights::new("config.json");
        for (path, file) in &self.files {
            weights.add_safetensors(file).map_err(Error::file(path))?;
        }
        match self.index.iter().find(|(name, _)| !weights.has(name)) {
            None => Ok(weights),
            Some((tensor, file)) => Err(Error::file(&self.path)(IndexError::TensorMissing { tensor: tensor.clone(), file: file.clone() })),
        }
    }

    /// SHA-256 of all files, one after another.
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.files.iter().for_each(|(_, file)| file.steps(|bytes| hash.update(bytes)));
        hash.finalize().into()
    }
}
