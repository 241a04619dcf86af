//! Values that identify the tensor and the index they come from.

#![allow(dead_code, reason = "each test file is a crate of its own and uses a part of this")]

use attoformer_tools::import::{Checkpoint, SourceRole};

/// Value `index` of the tensor with this name: different for each, exact in f32.
pub fn value(name: &str, index: usize) -> f32 {
    let mut mixed = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    mixed = (mixed ^ index as u32).wrapping_mul(0x9e37_79b1);
    ((mixed ^ (mixed >> 15)) >> 8) as f32 / 8_388_608.0 - 1.0
}

/// All values of a tensor.
pub fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    (0..shape.iter().product()).map(|index| value(name, index)).collect()
}

/// Asserts that an imported tensor has the values of the tensor `name`: `source(row, column)` is the index of the value at that place.
pub fn expect(checkpoint: &Checkpoint, role: SourceRole, layer: Option<u32>, name: &str, source: impl Fn(usize, usize) -> usize) {
    let tensor = checkpoint.tensor(role, layer).unwrap_or_else(|| panic!("{role:?} {layer:?} is missing"));
    assert_eq!((tensor.data.len(), tensor.values().len()), (tensor.rows * tensor.columns, tensor.rows * tensor.columns));
    for (at, &found) in tensor.values().iter().enumerate() {
        let (row, column) = (at / tensor.columns, at % tensor.columns);
        assert_eq!(found, value(name, source(row, column)), "{role:?} {layer:?} at ({row}, {column}) from {name}");
    }
}

/// Asserts that an opened checkpoint keeps norms and other small tensors in memory, but no decoded matrix.
pub fn assert_matrices_stay_in_the_file(checkpoint: &Checkpoint) {
    for tensor in checkpoint.tensors.iter().filter(|tensor| !matches!(tensor.role, SourceRole::ScoreBias | SourceRole::EncoderScoreBias)) {
        assert_eq!(tensor.data.is_in_memory(), tensor.rows <= 2, "{:?} {:?}", tensor.role, tensor.layer);
    }
}

/// Asserts that the bias of an imported tensor has the values of the tensor `name`: `source(row)` is the index of the value of that row.
pub fn expect_bias(checkpoint: &Checkpoint, role: SourceRole, layer: Option<u32>, name: &str, source: impl Fn(usize) -> usize) {
    let bias = checkpoint.tensor(role, layer).and_then(|tensor| tensor.bias.clone()).unwrap_or_else(|| panic!("{role:?} has no bias"));
    for (row, found) in bias.into_iter().enumerate() {
        assert_eq!(found, value(name, source(row)), "bias of {role:?} {layer:?} at {row} from {name}");
    }
}

/// Row in `rotate_half` order, where RoPE rotates dimensions `i` and `i + rotary_dim / 2`, of row `row` in the engine's interleaved order.
pub fn rotate_half_row(row: usize, head: usize, rotary_dim: usize) -> usize {
    let (start, own) = (row / head * head, row % head);
    start
        + match own {
            own if own >= rotary_dim => own,
            own if own % 2 == 0 => own / 2,
            own => (own - 1) / 2 + rotary_dim / 2,
        }
}
