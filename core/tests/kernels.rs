//! Every kernel set of this CPU against the scalar set: equal in every bit, over edge sizes and extremes.
//!
//! A check returns the case in which two sets differ. The last test gives each check a set with one flipped bit, which it must find.

#[path = "kernels/attention.rs"]
mod attention;
#[path = "kernels/flipped.rs"]
mod flipped;
#[path = "kernels/float_cache.rs"]
mod float_cache;
#[path = "kernels/inputs.rs"]
mod inputs;
#[path = "kernels/products.rs"]
mod products;
#[path = "common/random.rs"]
mod random;
#[path = "kernels/rows.rs"]
mod rows;

use attoformer::kernels::{self, Functions};
use attoformer_needs::needs;

/// The specification's functions.
static SCALAR: &Functions = kernels::SCALAR.functions();

/// Compares a set with scalar; an error names the case that differs.
type Check = fn(&Functions) -> Result<(), String>;

const CHECKS: [(&str, Check); 22] = [
    ("quantize", products::quantize),
    ("matmul_i8", products::matmul_i8),
    ("quantize_a12", products::quantize_a12),
    ("matmul_i8_a12", products::matmul_i8_a12),
    ("matmul_i4", products::matmul_i4),
    ("matmul_f16", products::matmul_f16),
    ("matmul_f32", products::matmul_f32),
    ("quantize_query", attention::quantize_query),
    ("scores", attention::scores),
    ("scores_tile", attention::scores_tile),
    ("softmax_weights", attention::softmax_weights),
    ("weighted_value_sum", attention::weighted_value_sum),
    ("weighted_value_sum_tile", attention::weighted_value_sum_tile),
    ("scores_f32", float_cache::scores_f32),
    ("scores_f16", float_cache::scores_f16),
    ("softmax_float", float_cache::softmax_float),
    ("add_values_f32", float_cache::add_values_f32),
    ("add_values_f16", float_cache::add_values_f16),
    ("layer_norm", rows::layer_norm),
    ("rms_norm", rows::rms_norm),
    ("activate", rows::activate),
    ("gate", rows::gate),
];

/// Sets that a test below compares with scalar.
const TESTED: [&str; 3] = ["scalar", "avx2", "avx512-vnni"];

#[needs(cpu = "avx2")]
#[test]
fn avx2_equals_scalar() {
    equals_scalar("avx2");
}

#[needs(cpu = "avx512vnni")]
#[test]
fn avx512_vnni_equals_scalar() {
    equals_scalar("avx512-vnni");
}

#[test]
fn every_set_of_this_cpu_is_compared() {
    assert!(kernels::all().all(|set| TESTED.contains(&set.name())));
    assert!(kernels::by_name("none").is_none());
}

fn equals_scalar(name: &str) {
    let set = kernels::by_name(name).expect("the CPU has the instructions").functions();
    for (kernel, check) in CHECKS {
        match check(set) {
            Ok(()) => println!("{name} {kernel}: equal"),
            Err(case) => panic!("{name} {kernel} differs from scalar: {case}"),
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
