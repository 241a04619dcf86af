//! Threads: the output has the same bits with any implementation of `Parallel` and any number of threads.

use attoformer::image::{Config, KvType};
use attoformer::kernels::{self, Kernels};
use attoformer::{Image, Parallel, Plan, Session, arena_bytes};
use attoformer_tests::random_model::{FORMATS, KV_TYPES, Numbers, RandomModel};
use attoformer_tools::engine::thread_pool;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::Options;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Reports a number of threads, runs the second half first on a new thread, and counts the splits.
#[derive(Debug)]
struct Backwards {
    threads: usize,
    cuts: AtomicUsize,
}

impl Parallel for Backwards {
    fn threads(&self) -> usize {
        self.threads
    }

    fn join(&self, a: &mut (dyn FnMut() + Send), b: &mut (dyn FnMut() + Send)) {
        self.cuts.fetch_add(1, Ordering::Relaxed);
        std::thread::scope(|scope| scope.spawn(b).join()).unwrap();
        a();
    }
}

/// Models whose products, even the gated one of a single token, are wide enough to split, with sizes without common divisors.
fn wide() -> [(&'static str, RandomModel); 2] {
    let [(_, bert), _] = RandomModel::encoders();
    let small = RandomModel::small();
    let widened =
        |config: Config| attoformer::config! { d_model: 250, heads: 10, kv_heads: 5, head_dim: 25, d_hidden: 2111, layers: 1, ..config };
    let decoder = attoformer::config! { kv_heads: 5, head_dim: 24, ..widened(small.config) };
    let encoder = attoformer::config! { kv_heads: 10, ..widened(bert.config) };
    [("decoder", RandomModel { config: decoder, ..small }), ("encoder", RandomModel { config: encoder, ..bert })]
}

/// Bits of the logits after a prompt and after one more token, or of an embedding.
fn bits(image: &[u8], plan: Plan, kernels: &'static Kernels, parallel: Option<&dyn Parallel>) -> Vec<u32> {
    let image = Image::new(image).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
    let mut session = Session::with_kernels(&image, &mut arena, plan, kernels).unwrap();
    if let Some(parallel) = parallel {
        session = session.with_parallel(parallel);
    }
    let mut numbers = Numbers(9);
    let tokens: Vec<u32> = (0..20).map(|_| numbers.below(image.config().vocab as usize) as u32).collect();
    let mut found = Vec::new();
    if image.config().has_encoder() {
        found.extend(session.encode(&tokens).unwrap().iter().map(|x| x.to_bits()));
    } else {
        found.extend(session.prefill(&tokens).unwrap().iter().map(|x| x.to_bits()));
        found.extend(session.step(7).unwrap().iter().map(|x| x.to_bits()));
    }
    found
}

#[test]
fn no_bit_depends_on_threads() {
    for (name, model) in wide() {
        for (format, kv) in FORMATS.into_iter().zip(KV_TYPES.into_iter().cycle()) {
            for (layout, set) in [("portable", kernels::best()), ("cortex-m-dsp", &kernels::SCALAR)] {
                let image = model.pack_with(&Options { weights: format, kv, target: layout.parse().unwrap(), ..Options::reference() });
                let plan = Plan::packed(&model.config).with_block(16);
                let alone = bits(&image, plan, set, None);
                for threads in [2, 5] {
                    let parallel = Backwards { threads, cuts: AtomicUsize::new(0) };
                    let found = bits(&image, plan, set, Some(&parallel));
                    assert!(found == alone, "{name}, {format}, {kv:?}, {layout}, {threads} threads");
                    assert!(parallel.cuts.into_inner() > 4, "nothing was cut");
                }
            }
        }
    }
}

/// The thread pool of `atto --threads`.
#[test]
fn a_pool_keeps_the_bits_too() {
    for (name, model) in wide() {
        let image = model.pack_mixed(KvType::Int8);
        let plan = Plan::packed(&model.config).with_block(16);
        let alone = bits(&image, plan, kernels::best(), None);
        assert!(bits(&image, plan, kernels::best(), Some(thread_pool(1).unwrap())) == alone, "{name}");
        // A thread belongs to one pool only.
        let pooled = std::thread::scope(|scope| scope.spawn(|| bits(&image, plan, kernels::best(), Some(thread_pool(3).unwrap()))).join());
        assert!(pooled.unwrap() == alone, "{name}");
    }
}
