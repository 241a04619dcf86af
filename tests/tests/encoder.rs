//! Encoders: a sequence has one embedding, whatever the session encoded before, with every block size and kernel set.

use attoformer::image::{Config, KvType, Pooling};
use attoformer::kernels::{self, Kernels};
use attoformer::{Error, Image, Plan, Session, arena_bytes};
use attoformer_tests::random_model::{FORMATS, KV_TYPES, Numbers, RandomModel};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;

/// Sequences of every length from one token to the whole context.
fn sequences(config: &Config) -> Vec<Vec<u32>> {
    let mut numbers = Numbers(5);
    (1..=config.context as usize).map(|count| (0..count).map(|_| numbers.below(config.vocab as usize) as u32).collect()).collect()
}

/// Bits of each sequence's embedding, from one session.
fn embeddings(image: &[u8], plan: Plan, kernels: &'static Kernels, sequences: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let image = Image::new(image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
    let mut session = Session::with_kernels(&image, &mut arena, plan, kernels).unwrap();
    sequences.iter().map(|tokens| session.encode(tokens).unwrap().iter().map(|x| x.to_bits()).collect()).collect()
}

/// An embedding does not depend on earlier sequences: in order, in reverse and alone, the bits are equal.
#[test]
fn order_and_neighbours_change_no_bit() {
    for (name, model) in RandomModel::encoders() {
        for kv in KV_TYPES {
            let image = model.pack(Format::Int8, kv);
            let plan = Plan::packed(&model.config);
            let all = sequences(&model.config);
            let found = embeddings(&image, plan, kernels::best(), &all);
            let backwards: Vec<Vec<u32>> = all.iter().rev().cloned().collect();
            let mut again = embeddings(&image, plan, kernels::best(), &backwards);
            again.reverse();
            assert_eq!(found, again, "{name}, {kv:?}");
            for (tokens, found) in all.iter().zip(&found).step_by(7) {
                assert_eq!(embeddings(&image, plan, kernels::best(), std::slice::from_ref(tokens)), std::slice::from_ref(found), "{name}");
            }
        }
    }
}

/// The block size affects memory only, and so does a context that is no longer than the sequence.
#[test]
fn blocks_and_contexts_change_no_bit() {
    for (name, model) in RandomModel::encoders() {
        let image = model.pack_mixed(KvType::Int8);
        let all = sequences(&model.config);
        let packed = Plan::packed(&model.config);
        let found = embeddings(&image, packed, kernels::best(), &all);
        for block in [1, 3, 4, 7, 39, 40] {
            assert_eq!(embeddings(&image, packed.with_block(block), kernels::best(), &all), found, "{name} by {block}");
        }
        for (tokens, found) in all.iter().zip(&found) {
            let tight = packed.with_context(tokens.len() as u32);
            assert_eq!(embeddings(&image, tight, kernels::best(), std::slice::from_ref(tokens)), std::slice::from_ref(found), "{name}");
        }
    }
}

#[test]
fn every_kernel_set_gives_scalar_s_bits() {
    for (name, model) in RandomModel::encoders() {
        let all = sequences(&model.config);
        for (format, kv) in FORMATS.into_iter().flat_map(|format| KV_TYPES.map(|kv| (format, kv))) {
            let image = model.pack(format, kv);
            let plan = Plan::packed(&model.config).with_block(16);
            let scalar = embeddings(&image, plan, &kernels::SCALAR, &all);
            for set in kernels::all() {
                assert!(embeddings(&image, plan, set, &all) == scalar, "{name}, {format}, {kv:?}, {}", set.name());
            }
        }
    }
}

/// Each token attends to later tokens: another last token changes the first row, which CLS pooling returns.
#[test]
fn a_token_sees_what_follows_it() {
    let [_, (_, model)] = RandomModel::encoders();
    assert_eq!(model.config.pooling, Pooling::First);
    let image = model.pack(Format::F32, KvType::F32);
    let found = embeddings(&image, Plan::packed(&model.config), kernels::best(), &[vec![3, 4, 5], vec![3, 4, 6]]);
    assert_ne!(found[0], found[1]);
}

#[test]
fn an_embedding_has_the_length_it_should() {
    let [(_, bert), (_, later)] = RandomModel::encoders();
    let length = |model: RandomModel| {
        let found = embeddings(&model.pack(Format::Int8, KvType::Int8), Plan::packed(&model.config), kernels::best(), &[vec![9, 2, 7]]);
        found[0].iter().map(|&bits| f64::from(f32::from_bits(bits)).powi(2)).sum::<f64>().sqrt()
    };
    assert!((length(bert) - 1.0).abs() < 1e-6);
    assert!((length(later) - 1.0).abs() > 0.1);
    let unscaled = RandomModel { config: attoformer::config! { l2_normalize: false, ..bert.config }, ..bert };
    assert!((length(unscaled) - 1.0).abs() > 0.1);
}

/// Every packed image passes its golden vector, which detects one changed weight.
#[test]
fn a_self_test_finds_a_changed_weight() {
    for (name, model) in RandomModel::encoders() {
        let mut image = model.pack(Format::Int8, KvType::Int8);
        let test = |image: &[u8]| {
            let image = Image::new(image).unwrap();
            let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
            Session::new(&image, &mut arena).unwrap().self_test()
        };
        assert_eq!(test(&image), Ok(()), "{name}");
        let norm = Image::new(&image).unwrap().entries().find(|entry| entry.role.is_norm()).unwrap();
        image[norm.values as usize + 2] ^= 0x10;
        attoformer_tools::pack::seal(&mut image);
        assert!(matches!(test(&image), Err(Error::SelfTest { .. })), "{name}");
    }
}

#[test]
fn what_an_architecture_is_not_made_for_is_refused() {
    let [(_, encoder), _] = RandomModel::encoders();
    let image = encoder.pack(Format::Int8, KvType::Int8);
    let image = Image::new(&image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    assert_eq!(session.prefill(&[1]).unwrap_err().to_string(), "this model does not support text generation");
    assert_eq!(session.encode(&[]).unwrap_err(), Error::EmptyPrompt);
    assert_eq!(session.encode(&[0; 41]).unwrap_err(), Error::ContextFull { tokens: 41, context: 40 });
    assert_eq!(session.encode(&[1, 293]).unwrap_err(), Error::TokenOutOfRange { token: 293, vocab: 293 });

    let image = RandomModel::small().pack(Format::Int8, KvType::Int8);
    let image = Image::new(&image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    assert_eq!(session.encode(&[1]).unwrap_err().to_string(), "this model does not support token input");
}

/// Header fields that contradict each other.
#[test]
fn an_encoder_that_contradicts_itself_is_refused() {
    let [(_, encoder), _] = RandomModel::encoders();
    let decoder = RandomModel::small();
    for (model, at, value, field) in [
        (encoder, 32, 0, "mask"),
        (encoder, 38, 0, "mask"),
        (encoder, 75, 0, "pooling"),
        (encoder, 75, 4, "pooling"),
        (encoder, 72, 1, "tied_head"),
        (encoder, 74, 2, "embedding_norm"),
        (encoder, 88, 2, "l2_normalize"),
        (decoder, 38, 2, "mask"),
        (decoder, 75, 1, "pooling"),
        (decoder, 88, 1, "l2_normalize"),
    ] {
        let mut image = model.pack(Format::Int8, KvType::Int8);
        image[at] = value;
        attoformer_tools::pack::seal(&mut image);
        assert!(
            matches!(Image::new(&image), Err(Error::Field { name, .. }) if name == field),
            "byte {at} set to {value}: {:?}",
            Image::new(&image).err()
        );
    }
}
