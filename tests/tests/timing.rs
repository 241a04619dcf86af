//! Speed, relative to another measurement of the same run. `cargo nextest run --profile timing` runs these tests one at a time.

use std::path::Path;
use std::time::{Duration, Instant};

use attoformer::kernels::{Kernels, SCALAR, by_name};
use attoformer::{Image, Plan, Session};
use attoformer_needs::needs;
use attoformer_tests::models::tales;
use attoformer_tests::random_model::{RandomModel, long_image, long_models};
use attoformer_tools::bench::scaling::{Point, measure};
use attoformer_tools::engine::Setup;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;

/// Maximum growth of the time for four times the tokens, where it is linear.
const LINEAR: f64 = 4.4;
/// Measurements of which the best counts: a busy machine only ever slows one down.
const ATTEMPTS: usize = 4;

/// Time for 60 tokens, one at a time.
fn decode(image: &Image<'_>, kernels: &'static Kernels) -> Duration {
    let plan = Plan::packed(image.config());
    let mut arena = AlignedBytes::zeroed(Image::arena_bytes(image.bytes()));
    let mut session = Session::with_kernels(image, &mut arena, plan, kernels).expect("a sufficient arena");
    let start = Instant::now();
    for token in 1..=60 {
        session.step(token).expect("it runs");
    }
    start.elapsed()
}

/// Both kernel sets take turns, and the best round of each counts, so that a busy machine slows both alike.
#[needs(cpu = "avx2")]
#[test]
fn avx2_decodes_at_least_twice_as_fast_as_scalar() {
    let avx2 = by_name("avx2").expect("this CPU has AVX2");
    let bytes = AlignedBytes::copy_of(&tales().pack(Format::Int8));
    let image = Image::new(&bytes).expect("a valid image");
    let best = |times: &[Duration]| times.iter().min().copied().unwrap_or_default();
    let rounds: Vec<_> = (0..20).map(|_| (decode(&image, &SCALAR), decode(&image, avx2))).collect();
    let (scalar, avx2): (Vec<_>, Vec<_>) = rounds.into_iter().unzip();
    let (scalar, avx2) = (best(&scalar), best(&avx2));
    println!("60 tokens: scalar {scalar:?}, avx2 {avx2:?}");
    assert!(scalar >= avx2 * 2, "scalar {scalar:?}, avx2 {avx2:?}");
}

/// Measurements of a model at two lengths.
fn measured(name: &str, model: &RandomModel, lengths: [usize; 2]) -> [Point; 2] {
    let bytes = long_image(model);
    let image = Image::new(&bytes).expect("a valid image");
    let curve = measure(name, Path::new(name), &image, Setup::default(), &lengths).expect("it runs");
    curve.points.try_into().expect("two lengths, two points")
}

/// Ratio of the best time at the second length to the best at the first.
fn time_ratio(name: &str, model: &RandomModel, lengths: [usize; 2]) -> f64 {
    let mut best = [f64::INFINITY; 2];
    for _ in 0..ATTEMPTS {
        let points = measured(name, model, lengths);
        best = [0, 1].map(|at| f64::min(best[at], points[at].best_seconds));
        if best[1] <= LINEAR * best[0] {
            break;
        }
    }
    println!("{name}: {:.1} ms for {} tokens, {:.1} ms for {}", 1e3 * best[0], lengths[0], 1e3 * best[1], lengths[1]);
    best[1] / best[0]
}

#[test]
fn time_is_linear_in_the_length_except_for_full_attention() {
    for (name, model) in long_models() {
        if name == "full" {
            let ratio = time_ratio(name, &model, [1024, 4096]);
            assert!(ratio > 8.0, "{name}: x{ratio:.2}: the measurement does not show quadratic growth");
        } else {
            let ratio = time_ratio(name, &model, [4096, 16_384]);
            assert!(ratio <= LINEAR, "{name}: x{ratio:.2}");
        }
    }
}
