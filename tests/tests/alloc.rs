//! The engine allocates nothing per token. A test binary of its own, because it counts every allocation of its process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use attoformer::image::KvType;
use attoformer::{Image, Limits, Plan, Sampler, Session, arena_bytes, kernels};
use attoformer_tests::random_model::{FORMATS, KV_TYPES, RandomModel};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;
use attoformer_tools::run::generate::{self, Observer, Request};

/// The system's allocator with a counter for each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is forwarded unchanged to the system's allocator; the counter is a thread-local without a destructor and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises hold for the forwarded call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises hold for the forwarded call.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises hold for the forwarded call.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.get();
    let result = work();
    (COUNT.get() - before, result)
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| vec![1u8; 10]).0, 1);
    assert_eq!(allocations(|| 1 + 1).0, 0);
}

#[test]
fn a_session_never_allocates() {
    for (family, model) in RandomModel::family() {
        for (format, kv) in FORMATS.into_iter().flat_map(|format| KV_TYPES.map(|kv| (format, kv))) {
            let bytes = model.pack(format, kv);
            let plan = Plan::packed(&model.config);
            let mut arena = AlignedBytes::zeroed(arena_bytes(&attoformer::config! { kv, ..model.config }, plan));
            for kernels in kernels::all() {
                let (count, ()) = allocations(|| {
                    let image = Image::new(&bytes).unwrap();
                    let mut session = Session::with_kernels(&image, &mut arena, plan, kernels).unwrap();
                    session.self_test().unwrap();
                    session.prefill(&[1, 5, 290, 17, 90, 4, 33, 44, 55, 66]).unwrap();
                    session.step(9).unwrap();
                    session.reset();
                    let sampler =
                        Sampler::new(1).with_top_k(7).and_then(|s| s.with_top_p(0.9)).and_then(|s| s.with_repetition_penalty(1.1)).unwrap();
                    let limits = Limits::tokens(12).with_stops(&["zzz"]);
                    let mut generation = session.generate("the low é", sampler, limits).unwrap();
                    while generation.next_piece().unwrap().is_some() {}
                });
                assert_eq!(count, 0, "{family}, {format}, {kv:?}, {}", kernels.name());
            }
        }
    }
}

/// A probe that records nothing.
struct Nobody;

impl Observer for Nobody {
    fn text(&mut self, _: &str) -> Result<(), attoformer_tools::Error> {
        Ok(())
    }

    fn logits(&mut self, _: &[f32]) -> Result<(), attoformer_tools::Error> {
        Ok(())
    }

    fn wants_logits(&self) -> bool {
        false
    }
}

/// The host's loop collects tokens and text in buffers that double: eight times the tokens need a few more allocations, not one per token.
#[test]
fn the_host_s_loop_allocates_for_its_answer_only() {
    let small = RandomModel::small();
    // The only EOS token is one that these weights never sample.
    let model = RandomModel { config: attoformer::config! { context: 300, eos: 0, ..small.config }, ..small };
    let bytes = model.pack(Format::Int8, KvType::Int8);
    let image = Image::new(&bytes).unwrap();
    let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
    let mut session = Session::new(&image, &mut arena).unwrap();
    let mut count = |limit| {
        session.reset();
        let request = Request { prompt: &[1], limit: Some(limit), stops: &[], sampler: Sampler::greedy() };
        let refuse = |error: attoformer::Error| attoformer_tools::Error::request(error.to_string());
        let (count, outcome) = allocations(|| generate::generate(&mut session, &request, &mut Nobody, refuse).unwrap());
        assert_eq!(outcome.tokens.len(), limit);
        count
    };
    let (few, many) = (count(32), count(256));
    assert!(many <= few + 8, "{few} allocations for 32 tokens, {many} for 256");
}
