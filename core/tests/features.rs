//! A feature determines which images can be opened; it never changes an output bit. Run with any set of features:
//! `cargo test -p attoformer --no-default-features --features int8,kv-int8 --test features`.

use attoformer::image::{Config, header_checksum};
use attoformer::internals::format::field::put;
use attoformer::internals::format::header::at;
use attoformer::{Error, Feature, Image, Plan, Session, arena_bytes, include_image};

const TALES: &[u8] = include_image!("../../models/tales/tales.atto");
const NEEDED: [Feature; 3] = [Feature::Bpe, Feature::Int8, Feature::KvInt8];

/// Memory at the alignment that images and arenas need.
fn aligned(bytes: usize) -> Vec<u128> {
    vec![0; bytes.div_ceil(16)]
}

fn bytes_of(memory: &mut [u128]) -> &mut [u8] {
    zerocopy::IntoBytes::as_mut_bytes(memory)
}

/// The default model with its header changed and its checksum restored.
fn changed(change: impl FnOnce(&mut [u8])) -> Vec<u128> {
    let mut memory = aligned(TALES.len());
    let image = &mut bytes_of(&mut memory)[..TALES.len()];
    image.copy_from_slice(TALES);
    change(image);
    let config = Config::parse(image).unwrap();
    put(image, at::ARENA_BYTES, (arena_bytes(&config, Plan::packed(&config)) as u32).to_le_bytes());
    put(image, at::HEADER_CHECKSUM, header_checksum(image).to_le_bytes());
    memory
}

/// The feature that a program without all of `needed` is told to enable.
fn first_missing(needed: &[Feature]) -> Option<&'static str> {
    needed.iter().find(|feature| !feature.is_built_in()).map(|feature| feature.name())
}

#[test]
fn an_image_opens_where_its_features_are_built_in_and_gives_the_same_bits() {
    match Image::new(TALES) {
        Ok(image) => {
            assert_eq!(first_missing(&NEEDED), None);
            assert_eq!(image.features().collect::<Vec<_>>(), NEEDED);
            let mut memory = aligned(Image::arena_bytes(TALES));
            Session::new(&image, bytes_of(&mut memory)).unwrap().self_test().unwrap();
        }
        Err(Error::NotBuiltIn { feature }) => {
            let missing: Vec<&str> = NEEDED.iter().filter(|feature| !feature.is_built_in()).map(|feature| feature.name()).collect();
            assert!(missing.contains(&feature), "{feature} is not one of {missing:?}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_cache_type_that_is_not_built_in_is_refused_by_its_feature() {
    let mut memory = changed(|image| put(image, at::KV, [0]));
    let needed = [Feature::KvFloat, Feature::Bpe, Feature::Int8];
    match Image::new(bytes_of(&mut memory)) {
        Ok(image) => {
            assert_eq!(first_missing(&needed), None);
            assert!(image.features().any(|feature| feature == Feature::KvFloat));
        }
        Err(error) => assert_eq!(Some(error), first_missing(&needed).map(|feature| Error::NotBuiltIn { feature })),
    }
}

#[test]
fn every_feature_has_its_name_in_the_manifest() {
    let manifest = include_str!("../Cargo.toml");
    for feature in Feature::ALL {
        assert!(manifest.contains(&format!("\n{} = [", feature.name())), "{}", feature.name());
        assert!(manifest.contains(&format!("\"{}\"", feature.name())), "{} is not a default feature", feature.name());
    }
}
