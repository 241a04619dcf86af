//! Images of numerics 2 have one answer: whatever the kernel set, the chunks, the threads and the batch.

use attoformer::image::KvType;
use attoformer::kernels::{SCALAR, all};
use attoformer::{Image, Plan, Session, arena_bytes};
use attoformer_replay::{Job, Source};
use attoformer_tests::precision::{images, model, with_12_bit_inputs};
use attoformer_tests::targets::on_this_cpu;
use attoformer_tools::engine::thread_pool;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;

fn prompt(count: u32) -> Vec<u32> {
    (0..count).map(|index| 1 + index * 37 % 290).collect()
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn kernels_and_chunks_change_no_bit() {
    let prompt = prompt(19);
    for (name, image) in images() {
        let job = |chunk| Job { source: Source::Nothing, prompt: &prompt, generate: 4, chunk };
        let expected = on_this_cpu(&image, &SCALAR, job(1)).unwrap();
        for kernels in all() {
            for chunk in [1, 3, 16, 1000] {
                assert_eq!(on_this_cpu(&image, kernels, job(chunk)).unwrap(), expected, "{name}, {}, chunks of {chunk}", kernels.name());
            }
        }
    }
}

#[test]
fn threads_and_batches_change_no_bit() {
    let pool = thread_pool(3).unwrap();
    for (name, bytes) in images() {
        let image = Image::new(&bytes).unwrap();
        let plan = Plan::packed(image.config()).with_block(16);
        for kernels in all() {
            let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
            let mut alone = Session::with_kernels(&image, &mut arena, plan, kernels).unwrap();
            let mut sequences: Vec<Vec<u32>> = (0..3).map(|first| prompt(6 + first)[first as usize..].to_vec()).collect();
            let expected: Vec<_> = sequences
                .iter()
                .map(|tokens| {
                    alone.reset();
                    bits(alone.prefill(tokens).unwrap())
                })
                .collect();
            let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
            let mut shared = Session::with_kernels(&image, &mut arena, plan, kernels).unwrap().with_parallel(pool);
            for (tokens, expected) in sequences.iter().zip(&expected) {
                shared.reset();
                assert_eq!(bits(shared.prefill(tokens).unwrap()), *expected, "{name}, {}, threads", kernels.name());
            }
            shared.reset();
            let mut found = vec![Vec::new(); 3];
            for step in 0..6 {
                let tokens: Vec<u32> = sequences.iter_mut().map(|tokens| tokens[step]).collect();
                shared.step_batch(&tokens, |index, logits| found[index] = bits(logits)).unwrap();
            }
            assert_eq!(found, expected, "{name}, {}, batch", kernels.name());
        }
    }
}

/// Inputs of 12 bits are closer to those of f32 than inputs of 8 bits: the divergence that is left comes from the weights.
#[test]
fn wider_inputs_are_more_precise() {
    let logits = |image: &[u8]| {
        let image = Image::new(image).unwrap();
        let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
        Session::new(&image, &mut arena).unwrap().prefill(&prompt(20)).unwrap().to_vec()
    };
    let narrow = model().pack(Format::Int8, KvType::F32);
    let exact = logits(&model().pack(Format::F32, KvType::F32));
    let distance = |image: &[u8]| logits(image).iter().zip(&exact).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
    let (narrow, wide) = (distance(&narrow), distance(&with_12_bit_inputs(&narrow)));
    println!("8 bits {narrow}, 12 bits {wide}");
    assert!(wide * 1.2 < narrow, "8 bits {narrow}, 12 bits {wide}");
}
