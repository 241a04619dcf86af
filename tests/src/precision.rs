//! Images that hold what numerics 2 defines: key offsets, int4 values of -8 with signed group scales, inputs of 12 bits.

use attoformer::image::{Dtype, Entry, KvType, Layout, section};
use attoformer::internals::format::ENTRY_BYTES;
use attoformer::kernels::SCALAR;
use attoformer::{Image, Plan, Session, arena_bytes};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::{Options, seal};
use attoformer_tools::quantize::Format;

use crate::random_model::RandomModel;

/// Offset of the bits of a matrix's inputs in its directory entry.
const ACTIVATIONS_AT: usize = 40;
/// Offset of the hash in the golden section.
const GOLDEN_HASH_AT: usize = 8;

/// A decoder with key offsets whose down projection has 172 inputs and 64 outputs.
pub fn model() -> RandomModel {
    let small = RandomModel::small();
    let config = attoformer::config! { d_model: 64, d_hidden: 172, heads: 8, kv_heads: 4, head_dim: 8, key_offset: true, ..small.config };
    RandomModel { config, ..small }
}

/// Images of [`model`] by name: each int4 group, 12-bit inputs and the lowest integers, in both layouts.
pub fn images() -> Vec<(String, AlignedBytes)> {
    let mut images = Vec::new();
    for layout in ["portable", "cortex-m-dsp"] {
        let pack = |weights| {
            let target = layout.parse().expect("a layout's name");
            model().pack_with(&Options { weights, kv: KvType::Int8, target, ..Options::reference() })
        };
        let int4 = [32, 64, 128, 0].map(|group| (format!("int4 in groups of {group}, {layout}"), pack(Format::Int4 { group })));
        images.extend(int4);
        images.push((format!("12-bit inputs, {layout}"), with_12_bit_inputs(&pack(Format::Int8))));
    }
    for (name, weights) in [("int8", Format::Int8), ("int4", Format::Int4 { group: 32 })] {
        let mixed = Options { weights, overrides: vec![("embedding".to_owned(), Format::F16)], kv: KvType::Int8, ..Options::reference() };
        let lowest = with_lowest_integers(&model().pack_with(&mixed));
        images.push((format!("lowest {name}"), with_12_bit_inputs(&lowest)));
    }
    images
}

/// A copy of an image in which every int8 matrix takes inputs of 12 bits.
///
/// # Panics
/// If the image is invalid.
pub fn with_12_bit_inputs(image: &[u8]) -> AlignedBytes {
    changed(image, |copy, directory, entries| {
        for (index, _) in entries.iter().enumerate().filter(|(_, entry)| entry.dtype == Dtype::Int8) {
            copy[directory + index * ENTRY_BYTES + ACTIVATIONS_AT] = 12;
        }
    })
}

/// A copy of an image in the portable layout whose integers are the lowest of their types: -127 in int8 matrices, -8 in int4 matrices, whose group
/// scales are -127.
///
/// # Panics
/// If the image is invalid.
pub fn with_lowest_integers(image: &[u8]) -> AlignedBytes {
    changed(image, |copy, _, entries| {
        for entry in entries {
            assert_eq!(entry.layout, Layout::Portable);
            let (byte, columns) = match entry.dtype {
                Dtype::Int8 => (-127i8 as u8, entry.columns),
                Dtype::Int4 => (0x88, entry.columns / 2),
                _ => continue,
            };
            let values = entry.values as usize..(entry.values as u64 + entry.value_bytes()) as usize;
            copy[values].chunks_mut(entry.row_bytes() as usize).for_each(|row| row[..columns as usize].fill(byte));
            if entry.dtype == Dtype::Int4 {
                let count = entry.rows * attoformer::internals::format::groups(entry.columns, entry.group);
                copy[entry.group_scales as usize..][..count as usize].fill(-127i8 as u8);
            }
        }
    })
}

/// A changed copy, sealed again with the golden hash of the scalar kernels. `change` gets the copy, the directory's offset and its entries.
fn changed(image: &[u8], change: impl FnOnce(&mut [u8], usize, &[Entry])) -> AlignedBytes {
    let mut copy = AlignedBytes::copy_of(image);
    let (directory, golden, entries) = {
        let checked = Image::new(image).expect("the original is sound");
        let offset = |kind| checked.section(kind).as_ptr() as usize - image.as_ptr() as usize;
        (offset(section::DIRECTORY), offset(section::GOLDEN), checked.entries().collect::<Vec<_>>())
    };
    change(&mut copy, directory, &entries);
    seal(&mut copy);
    let hash = {
        let image = Image::new(&copy).expect("the changed image is sound");
        let plan = Plan::packed(image.config());
        let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), plan));
        let mut session = Session::with_kernels(&image, &mut arena, plan, &SCALAR).expect("a sufficient arena");
        session.golden_hash(&image.golden()).expect("the changed image runs")
    };
    copy[golden + GOLDEN_HASH_AT..][..4].copy_from_slice(&hash.to_le_bytes());
    seal(&mut copy);
    copy
}
