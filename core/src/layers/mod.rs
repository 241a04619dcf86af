//! The layers of a transformer. Each is a small copyable view of the image that is applied to token rows.

pub mod attention;
pub mod block;
pub mod ctx;
pub mod embedding;
pub mod input_stem;
pub mod layer_embedding;
pub mod linear;
pub mod mlp;
pub mod norm;
pub mod rope;
