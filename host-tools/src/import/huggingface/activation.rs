//! Activation functions by their names in config.json.

use attoformer::image::Activation;

/// A non-linearity by its name in config.json.
///
/// # Errors
/// A sentence's end that names it.
pub fn activation(name: &str) -> Result<Activation, String> {
    match name {
        "gelu" => Ok(Activation::GeluErf),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        "relu2" => Ok(Activation::SquaredRelu),
        "silu" | "swish" => Ok(Activation::Silu),
        other => Err(format!("its non-linearity {other} is not one of gelu, gelu_new, relu, relu2, silu")),
    }
}
