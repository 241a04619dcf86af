//! What a long text costs: windowed and linear attention take four times the time and memory for four times the tokens, and little more;
//! full attention takes sixteen times the time.

use std::path::Path;

use attoformer::image::AttentionKind;
use attoformer::{Image, Plan, arena_bytes};
use attoformer_tests::long;
use attoformer_tests::random_model::RandomModel;
use attoformer_tools::bench::scaling::{Point, measure};
use attoformer_tools::engine::Setup;

/// Most that four times the tokens may cost.
const LIMIT: f64 = 4.4;
/// Measurements of which the best counts: a busy machine only ever slows one down.
const ATTEMPTS: usize = 4;

/// The name, the model and its points at these lengths.
fn measured(name: &str, model: &RandomModel, lengths: [usize; 2]) -> [Point; 2] {
    let bytes = long::image(model);
    let image = Image::new(&bytes).expect("a sound image");
    let curve = measure(name, Path::new(name), &image, Setup::default(), &lengths).expect("it runs");
    curve.points.try_into().expect("two lengths, two points")
}

/// How many times the quickest time at the second length is the quickest at the first.
fn time_ratio(name: &str, model: &RandomModel, lengths: [usize; 2]) -> f64 {
    let mut best = [f64::INFINITY; 2];
    for _ in 0..ATTEMPTS {
        let points = measured(name, model, lengths);
        best = [0, 1].map(|at| f64::min(best[at], points[at].best_seconds));
        if best[1] <= LIMIT * best[0] {
            break;
        }
    }
    println!("{name}: {:.1} ms for {} tokens, {:.1} ms for {}", 1e3 * best[0], lengths[0], 1e3 * best[1], lengths[1]);
    best[1] / best[0]
}

#[test]
fn time_grows_with_the_length_and_not_with_its_square() {
    for (name, model) in long::models() {
        if name == "full" {
            let ratio = time_ratio(name, &model, [1024, 4096]);
            assert!(ratio > 8.0, "{name}: x{ratio:.2}: the measurement does not show a square");
        } else {
            let ratio = time_ratio(name, &model, [4096, 16_384]);
            assert!(ratio <= LIMIT, "{name}: x{ratio:.2}");
        }
    }
}

#[test]
fn memory_grows_with_the_length() {
    for (name, model) in long::models() {
        let bytes = long::image(&model);
        let image = Image::new(&bytes).expect("a sound image");
        let plan = Plan::packed(image.config());
        let [small, large] = [4096, 16_384].map(|context| arena_bytes(image.config(), plan.with_context(context)) as f64);
        println!("{name}: {small} and {large} bytes, x{:.3}", large / small);
        assert!(large <= LIMIT * small, "{name}");
        if model.config.attention == AttentionKind::Linear {
            // The list of tokens fed, and nothing else.
            assert_eq!(large - small, 4.0 * (16_384.0 - 4096.0), "{name}");
        }
    }
}
