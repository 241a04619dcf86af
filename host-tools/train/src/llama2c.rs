//! Model files of llama2.c, version 0: seven sizes, the weights, and the RoPE tables.
//!
//! A model with linear attention has a negative number of key/value heads, as llama2.c negates the vocabulary of a model without tied embeddings:
//! programs that do not know the convention fail instead of misreading the file, and no second file is needed.

use std::path::Path;

use crate::error::{TrainError, write_whole};
use crate::model::Model;
use crate::rope::Rope;
use crate::shape::{AttentionKind, Shape};

const HEADER: usize = 7 * 4;

impl Model {
    /// The bytes of a `model.bin`.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrainError> {
        let s = self.shape();
        let kv_heads = if s.attention == AttentionKind::Linear { -(s.kv_heads as i32) } else { s.kv_heads as i32 };
        let [dim, hidden, layers, heads, vocab, context] = [s.dim, s.hidden, s.layers, s.heads, s.vocab, s.context].map(|size| size as i32);
        let rope = Rope::new(s.context, s.head_dim());
        let header = [dim, hidden, layers, heads, kv_heads, vocab, context].into_iter().flat_map(i32::to_le_bytes);
        let floats = self.weights()?.into_iter().chain(rope.cos).chain(rope.sin);
        Ok(header.chain(floats.flat_map(f32::to_le_bytes)).collect())
    }

    /// Parses a `model.bin` with tied embeddings.
    ///
    /// # Errors
    /// [`TrainError::Format`] for invalid sizes or a length that does not match them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TrainError> {
        let format = |what: String| TrainError::Format(format!("model: {what}"));
        let short = || format("it has no header".to_owned());
        let (sizes, _) = bytes.get(..HEADER).ok_or_else(short)?.as_chunks::<4>();
        // A negative size, llama2.c's sign for a separate head, fails the check of the shape.
        let number = |at: usize| i32::from_le_bytes(sizes[at]);
        let size = |at: usize| usize::try_from(number(at)).unwrap_or(0);
        let [dim, hidden, layers, heads, _, vocab, context] = std::array::from_fn(size);
        let attention = if number(4) < 0 { AttentionKind::Linear } else { AttentionKind::Softmax };
        let kv_heads = number(4).unsigned_abs() as usize;
        let shape = Shape { dim, hidden, layers, heads, kv_heads, vocab, context, attention };
        shape.check()?;
        let count = shape.parameters();
        let length = HEADER + 4 * (count + context * shape.head_dim());
        if bytes.len() != length {
            let have = bytes.len();
            return Err(format(format!("it has {have} bytes, its sizes imply {length}")));
        }
        let (floats, _) = bytes[HEADER..].as_chunks::<4>();
        let weights: Vec<f32> = floats[..count].iter().map(|&b| f32::from_le_bytes(b)).collect();
        Self::new(shape, &weights)
    }

    /// Writes a `model.bin`.
    ///
    /// # Errors
    /// [`TrainError::Io`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        write_whole(path, &self.to_bytes()?)
    }

    /// Reads a `model.bin` from a file.
    ///
    /// # Errors
    /// [`TrainError::Io`] or [`TrainError::Format`].
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        Self::from_bytes(&std::fs::read(path).map_err(TrainError::io(path))?)
    }
}
