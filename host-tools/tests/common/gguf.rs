//! Builder of GGUF files.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

/// A file.
#[derive(Clone)]
pub struct Builder {
    pub version: u32,
    /// Key, type, stored bytes of the value.
    pub metadata: Vec<(String, u32, Vec<u8>)>,
    /// Name, sizes (innermost first), element type, bytes.
    pub tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
    pub alignment: usize,
}

/// The stored bytes of a string.
pub fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl Builder {
    pub fn new(architecture: &str) -> Self {
        let builder = Builder { version: 3, metadata: Vec::new(), tensors: Vec::new(), alignment: 32 };
        builder.with("general.architecture", 8, text(architecture))
    }

    pub fn with(mut self, key: &str, kind: u32, value: Vec<u8>) -> Self {
        self.metadata.push((key.to_owned(), kind, value));
        self
    }

    pub fn size(self, key: &str, size: u32) -> Self {
        self.with(key, 4, size.to_le_bytes().to_vec())
    }

    pub fn number(self, key: &str, number: f32) -> Self {
        self.with(key, 6, number.to_le_bytes().to_vec())
    }

    pub fn without(mut self, key: &str) -> Self {
        self.metadata.retain(|pair| pair.0 != key);
        self
    }

    /// Adds a tensor of f32, sizes outermost first.
    pub fn tensor(mut self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.tensors.push((name.to_owned(), shape.iter().rev().map(|&size| size as u64).collect(), 0, bytes));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.metadata {
            out.extend([&text(key)[..], &kind.to_le_bytes(), value].concat());
        }
        let mut offset = 0;
        for (name, sizes, kind, bytes) in &self.tensors {
            out.extend([&text(name)[..], &(sizes.len() as u32).to_le_bytes()].concat());
            out.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
            out.extend([&kind.to_le_bytes()[..], &(offset as u64).to_le_bytes()].concat());
            offset += bytes.len().next_multiple_of(self.alignment);
        }
        for (_, _, _, bytes) in &self.tensors {
            out.resize(out.len().next_multiple_of(self.alignment), 0);
            out.extend(bytes);
        }
        out
    }
}
