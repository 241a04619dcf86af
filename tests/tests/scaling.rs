//! Memory of long texts: four times the tokens need at most little more than four times the memory.

use attoformer::image::AttentionKind;
use attoformer::{Image, Plan, arena_bytes};
use attoformer_tests::random_model::{long_image, long_models};

/// Maximum growth of the memory for four times the tokens.
const LIMIT: f64 = 4.4;

#[test]
fn memory_is_at_most_linear_in_the_length() {
    for (name, model) in long_models() {
        let bytes = long_image(&model);
        let image = Image::new(&bytes).expect("a valid image");
        let plan = Plan::packed(image.config());
        let [small, large] = [4096, 16_384].map(|context| arena_bytes(image.config(), plan.with_context(context)) as f64);
        println!("{name}: {small} and {large} bytes, x{:.3}", large / small);
        assert!(large <= LIMIT * small, "{name}");
        if model.config.attention == AttentionKind::Linear {
            // Only the list of fed tokens grows.
            assert_eq!(large - small, 4.0 * (16_384.0 - 4096.0), "{name}");
        }
    }
}
