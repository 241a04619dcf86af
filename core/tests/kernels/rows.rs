//! Kernels over one row of floats: norms, activations, gates.

use attoformer::image::Activation;
use attoformer::kernels::Functions;

use super::inputs::{FLOATS, Floats, counts, same};
use super::random::Random;
use super::{SCALAR, expect};

pub fn layer_norm(set: &Functions) -> Result<(), String> {
    let mut random = Random(13);
    for (count, fill) in counts().flat_map(|count| FLOATS.map(|fill| (count, fill))) {
        let x = fill.row(&mut random, count);
        let (scale, bias) = (Floats::Unit.row(&mut random, count), Floats::Unit.row(&mut random, count));
        let row = |set: &Functions| {
            let mut out = vec![f32::MAX; count];
            (set.layer_norm)(&x, &scale, &bias, 1e-5, &mut out);
            out
        };
        expect(same(&row(set), &row(SCALAR)), || format!("{count} of {fill:?}"))?;
    }
    Ok(())
}

pub fn rms_norm(set: &Functions) -> Result<(), String> {
    let mut random = Random(7);
    for (count, fill) in counts().flat_map(|count| FLOATS.map(|fill| (count, fill))) {
        let (x, scale) = (fill.row(&mut random, count), Floats::Unit.row(&mut random, count));
        let row = |set: &Functions| {
            let mut out = vec![f32::MAX; count];
            (set.rms_norm)(&x, &scale, 1e-5, &mut out);
            out
        };
        expect(same(&row(set), &row(SCALAR)), || format!("{count} of {fill:?}"))?;
    }
    Ok(())
}

/// Rows of every length and kind, then one that steps through all floats from -infinity to infinity.
fn activation_rows() -> impl Iterator<Item = Vec<f32>> {
    let mut random = Random(8);
    let rows = counts().flat_map(|count| FLOATS.map(|fill| (count, fill))).map(move |(count, fill)| fill.row(&mut random, count));
    let walk = (0..u32::MAX / 4093).map(|step| f32::from_bits(step * 4093)).filter(|x| !x.is_nan()).collect();
    rows.chain([walk])
}

const ACTIVATIONS: [Activation; 4] = [Activation::Relu, Activation::GeluTanh, Activation::Silu, Activation::GeluErf];

pub fn activate(set: &Functions) -> Result<(), String> {
    for (x, of) in activation_rows().flat_map(|x| ACTIVATIONS.map(|of| (x.clone(), of))) {
        let row = |set: &Functions| {
            let mut x = x.clone();
            (set.activate)(of, &mut x);
            x
        };
        expect(same(&row(set), &row(SCALAR)), || format!("{of:?} of {} values", x.len()))?;
    }
    Ok(())
}

pub fn gate(set: &Functions) -> Result<(), String> {
    let mut random = Random(9);
    for (x, of) in activation_rows().flat_map(|x| ACTIVATIONS.map(|of| (x.clone(), of))) {
        let up = Floats::Wide.row(&mut random, x.len());
        let row = |set: &Functions| {
            let mut out = vec![f32::MAX; x.len()];
            (set.gate)(of, &x, &up, &mut out);
            out
        };
        expect(same(&row(set), &row(SCALAR)), || format!("{of:?} of {} values", x.len()))?;
    }
    Ok(())
}
