//! What a textbook calls the parts of a transformer. Each layer is a small copyable view of the image plus the rows it is given.

pub mod attention;
pub mod bias;
pub mod block;
pub mod cache;
pub mod embedding;
pub mod heads;
pub mod input_stem;
pub mod layer_embedding;
pub mod linear;
pub mod linear_attention;
pub mod mask;
pub mod mlp;
pub mod norm;
pub mod position;
pub mod softmax;
pub mod tile;
