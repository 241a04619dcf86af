//! The safetensors files of a model directory: one file, or several with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::file_names::{INDEX, WEIGHTS};
use crate::error::Error;
use crate::files;
use crate::import::json_file::{fields, json};
use crate::import::weights::Weights;

/// The mapped files of a model's weights.
pub struct Files {
    /// The one file, or the index of several.
    pub path: PathBuf,
    maps: Vec<(PathBuf, Mmap)>,
    /// The file of each tensor, where there are several files.
    index: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Files {
    /// Maps them.
    ///
    /// # Errors
    /// One sentence that names the file and what is wrong with it.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let (whole, index) = (folder.join(WEIGHTS), folder.join(INDEX));
        if whole.exists() || !index.exists() {
            return Ok(Files { maps: vec![(whole.clone(), files::map(&whole)?)], path: whole, index: BTreeMap::new() });
        }
        let Index { weight_map } = fields(json(&index)?).map_err(Error::file(&index))?;
        let names: BTreeSet<&String> = weight_map.values().collect();
        let mut maps = Vec::new();
        for name in names {
            // A part lies in the folder itself, whatever the index says.
            if Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(Error::file(&index)(format!("it names {name}, which is no file of its folder")));
            }
            maps.push((folder.join(name), files::map(&folder.join(name))?));
        }
        if maps.is_empty() {
            return Err(Error::file(&index)("it names no file".to_owned()));
        }
        Ok(Files { path: index, maps, index: weight_map })
    }

    /// All tensors, each from the file where the index says it is.
    ///
    /// # Errors
    /// One sentence that names the file and what is wrong with it.
    pub fn weights(&self) -> Result<Weights<'_>, Error> {
        let mut weights = Weights::new("config.json");
        for (path, map) in &self.maps {
            weights.add_safetensors(map).map_err(Error::file(path))?;
        }
        match self.index.iter().find(|(name, _)| !weights.has(name)) {
            None => Ok(weights),
            Some((name, file)) => Err(Error::file(&self.path)(format!("it says that {file} holds a tensor {name}, which is not there"))),
        }
    }

    /// SHA-256 of all of them, one after another.
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.maps.iter().for_each(|(_, map)| hash.update(&map[..]));
        hash.finalize().into()
    }
}
