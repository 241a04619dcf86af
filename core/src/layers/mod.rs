//! What a textbook calls the parts of a transformer. Each layer is a small copyable view of the image plus the rows it is given.

pub mod attention;
pub mod block;
pub mod embedding;
pub mod input_stem;
pub mod layer_embedding;
pub mod linear;
pub mod mlp;
pub mod norm;
pub mod rope;
