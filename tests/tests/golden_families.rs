//! Every family's small model can be packed in every format, and every kernel set makes of it what the scalar one, the specification, did.

use attoformer::image::header::KvType;
use attoformer::{Image, Plan, Session, arena_bytes, kernels};
use attoformer_tests::random_model::{FORMATS, KV_TYPES, families};
use attoformer_tools::files::AlignedBytes;

#[test]
fn every_family_passes_its_self_test() {
    let families = families();
    assert_eq!(families.len(), 21);
    for (name, model) in families {
        let mut images: Vec<AlignedBytes> = FORMATS.map(|format| model.pack(format, KvType::Int8)).into_iter().collect();
        images.extend(KV_TYPES.map(|kv| model.pack_mixed(kv)));
        for image in &images {
            let image = Image::new(image).unwrap();
            let plan = Plan::packed(image.config());
            for kernels in kernels::all() {
                let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
                let tested = Session::with_kernels(&image, &mut arena, plan, kernels).unwrap().self_test();
                assert_eq!(tested, Ok(()), "{name}, {}", kernels.name);
            }
        }
    }
}
