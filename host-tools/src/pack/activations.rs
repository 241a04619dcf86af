//! Bits of the quantized inputs of a matrix.

/// Bits of quantized activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActivationBits {
    /// Eight bits.
    #[default]
    Eight,
    /// Twelve bits, for int8 weights.
    Twelve,
}

impl ActivationBits {
    /// The number.
    pub fn bits(self) -> u8 {
        match self {
            ActivationBits::Eight => 8,
            ActivationBits::Twelve => 12,
        }
    }

    /// Largest quantized activation.
    pub fn limit(self) -> f32 {
        match self {
            ActivationBits::Eight => 127.0,
            ActivationBits::Twelve => 2047.0,
        }
    }
}

/// Choice of the bits of quantized activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activations {
    /// Twelve bits where eight lose most.
    #[default]
    Auto,
    /// Eight bits.
    Eight,
    /// Twelve bits for every int8 matrix.
    Twelve,
}

impl Activations {
    /// The bits where no error can be measured: eight unless twelve are asked for.
    pub fn without_samples(self) -> ActivationBits {
        match self {
            Activations::Auto | Activations::Eight => ActivationBits::Eight,
            Activations::Twelve => ActivationBits::Twelve,
        }
    }
}
