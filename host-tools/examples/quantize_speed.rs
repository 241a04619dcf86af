//! Times the quantization of one layer with the shapes of SmolLM2-135M: `cargo run --release -p attoformer-tools --example quantize_speed`.
//!
//! `RAYON_NUM_THREADS` sets the number of threads. The whole model has 30 such layers.

use std::time::Instant;

use attoformer_tools::quantize::error::product_error;
use attoformer_tools::quantize::smoothing::{self, SmoothingOptions};
use attoformer_tools::quantize::{Format, HessianBuilder, Matrix, Rounding, quantize};

/// Name, outputs and inputs of the matrices of a layer.
const MATRICES: [(&str, usize, usize); 4] = [("qkv", 960, 576), ("attn_out", 576, 576), ("mlp_up", 3072, 576), ("mlp_down", 576, 1536)];
/// Rows of calibration inputs.
const ROWS: usize = 8192;
/// Rows of inputs for smoothing and for the error of the product.
const SMOOTHING_ROWS: usize = 1024;
const ERROR_ROWS: usize = 128;

fn main() {
    let mut state = 1_u64;
    let mut values = |count: usize| -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    };
    for (name, rows, columns) in MATRICES {
        let (x, r, w) = (values(ROWS * columns), values(ROWS * columns), values(rows * columns));
        let matrix = |values| Matrix { columns, values };
        let (inputs, reference, weights) = (matrix(&x), matrix(&r), matrix(&w));
        println!("{name} ({rows} x {columns})");
        let accumulate = |reference: Option<Matrix>| {
            let mut builder = HessianBuilder::new(columns, reference.is_some());
            builder.add(inputs, reference);
            builder.finish()
        };
        time("Hessian", || accumulate(None));
        let hessian = time("Hessian with deviation", || accumulate(Some(reference)));
        for format in [Format::Int8, Format::Int4 { group: 32 }] {
            time(&format!("{format} to nearest"), || quantize(weights, format, Rounding::NEAREST));
            let gptq = |asym: f32| Rounding::Gptq { hessian: &hessian, asym, damping: 0.01 };
            time(&format!("{format} by GPTQ"), || quantize(weights, format, gptq(0.0)));
            let quantized = time(&format!("{format} by GPTQ, asymmetric"), || quantize(weights, format, gptq(0.5)));
            let Some(grid) = format.grid(columns) else { continue };
            time(&format!("{format} smoothing"), || {
                smoothing::factors(matrix(&x[..SMOOTHING_ROWS * columns]), weights, &SmoothingOptions::new(grid))
            });
            time(&format!("{format} error"), || product_error(matrix(&x[..ERROR_ROWS * columns]), weights, &quantized));
        }
    }
}

/// Runs a task and prints its time.
fn time<T>(name: &str, task: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = task();
    println!("    {name:28} {:7.1} ms", start.elapsed().as_secs_f64() * 1e3);
    result
}
