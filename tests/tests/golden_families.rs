//! Every family's small model can be packed in every format, and its output depends neither on the kernel set nor on the block size.

use attoformer::image::{InputStem, KvType, MaskKind};
use attoformer::kernels::{self, Kernels};
use attoformer::{Image, Plan, Session, arena_bytes};
use attoformer_tests::random_model::{FORMATS, KV_TYPES, Numbers, families, feature_rows};
use attoformer_tools::files::AlignedBytes;

#[test]
fn every_family_passes_its_self_test() {
    let families = families();
    assert_eq!(families.len(), 27);
    for (name, model) in families {
        let mut images: Vec<AlignedBytes> = FORMATS.map(|format| model.pack(format, KvType::Int8)).into_iter().collect();
        images.extend(KV_TYPES.map(|kv| model.pack_mixed(kv)));
        for image in &images {
            let image = Image::new(image).unwrap();
            let plan = Plan::packed(image.config());
            for kernels in kernels::all() {
                let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
                let tested = Session::with_kernels(&image, &mut arena, plan, kernels).unwrap().self_test();
                assert_eq!(tested, Ok(()), "{name}, {}", kernels.name());
            }
        }
    }
}

/// Bits of all outputs of a model: of two sources in turn, and of 20 tokens after a prefix of 6, in chunks of `chunk`.
fn outputs(image: &[u8], block: u32, chunk: usize, kernels: &'static Kernels) -> Vec<u32> {
    let image = Image::new(image).unwrap();
    let config = *image.config();
    let plan = Plan::packed(&config).with_block(block);
    let mut arena = AlignedBytes::zeroed(arena_bytes(&config, plan));
    let mut session = Session::with_kernels(&image, &mut arena, plan, kernels).unwrap();
    let mut bits = Vec::new();
    let tokens = |count: usize| -> Vec<u32> {
        let mut numbers = Numbers(count as u32);
        (0..count).map(|_| numbers.below(config.vocab as usize) as u32).collect()
    };
    for count in [29, 11].into_iter().filter(|_| config.has_encoder()) {
        let encoded = if config.input_stem == InputStem::Tokens {
            session.encode(&tokens(count))
        } else {
            session.encode_features(&feature_rows(&config, count, 7))
        };
        bits.extend(encoded.unwrap().iter().map(|x| x.to_bits()));
    }
    if config.output_dim(1) == config.vocab as u64 {
        let tokens = tokens(26);
        let prefix = if config.mask == MaskKind::Prefix { 6 } else { 0 };
        if prefix > 0 {
            bits.extend(session.prefill_prefix(&tokens[..prefix]).unwrap().iter().map(|x| x.to_bits()));
        }
        for tokens in tokens[prefix..].chunks(chunk) {
            session.prefill_each(tokens, |_, logits| bits.extend(logits.iter().map(|x| x.to_bits()))).unwrap();
        }
    }
    bits
}

#[test]
fn kernels_blocks_and_chunks_change_no_bit_of_any_family() {
    for (name, model) in families() {
        for kv in KV_TYPES {
            let image = model.pack_mixed(kv);
            let want = outputs(&image, 1, 1, &kernels::SCALAR);
            assert!(!want.is_empty(), "{name}");
            for kernels in kernels::all() {
                for (block, chunk) in [(1, 4), (3, 7), (8, 26), (30, 26)] {
                    assert!(outputs(&image, block, chunk, kernels) == want, "{name}, {kv:?}, {}, {block} by {chunk}", kernels.name());
                }
            }
        }
    }
}
