//! Audio front ends: the same bits for any chunks of samples and on every target, and no section leads to a panic.

use attoformer::Error;
use attoformer::frontend::{Frames, Frontend, Samples, Sizes};
use attoformer::image::KvType;
use attoformer::internals::format::HEADER_BYTES;
use attoformer::internals::format::header::at;
use attoformer_replay::{features_hash, sound};
use attoformer_tests::random_model::RandomModel;
use attoformer_tests::sounds::{log_mel, mfcc, section};
use attoformer_tests::targets::{Wasm, features_on_aarch64};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::quantize::Format;

/// Bits of all rows of a clip.
fn clip<S: Samples + ?Sized>(frontend: &Frontend<'_>, samples: &S) -> Vec<u32> {
    let mut rows = vec![0.0; frontend.rows() * frontend.features()];
    frontend.clip(samples, &mut vec![0.0; frontend.scratch_len()], &mut rows).unwrap();
    rows.into_iter().map(f32::to_bits).collect()
}

#[test]
fn no_bit_depends_on_how_samples_come() {
    let bytes = section(&mfcc());
    let frontend = Frontend::new(&bytes).unwrap();
    let sound = sound(16000, 9);
    let floats: Vec<f32> = sound.iter().map(|&x| f32::from(x) / 32768.0).collect();
    let whole = clip(&frontend, &sound[..]);
    assert_eq!(clip(&frontend, &floats[..]), whole);
    for size in [1, 7, 160, 479, 480, 481, 16000] {
        let mut buffer = vec![f32::NAN; Frames::buffer_len(&frontend)];
        let mut frames = Frames::new(frontend, &mut buffer).unwrap();
        let mut rows = Vec::new();
        for (number, piece) in sound.chunks(size).enumerate() {
            let mut see = |row: &[f32]| rows.extend(row.iter().map(|x| x.to_bits()));
            if number % 2 == 0 { frames.push(piece, &mut see) } else { frames.push(&floats[number * size..][..piece.len()], &mut see) }
        }
        assert!(rows == whole, "pieces of {size}");
    }
}

#[test]
fn short_clips_end_in_silence_and_long_ones_are_cut() {
    for frontend in [mfcc(), log_mel(16000)] {
        let bytes = section(&frontend);
        let frontend = Frontend::new(&bytes).unwrap();
        let mut sound = sound(20000, 3);
        assert_eq!(clip(&frontend, &sound[..]), clip(&frontend, &sound[..16000]));
        let short = clip(&frontend, &sound[..5000]);
        sound[5000..].fill(0);
        assert_eq!(short, clip(&frontend, &sound[..]));
        assert_eq!(clip(&frontend, &[0i16; 0][..]), clip(&frontend, &[0.0f32; 16000][..]));
    }
}

/// The shortcut for digital silence equals the transform of almost silent samples; the first cepstral coefficient is the one on the model's page.
#[test]
fn silence_is_the_floor() {
    let bytes = section(&mfcc());
    let frontend = Frontend::new(&bytes).unwrap();
    let silence = clip(&frontend, &[0i16; 16000][..]);
    assert_eq!(silence, clip(&frontend, &[1e-30f32; 16000][..]));
    assert!((f32::from_bits(silence[0]) + 349.5).abs() < 0.05, "{}", f32::from_bits(silence[0]));
    let bytes = section(&log_mel(16000));
    let frontend = Frontend::new(&bytes).unwrap();
    let silence = clip(&frontend, &[0i16; 16000][..]);
    assert!(silence.iter().all(|&x| f32::from_bits(x) == -1.5));
    assert_eq!(silence, clip(&frontend, &[-1e-30f32; 16000][..]));
}

/// Extreme samples give finite features.
#[test]
fn rows_are_finite_for_any_samples() {
    for frontend in [mfcc(), log_mel(16000)] {
        let bytes = section(&frontend);
        let frontend = Frontend::new(&bytes).unwrap();
        for odd in [f32::MAX, f32::INFINITY, f32::NAN, f32::MIN_POSITIVE, f32::from_bits(1)] {
            let sound: Vec<f32> = (0..16000).map(|n| if n % 3 == 0 { odd } else { -odd }).collect();
            assert!(clip(&frontend, &sound[..]).iter().all(|&x| f32::from_bits(x).is_finite()), "{odd}");
        }
    }
}

#[test]
fn buffers_that_are_too_small_and_clips_in_pieces_are_refused() {
    let bytes = section(&log_mel(4800));
    let whole_only = Frontend::new(&bytes).unwrap();
    let mut buffer = vec![0.0; 10_000];
    assert!(matches!(Frames::new(whole_only, &mut buffer), Err(Error::Architecture { .. })));
    let bytes = section(&mfcc());
    let frontend = Frontend::new(&bytes).unwrap();
    let (scratch, values) = (frontend.scratch_len(), frontend.rows() * frontend.features());
    let small = |scratch: usize, values: usize| frontend.clip(&[0i16; 9][..], &mut vec![0.0; scratch], &mut vec![0.0; values]);
    assert_eq!(small(scratch, values), Ok(()));
    assert_eq!(small(scratch - 1, values), Err(Error::BufferTooSmall { need: scratch, have: scratch - 1 }));
    assert_eq!(small(scratch, values - 1), Err(Error::BufferTooSmall { need: values, have: values - 1 }));
    let need = Frames::buffer_len(&frontend);
    assert!(matches!(Frames::new(frontend, &mut buffer[..need - 1]), Err(Error::BufferTooSmall { need: n, .. }) if n == need));
}

/// Sections are small enough for a microcontroller's flash.
#[test]
fn sections_are_small() {
    assert!(section(&mfcc()).len() < 18_000 && section(&log_mel(480_000)).len() < 4_000);
}

/// Every truncation, and random changes of words and bytes: refused, or valid enough to run. Never a panic, and never more than 64 MiB of memory.
#[test]
fn damaged_sections_never_panic() {
    let mut state = 7u32;
    let mut draw = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % below
    };
    let mut sound_ones = 0;
    for good in [section(&mfcc()), section(&log_mel(4800))] {
        for cut in (0..good.len()).step_by(61) {
            assert!(Frontend::new(&good[..cut]).is_err());
        }
        for round in 0..6000 {
            let mut bad = AlignedBytes::copy_of(&good);
            for _ in 0..1 + draw(3) {
                // Two thirds of the damage hits the numbers at the start.
                let at = if draw(3) < 2 { draw(44) } else { draw(good.len()) };
                bad[at] = if round % 2 == 0 { draw(256) as u8 } else { bad[at] ^ (1 << draw(8)) };
            }
            let Ok(frontend) = Frontend::new(&bad) else { continue };
            let values = frontend.rows() * frontend.features();
            assert!(values <= 1 << 24);
            if values <= 1 << 14 {
                sound_ones += 1;
                clip(&frontend, &[1000i16; 700][..]);
            }
        }
    }
    assert!(sound_ones > 100, "{sound_ones}");
}

#[test]
fn sizes_are_known_to_the_compiler() {
    let expected = |frontend: &Frontend<'_>| Sizes {
        samples: frontend.samples(),
        rows: frontend.rows(),
        features: frontend.features(),
        scratch: frontend.scratch_len(),
        stream: Frames::buffer_len(frontend),
    };
    for part in [mfcc(), log_mel(480_000)] {
        let section = section(&part);
        // A header with only a section table, and the section after it.
        let mut image = vec![0; HEADER_BYTES];
        let (kind, start) = (at::SECTION_TABLE, at::SECTION_TABLE + 4);
        image[at::SECTIONS] = 1;
        image[kind] = 7;
        image[start..start + 4].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        image.extend(&section[..]);
        assert_eq!(Sizes::of(&image), expected(&Frontend::new(&section).unwrap()));
        image[start..start + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Sizes::of(&image), Sizes::default());
        image[kind] = 6;
        assert_eq!(Sizes::of(&image), Sizes::default());
    }
    const NONE: Sizes = Sizes::of(b"ATTO");
    assert_eq!(NONE, Sizes::default());
}

/// This CPU, an emulated AArch64 CPU and a wasm interpreter.
#[test]
fn features_have_the_same_bits_on_every_target() {
    let [(_, model), ..] = RandomModel::family();
    let image = model.pack(Format::F32, KvType::F32);
    let mut wasm = Wasm::new(&image).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, part, hash) in [("mfcc", mfcc(), 0xfa4e_0312), ("log_mel", log_mel(8000), 0x995a_d1ca)] {
        let section = section(&part);
        let here = features_hash(&section).unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, &section[..]).unwrap();
        println!("{name}: {here:08x}");
        assert_eq!(wasm.features_hash(&section).unwrap(), here, "{name} in wasm");
        assert_eq!(features_on_aarch64(&path).unwrap(), here, "{name} on AArch64");
        // The recorded hash: bits may change only on purpose.
        assert_eq!(here, hash, "{name}");
    }
}
