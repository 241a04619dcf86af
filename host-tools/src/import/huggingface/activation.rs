//! Activation functions by their names in config.json.

use attoformer::image::Activation;

use super::error::ConfigError;

/// The activation function with this name.
///
/// # Errors
/// [`ConfigError::Unsupported`].
pub fn activation(name: &str) -> Result<Activation, ConfigError> {
    match name {
        "gelu" => Ok(Activation::GeluErf),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        "relu2" => Ok(Activation::SquaredRelu),
        "silu" | "swish" => Ok(Activation::Silu),
        other => Err(ConfigError::unsupported("the activation function", other, "gelu, gelu_new, relu, relu2, silu")),
    }
}
