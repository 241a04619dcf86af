//! Builder of Hugging Face model directories.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

use std::collections::BTreeMap;
use std::path::Path;

use attoformer_tools::import::{self, Checkpoint};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

use crate::values::values;

/// A model directory: its config.json, the shapes of its tensors, whose values follow from their names, and other files.
#[derive(Clone)]
pub struct Directory {
    pub config: serde_json::Value,
    pub tensors: BTreeMap<String, Vec<usize>>,
    pub texts: BTreeMap<String, String>,
}

impl Directory {
    pub fn new(config: serde_json::Value, tensors: &[(&str, &[usize])]) -> Self {
        let tensors = tensors.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_vec())).collect();
        Directory { config, tensors, texts: BTreeMap::new() }
    }

    /// Replaces fields of config.json; null removes one.
    pub fn with(&self, fields: serde_json::Value) -> Self {
        let mut changed = self.clone();
        let config = changed.config.as_object_mut().unwrap();
        for (name, value) in fields.as_object().unwrap() {
            match value {
                serde_json::Value::Null => config.remove(name),
                value => config.insert(name.clone(), value.clone()),
            };
        }
        changed
    }

    pub fn tensor(mut self, name: &str, shape: &[usize]) -> Self {
        self.tensors.insert(name.to_owned(), shape.to_vec());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        assert!(self.tensors.remove(name).is_some(), "{name}");
        self
    }

    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.texts.insert(name.to_owned(), text.to_owned());
        self
    }

    /// Writes all files except the weights.
    pub fn write(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("config.json"), self.config.to_string()).unwrap();
        for (name, text) in &self.texts {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    /// Writes the tensors whose names pass `which`.
    pub fn write_weights(&self, path: &Path, which: impl Fn(&str) -> bool) {
        let tensors = self.tensors.iter().filter(|(name, _)| which(name)).map(|(name, shape)| {
            let bytes: Vec<u8> = values(name, shape).into_iter().flat_map(f32::to_le_bytes).collect();
            (name, shape.clone(), bytes)
        });
        let tensors: Vec<_> = tensors.collect();
        let views = tensors.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
        std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }

    pub fn open(&self) -> Result<Checkpoint, String> {
        let folder = self.write();
        self.write_weights(&folder.path().join("model.safetensors"), |_| true);
        import::open(folder.path(), None).map_err(|error| {
            let sentence = error.to_string();
            assert!(sentence.starts_with(&*folder.path().to_string_lossy()), "{sentence}");
            sentence
        })
    }

    /// The message of its refusal.
    pub fn refusal(&self) -> String {
        self.open().map(|_| ()).expect_err("it was imported")
    }

    /// Asserts that every tensor is needed and no other is accepted: the message names the missing or unexpected one.
    pub fn assert_all_are_needed(&self) {
        for name in self.tensors.keys() {
            let sentence = self.clone().without(name).refusal();
            assert!(sentence.contains(&format!("the tensor {name} is missing")), "{sentence}");
        }
        let sentence = self.clone().tensor("stranger", &[1]).refusal();
        assert!(sentence.contains("unexpected tensor stranger"), "{sentence}");
    }
}
