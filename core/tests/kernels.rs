//! Every kernel set of this CPU against the scalar set: equal in every bit, over edge sizes and extremes.
//!
//! A check returns the case in which two sets differ. The last test gives each check a set with one flipped bit, which it must find.

#[path = "kernels/attention.rs"]
mod attention;
#[path = "kernels/flipped.rs"]
mod flipped;
#[path = "kernels/inputs.rs"]
mod inputs;
#[path = "kernels/products.rs"]
mod products;
#[path = "common/random.rs"]
mod random;
#[path = "kernels/rows.rs"]
mod rows;

use attoformer::kernels::{self, Functions};

/// The specification's functions.
static SCALAR: &Functions = kernels::SCALAR.functions();

/// Compares a set with scalar; an error names the case that differs.
type Check = fn(&Functions) -> Result<(), String>;

const CHECKS: [(&str, Check); 15] = [
    ("quantize", products::quantize),
    ("matmul_i8", products::matmul_i8),
    ("matmul_i4", products::matmul_i4),
    ("matmul_f16", products::matmul_f16),
    ("matmul_f32", products::matmul_f32),
    ("quantize_query", attention::quantize_query),
    ("scores", attention::scores),
    ("scores_tile", attention::scores_tile),
    ("softmax_weights", attention::softmax_weights),
    ("weighted_value_sum", attention::weighted_value_sum),
    ("weighted_value_sum_tile", attention::weighted_value_sum_tile),
    ("layer_norm", rows::layer_norm),
    ("rms_norm", rows::rms_norm),
    ("activate", rows::activate),
    ("gate", rows::gate),
];

/// Sets that builds for this architecture contain besides scalar.
const BUILT: &[&str] = if cfg!(target_arch = "x86_64") { &["avx2", "avx512-vnni"] } else { &[] };

#[test]
fn every_set_equals_scalar() {
    for name in BUILT.iter().filter(|name| kernels::by_name(name).is_none()) {
        println!("SKIPPED: this CPU does not run the {name} kernels");
    }
    for set in kernels::all().map(kernels::Kernels::functions) {
        for (kernel, check) in CHECKS {
            match check(set) {
                Ok(()) => println!("{} {kernel}: equal", set.name),
                Err(case) => panic!("{} {kernel} differs from scalar: {case}", set.name),
            }
        }
    }
}

fn expect(equal: bool, case: impl FnOnce() -> String) -> Result<(), String> {
    if equal { Ok(()) } else { Err(case()) }
}

#[test]
fn one_flipped_bit_is_found() {
    for (kernel, set) in flipped::sets() {
        let (_, check) = CHECKS.into_iter().find(|(name, _)| *name == kernel).expect("every kernel has a check");
        assert!(check(&set).is_err(), "a flipped bit in {kernel} passed");
    }
}
