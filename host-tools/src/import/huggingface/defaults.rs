//! Defaults of fields that several families share.

/// `true`.
pub fn yes() -> bool {
    true
}

/// The usual epsilon of layer norms.
pub fn norm_eps() -> f32 {
    1e-5
}
