//! Batches: each sequence of a batch gets the bits that it gets alone, whatever the other sequences are.

use attoformer::image::{Architecture, AttentionKind, Config, InputStem, KvType, MaskKind, PositionKind};
use attoformer::kernels::{self, Kernels};
use attoformer::{Error, Image, Plan, Session, arena_bytes};
use attoformer_tests::random_model::{FORMATS, KV_TYPES, Numbers, RandomModel, families};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;

/// Runs `work` in a session of an image.
fn with_session<T>(image: &[u8], plan: Option<Plan>, kernels: &'static Kernels, work: impl FnOnce(&mut Session) -> T) -> T {
    let image = Image::new(image).unwrap();
    let plan = plan.unwrap_or(Plan::packed(image.config()));
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
    work(&mut Session::with_kernels(&image, &mut arena, plan, kernels).unwrap())
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|x| x.to_bits()).collect()
}

/// Embedding of each sequence alone.
fn alone(session: &mut Session, sequences: &[Vec<u32>]) -> Vec<Vec<u32>> {
    sequences.iter().map(|tokens| bits(session.encode(tokens).unwrap())).collect()
}

/// Embeddings of all sequences from one call.
fn together(session: &mut Session, sequences: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
    let mut found = Vec::new();
    let shown = session.encode_batch(&sequences.concat(), &lengths, |number, row| {
        assert_eq!(number, found.len());
        found.push(bits(row));
    });
    shown.unwrap();
    found
}

fn sequence(numbers: &mut Numbers, config: &Config, tokens: usize) -> Vec<u32> {
    (0..tokens).map(|_| numbers.below(config.vocab as usize) as u32).collect()
}

/// Sequences of one token, of the whole context and of lengths between, mostly short.
fn unequal(config: &Config, count: usize) -> Vec<Vec<u32>> {
    let mut numbers = Numbers(11);
    let context = config.context as usize;
    let mut drawn = Numbers(7);
    let lengths = (3..count).map(|_| 1 + drawn.below(1 + drawn.clone().below(context)));
    [1, context, context - 1].into_iter().chain(lengths).map(|tokens| sequence(&mut numbers, config, tokens)).collect()
}

/// The items in another order, and the original index of each.
fn shuffled(count: usize) -> Vec<usize> {
    let mut numbers = Numbers(3);
    let mut order: Vec<usize> = (0..count).collect();
    (1..count).rev().for_each(|index| order.swap(index, numbers.below(index + 1)));
    order
}

/// Encoders that differ where a batch could be wrong: in their masks and their positions.
fn encoders() -> Vec<(&'static str, RandomModel)> {
    let [bert, later] = RandomModel::encoders();
    let with = |config| RandomModel { config, ..later.1 };
    let local = attoformer::config! { mask: MaskKind::Local, window: Some(3), globals: 2, ..later.1.config };
    let linear = attoformer::config! { attention: AttentionKind::Linear, ..later.1.config };
    let none = attoformer::config! { positions: PositionKind::None, ..later.1.config };
    let more = [bert, later, ("local", with(local)), ("linear", with(linear)), ("no positions", with(none))];
    // With classifiers of sequences and of tokens.
    let family = families()
        .into_iter()
        .filter(|(_, model)| model.config.architecture == Architecture::Encoder && model.config.input_stem == InputStem::Tokens);
    family.chain(more).collect()
}

#[test]
fn a_batch_gives_the_bits_of_each_alone_in_any_order() {
    for (name, model) in encoders() {
        let sequences = unequal(&model.config, 60);
        let order = shuffled(sequences.len());
        let moved: Vec<Vec<u32>> = order.iter().map(|&index| sequences[index].clone()).collect();
        for (format, kv) in FORMATS.into_iter().flat_map(|format| KV_TYPES.map(|kv| (format, kv))) {
            with_session(&model.pack(format, kv), None, kernels::best(), |session| {
                let alone = alone(session, &sequences);
                assert_eq!(together(session, &sequences), alone, "{name}, {format}, {kv:?}");
                let again = together(session, &moved);
                assert!(order.iter().zip(again).all(|(&index, row)| row == alone[index]), "{name}, {format}, {kv:?}, in another order");
            });
        }
    }
}

/// Block size, context and kernel set change how a batch is split, not its result.
#[test]
fn blocks_contexts_and_kernels_change_no_bit() {
    for (name, model) in encoders() {
        let image = model.pack_mixed(KvType::Int8);
        let packed = Plan::packed(&model.config);
        let sequences: Vec<Vec<u32>> =
            unequal(&model.config, 40).into_iter().filter(|tokens| tokens.len() <= 21.min(packed.context as usize)).collect();
        let alone = with_session(&image, None, &kernels::SCALAR, |session| alone(session, &sequences));
        for plan in [packed.with_block(1), packed.with_block(7), packed.with_block(40), packed.with_context(21), packed.with_context(22)] {
            for set in kernels::all() {
                let found = with_session(&image, Some(plan), set, |session| together(session, &sequences));
                assert_eq!(found, alone, "{name}, {plan:?}, {}", set.name());
            }
        }
    }
}

/// Sums over keys cover up to 4,096 keys in blocks of four positions: the blocks of a sequence must not depend on other sequences.
#[test]
fn sequences_beyond_one_exact_sum_keep_their_bits() {
    let [_, (_, later)] = RandomModel::encoders();
    // Without positions and in f32, so that nothing masks the last bit of a sum.
    let config = attoformer::config! { layers: 1, heads: 2, kv_heads: 1, context: 4128, positions: PositionKind::None, ..later.config };
    let local = attoformer::config! { mask: MaskKind::Local, window: Some(4100), globals: 1, ..config };
    let near = attoformer::config! { mask: MaskKind::Local, window: Some(2), globals: 1, ..config };
    for (name, config) in [("all", config), ("local", local), ("near", near)] {
        let model = RandomModel { config, ..later };
        let mut numbers = Numbers(23);
        // Mostly one token, so that values do not cancel and their sum exceeds a float's mantissa.
        let mut take = |tokens| -> Vec<u32> {
            sequence(&mut numbers, &config, tokens).into_iter().map(|token| if token % 8 == 0 { token } else { 5 }).collect()
        };
        let batches = [vec![take(1), take(4099), take(3)], vec![take(5), take(4096), take(7)], vec![take(2), take(4098)]];
        with_session(
            &model.pack(Format::F32, KvType::Int8),
            Some(Plan::packed(&model.config).with_context(4128).with_block(64)),
            kernels::best(),
            |session| {
                for batch in batches {
                    assert!(together(session, &batch) == alone(session, &batch), "{name}, {} tokens first", batch[0].len());
                }
            },
        );
    }
}

/// An invalid sequence stops a batch before it is computed; results of earlier batches have been delivered.
#[test]
fn bad_batches_are_refused() {
    let [(_, bert), _] = RandomModel::encoders();
    let refused = |tokens: &[u32], lengths: &[usize]| {
        let mut shown = 0;
        let error = with_session(&bert.pack(Format::Int8, KvType::Int8), None, kernels::best(), |session| {
            session.encode_batch(tokens, lengths, |_, _| shown += 1).unwrap_err()
        });
        (shown, error)
    };
    assert_eq!(refused(&[1; 9], &[4, 0, 5]), (0, Error::EmptyPrompt));
    assert_eq!(refused(&[1; 90], &[40, 41, 9]), (1, Error::ContextFull { tokens: 41, context: 40 }));
    assert_eq!(refused(&[1; 9], &[usize::MAX, 3]), (0, Error::ContextFull { tokens: usize::MAX, context: 40 }));
    assert_eq!(refused(&[1; 9], &[4, 6]), (0, Error::BufferTooSmall { need: 10, have: 9 }));
    assert_eq!(refused(&[1, 1, 293], &[2, 1]), (0, Error::TokenOutOfRange { token: 293, vocab: 293 }));

    let decoder = RandomModel::small().pack(Format::Int8, KvType::Int8);
    let error = with_session(&decoder, None, kernels::best(), |session| session.encode_batch(&[1], &[1], |_, _| {}).unwrap_err());
    assert_eq!(error, Error::Architecture { asked: "batches of texts" });
}

/// An empty batch does no work.
#[test]
fn an_empty_batch_shows_nothing() {
    let [(_, bert), _] = RandomModel::encoders();
    with_session(&bert.pack(Format::Int8, KvType::Int8), None, kernels::best(), |session| {
        session.encode_batch(&[], &[], |_, _| panic!("nothing was asked for")).unwrap();
    });
}

/// Sequences that decode together have the logits of each alone, with every kind of cache, mask and position.
#[test]
fn a_decoded_batch_gives_the_bits_of_each_alone() {
    const COUNT: usize = 3;
    let decoders = families()
        .into_iter()
        .filter(|(_, model)| model.config.architecture == Architecture::Decoder && model.config.attention == AttentionKind::Softmax);
    for (name, model) in decoders {
        for kv in KV_TYPES {
            let image = model.pack(Format::Int8, kv);
            let config = *Image::new(&image).unwrap().config();
            let plan = Plan::packed(&config).with_block(COUNT as u32);
            with_session(&image, Some(plan), kernels::best(), |session| {
                let mut numbers = Numbers(5);
                let length = session.batch_capacity(COUNT).min(5);
                assert!(length > 0, "{name}: a context of {}", config.context);
                let sequences: Vec<_> = (0..COUNT).map(|_| sequence(&mut numbers, &config, length)).collect();
                let mut together = vec![Vec::new(); COUNT];
                for position in 0..length {
                    let tokens: Vec<u32> = sequences.iter().map(|sequence| sequence[position]).collect();
                    session.step_batch(&tokens, |index, logits| together[index].push(bits(logits))).unwrap();
                }
                let full = session.batch_capacity(COUNT);
                for (sequence, found) in sequences.iter().zip(together) {
                    session.reset();
                    let expected: Vec<_> = sequence.iter().map(|&token| bits(session.step(token).unwrap())).collect();
                    assert_eq!(found, expected, "{name}, {kv:?}");
                }
                session.reset();
                let tokens = [0; COUNT];
                (0..full).for_each(|_| session.step_batch(&tokens, |_, _| {}).unwrap());
                assert_eq!(session.step_batch(&tokens, |_, _| {}), Err(Error::ContextFull { tokens: full + 1, context: full }));
            });
        }
    }
}
