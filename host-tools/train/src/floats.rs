//! The floats behind a tensor.

use candle_core::{CpuStorage, Layout, Result, Tensor, bail};

/// The floats of a tensor that lies in one piece.
pub(crate) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("this operation takes tensors that lie in one piece"),
    }
}

/// A copy of a tensor's floats, row by row.
pub(crate) fn list(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}
