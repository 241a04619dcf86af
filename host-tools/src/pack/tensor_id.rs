//! Identity and name of a tensor.

use attoformer::image::{Config, Role};
use attoformer::internals::format::TensorOrder;

/// Role of a tensor and its layer, if it belongs to one.
pub type TensorId = (Role, Option<u32>);

/// The name of a tensor on the command line: `embedding`, `layers.3.qkv`.
pub fn tensor_name(role: Role, layer: Option<u32>) -> String {
    match layer {
        Some(layer) => format!("layers.{layer}.{}", role.name()),
        None => role.name().to_owned(),
    }
}

/// All tensors in directory order.
pub fn tensor_ids(config: &Config) -> Vec<TensorId> {
    let order = TensorOrder::new(config);
    (0..order.count()).map(|index| order.role_at(index)).collect()
}
