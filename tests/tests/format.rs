//! Format version 2: what a later format may use is refused, what is stated is carried, and a signature has its place.

use attoformer::image::{Config, Dtype, Entry, KvType, Role, section};
use attoformer::internals::format::header::{RESERVED, at, required};
use attoformer::internals::format::sections::{SIGNATURE_BYTES, put_section};
use attoformer::internals::format::{ENTRY_BYTES, INT4_COLUMNS_MAX};
use attoformer::{Error, Image, Plan, Session, arena_bytes};
use attoformer_tests::precision;
use attoformer_tests::random_model::RandomModel;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::{Options, pack, seal};
use attoformer_tools::quantize::Format;
use attoformer_tools::report::progress::Progress;
use attoformer_tools::report::summary::ImageSummary;

/// Offset of the element type in a directory entry.
const DTYPE_AT: usize = 4;

/// Offset of the section table's field `count` rows from its start.
fn row_at(row: usize) -> usize {
    at::SECTION_TABLE + 16 * row
}

/// A decoder with key offsets, an int4 matrix and int8 matrices.
fn image() -> AlignedBytes {
    let overrides = vec![("layers.*.mlp_down".to_owned(), Format::Int4 { group: 32 }), ("layers.*.attn_out".to_owned(), Format::F16)];
    precision::model().pack_with(&Options { weights: Format::Int8, overrides, kv: KvType::Int8, ..Options::reference() })
}

/// The reason why a changed image is refused, its checksums being right.
fn refusal(change: impl FnOnce(&mut [u8])) -> Error {
    let mut copy = image();
    change(&mut copy);
    seal(&mut copy);
    Image::new(&copy).expect_err("the change is refused")
}

/// Index and entry of a tensor, and the directory's offset.
fn entry(image: &[u8], role: Role) -> (u32, Entry, usize) {
    let checked = Image::new(image).expect("a sound image");
    let (index, entry) = checked.entries().enumerate().find(|(_, entry)| entry.role == role).expect("the image has the tensor");
    (index as u32, entry, checked.section(section::DIRECTORY).as_ptr() as usize - image.as_ptr() as usize)
}

#[test]
fn reserved_bytes_of_the_header_are_refused_by_their_offset() {
    for offset in RESERVED {
        assert_eq!(refusal(|image| image[offset] = 1), Error::Reserved { at: offset as u32 });
    }
    let sections = image()[at::SECTIONS] as usize;
    let spare = (0..sections).map(|row| row_at(row) + 12).chain(row_at(sections)..row_at(16));
    for offset in spare {
        assert_eq!(refusal(|image| image[offset] = 1), Error::Reserved { at: offset as u32 });
    }
    assert_eq!(refusal(|image| image[at::HEAD_ROWS] = 9), Error::Field { name: "head_rows", value: 9 });
    assert_eq!(refusal(|image| image[at::HEADER_BYTES] = 128), Error::Field { name: "header_bytes", value: 640 });
}

#[test]
fn an_unknown_required_bit_is_refused_by_its_number() {
    for bit in 0..32 {
        let bits = 1u32 << bit;
        if bits & required::KNOWN != 0 {
            continue;
        }
        let found = refusal(|image| image[at::REQUIRED..at::REQUIRED + 4].copy_from_slice(&(bits | required::KEY_OFFSET).to_le_bytes()));
        assert_eq!(found, Error::Required { bits });
        assert!(found.to_string().contains("this image needs a newer engine"), "{found}");
    }
}

#[test]
fn an_image_of_an_older_format_or_numerics_is_to_be_packed_again() {
    let messages =
        [refusal(|image| image[at::FORMAT_VERSION] = 1), refusal(|image| image[at::NUMERICS] = 1)].map(|error| error.to_string());
    assert!(messages.iter().all(|message| message.ends_with("pack the model again")), "{messages:?}");
}

#[test]
fn reserved_bytes_of_an_entry_and_misplaced_12_bit_flags_are_refused() {
    let original = image();
    for (role, dtype) in
        [(Role::MlpDown, Dtype::Int4), (Role::AttnOut, Dtype::F16), (Role::AttnNorm, Dtype::F32), (Role::KeyOffset, Dtype::F32)]
    {
        let (index, found, directory) = entry(&original, role);
        assert_eq!(found.dtype, dtype);
        let at = directory + index as usize * ENTRY_BYTES;
        assert_eq!(
            refusal(|image| image[at + 40] = 12),
            Error::Tensor { index, what: "12-bit inputs belong to int8 matrices only" },
            "{role:?}"
        );
        for byte in 41..ENTRY_BYTES {
            assert!(matches!(refusal(|image| image[at + byte] = 1), Error::Tensor { index: found, .. } if found == index), "{role:?}");
        }
    }
    let (index, _, directory) = entry(&original, Role::Qkv);
    for bits in [1, 8, 11, 13, 16, 255] {
        let found = refusal(|image| image[directory + index as usize * ENTRY_BYTES + 40] = bits);
        assert!(matches!(found, Error::Tensor { index: found, .. } if found == index), "{bits} bits");
    }
}

#[test]
fn a_group_scale_of_minus_128_is_refused_and_one_of_0_is_a_group_of_zeros() {
    let original = image();
    let (index, down, _) = entry(&original, Role::MlpDown);
    let last = down.group_scales as usize + (down.rows * down.columns.div_ceil(32)) as usize - 1;
    for at in [down.group_scales as usize, last] {
        assert!(matches!(refusal(|image| image[at] = 0x80), Error::Tensor { index: found, .. } if found == index));
        let mut copy = image();
        copy[at] = 0;
        seal(&mut copy);
        assert!(Image::new(&copy).is_ok());
    }
}

#[test]
fn a_key_offset_is_finite_and_belongs_to_int8_caches_and_softmax() {
    let original = image();
    let (index, offset, _) = entry(&original, Role::KeyOffset);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let at = offset.values as usize + 8;
        assert_eq!(refusal(|image| image[at..at + 4].copy_from_slice(&value.to_le_bytes())), Error::NotFinite { index });
    }
    for kv in [KvType::F32, KvType::F16] {
        assert_eq!(refusal(|image| image[at::KV] = kv as u8), Error::Field { name: "key_offset", value: 1 });
    }
    // The bit implies the tensor: without it the directory has too many.
    assert_eq!(refusal(|image| image[at::REQUIRED] = 0), Error::Section { kind: section::DIRECTORY });
}

#[test]
fn an_int4_row_has_at_most_16384_columns() {
    let model = |d_hidden| {
        let small = RandomModel::small();
        let config = attoformer::config! { d_model: 8, d_hidden, layers: 1, heads: 2, kv_heads: 1, head_dim: 4, vocab: 31, ..small.config };
        RandomModel { config, ..small }.checkpoint()
    };
    let options = |group| Options { weights: Format::Int4 { group }, kv: KvType::Int8, ..Options::reference() };
    for group in [32, 0] {
        let longest = pack(&model(INT4_COLUMNS_MAX), &options(group), &Progress::silent()).expect("16,384 columns fit");
        let lowest = precision::with_lowest_integers(&longest.image);
        let image = Image::new(&lowest).expect("a sound image");
        let mut arena = AlignedBytes::zeroed(arena_bytes(image.config(), Plan::packed(image.config())));
        assert_eq!(Session::new(&image, &mut arena).expect("a sufficient arena").self_test(), Ok(()));
        let refused = pack(&model(INT4_COLUMNS_MAX + 1), &options(group), &Progress::silent()).err().expect("a row is too long");
        let expected = "layers.*.mlp_down has 16385 inputs, and int4 matrices have at most 16384; use --tensor layers.*.mlp_down=int8";
        assert!(refused.to_string().ends_with(expected), "{refused}");
    }
    let int8 = Options { weights: Format::Int8, kv: KvType::Int8, ..Options::reference() };
    let mut longer = pack(&model(INT4_COLUMNS_MAX + 1), &int8, &Progress::silent()).expect("an int8 row may be longer").image;
    let (index, _, directory) = entry(&longer, Role::MlpDown);
    longer[directory + index as usize * ENTRY_BYTES + DTYPE_AT] = Dtype::Int4 as u8;
    seal(&mut longer);
    assert_eq!(Image::new(&longer).err(), Some(Error::Tensor { index, what: "an int4 row is too long for exact sums" }));
}

/// Adds a signature section, whose bytes nothing verifies yet, of this size and this many bytes before the end.
fn signed(size: u32, before_end: usize, other: Option<u32>) -> AlignedBytes {
    let original = image();
    let start = original.len().next_multiple_of(64);
    let mut copy = AlignedBytes::zeroed(start + SIGNATURE_BYTES as usize + before_end);
    copy[..original.len()].copy_from_slice(&original);
    let (rows, total) = (copy[at::SECTIONS] as usize, copy.len() as u32);
    put_section(&mut copy, rows, (section::SIGNATURE, start as u32, size));
    if let Some(kind) = other {
        put_section(&mut copy, rows + 1, (kind, start as u32 - 64, 65));
    }
    copy[at::SECTIONS] += 1 + u8::from(other.is_some());
    copy[at::TOTAL_BYTES..at::TOTAL_BYTES + 4].copy_from_slice(&total.to_le_bytes());
    seal(&mut copy);
    copy
}

#[test]
fn an_image_with_a_signature_opens_and_its_checksum_ends_before_it() {
    let mut copy = signed(SIGNATURE_BYTES, 0, None);
    assert!(!Image::new(&image()).expect("a sound image").is_signed());
    for byte in [0, 0x5a] {
        let end = copy.len();
        copy[end - 64..].fill(byte);
        let image = Image::new(&copy).expect("the signature is no part of the payload");
        assert!(image.is_signed() && image.bytes().len() == copy.len());
        assert!(ImageSummary::of_image(&image).expect("a readable image").signed);
    }
    let before = copy.len() - 65;
    copy[before] ^= 1;
    assert_eq!(Image::new(&copy).err(), Some(Error::PayloadChecksum));
}

#[test]
fn a_signature_elsewhere_is_refused() {
    let refused = |copy: AlignedBytes| Image::new(&copy).err();
    assert_eq!(refused(signed(32, 0, None)), Some(Error::Section { kind: 8 }));
    assert_eq!(refused(signed(128, 64, None)), Some(Error::Section { kind: 8 }));
    assert_eq!(refused(signed(SIGNATURE_BYTES, 64, None)), Some(Error::Section { kind: 8 }));
    assert_eq!(refused(signed(SIGNATURE_BYTES, 0, Some(8))), Some(Error::Section { kind: 8 }));
    // No section reaches into the signature, not even an unknown one.
    assert_eq!(refused(signed(SIGNATURE_BYTES, 0, Some(77))), Some(Error::Section { kind: 77 }));
}

#[test]
fn the_version_of_the_model_is_carried() {
    let packed = precision::model().pack_with(&Options { model_version: 0xdead_beef, ..Options::reference() });
    let image = Image::new(&packed).expect("a sound image");
    assert_eq!(image.model_version(), 0xdead_beef);
    let summary = ImageSummary::of_image(&image).expect("a readable image");
    assert_eq!(summary.model_version, 0xdead_beef);
    assert!(summary.to_string().contains("model version 3735928559"), "{summary}");
}

#[test]
fn the_summary_states_the_bits_of_each_input() {
    let wide = precision::with_12_bit_inputs(&image());
    let image = Image::new(&wide).expect("a sound image");
    assert!(image.features().any(|feature| feature.name() == "a12"));
    let summary = ImageSummary::of_image(&image).expect("a readable image");
    for tensor in summary.tensors {
        let expected = match tensor.dtype {
            "int8" => 12,
            "int4" => 8,
            _ => 32,
        };
        assert_eq!(tensor.activations, expected, "{}", tensor.name);
    }
}

/// Every field that a config has survives the header, the key offset included.
#[test]
fn a_config_with_a_key_offset_is_read_back() {
    let config = attoformer::config! { kv: KvType::Int8, ..precision::model().config };
    let mut header = vec![0; 512];
    config.emit(&mut header).expect("a valid config");
    assert_eq!(Config::parse(&header), Ok(config));
    assert!(config.key_offset);
}
