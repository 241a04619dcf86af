//! Access to the floats of a tensor.

use candle_core::{CpuStorage, Layout, Result, Tensor, bail};

/// The floats of a contiguous tensor.
pub(crate) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("this operation requires contiguous tensors"),
    }
}

/// Copies the floats of a tensor in row-major order.
pub(crate) fn list(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}
