//! Tampered images are refused by the code that runs on devices; signatures are those of openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use attoformer::Image;
use attoformer::image::section;
use attoformer::internals::format::field::{put, u32_at};
use attoformer::internals::format::header::at;
use attoformer::internals::format::sections::{SECTION_ROW, put_section};
use attoformer_needs::needs;
use attoformer_signature::{SignatureError, split, verify};
use attoformer_tests::random_model::{Numbers, RandomModel};
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::seal;
use attoformer_tools::sign;
use tempfile::TempDir;
use xtask::process::root;

/// Tampered copies of the signed image.
const COPIES: usize = 1000;

/// A folder with a key pair and an image.
struct Signing {
    folder: TempDir,
}

impl Signing {
    /// A new key pair, and a copy of the image that is not signed yet.
    fn new(image: &[u8]) -> Self {
        let signing = Signing { folder: tempfile::tempdir().unwrap() };
        sign::write_pair(&signing.path("key")).unwrap();
        std::fs::write(signing.path("image.atto"), image).unwrap();
        signing
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs the image and returns it.
    fn sign(&self, private: &str) -> AlignedBytes {
        sign::sign(&self.path("image.atto"), &sign::read_private(&self.path(private)).unwrap()).unwrap();
        self.image()
    }

    fn image(&self) -> AlignedBytes {
        AlignedBytes::copy_of(&std::fs::read(self.path("image.atto")).unwrap())
    }

    fn public(&self, name: &str) -> [u8; 32] {
        sign::read_public(&self.path(name)).unwrap().to_bytes()
    }
}

/// The image in the repository.
fn tales() -> Vec<u8> {
    std::fs::read(root().join("models/tales/tales.atto")).expect("the image is in the repository")
}

/// A changed copy of a signed image, and how it was changed. Every second one has correct checksums, as an attacker would make them.
fn tampered(image: &[u8], index: usize, numbers: &mut Numbers) -> (String, AlignedBytes) {
    let mut copy = AlignedBytes::copy_of(image);
    let place = match index % 4 {
        0 => 0..image.len(),
        1 => 0..512,
        2 => image.len() - 64..image.len(),
        _ => 512..image.len() - 64,
    };
    let at = place.start + numbers.below(place.len());
    let mut what = match index / 4 % 4 {
        0 => {
            let bit = numbers.below(8);
            copy[at] ^= 1 << bit;
            format!("bit {bit} of byte {at}")
        }
        1 => {
            copy[at] = copy[at].wrapping_add(1 + numbers.below(255) as u8);
            format!("byte {at}")
        }
        2 => {
            let end = (at + 1 + numbers.below(64)).min(image.len());
            copy[at..end].iter_mut().for_each(|byte| *byte = numbers.below(256) as u8);
            format!("bytes {at} to {end}")
        }
        _ => {
            let length = numbers.below(image.len());
            copy = AlignedBytes::copy_of(&image[..length]);
            format!("{length} bytes are left")
        }
    };
    if index % 2 == 1 && copy.len() >= 512 {
        if copy.len() < image.len() {
            let length = copy.len() as u32;
            put(&mut copy, at::TOTAL_BYTES, length.to_le_bytes());
        }
        seal(&mut copy);
        what += ", with correct checksums";
    }
    (what, copy)
}

#[test]
fn a_thousand_tampered_images_are_refused() {
    let signing = Signing::new(&tales());
    let key = signing.public("key.pub");
    let image = signing.sign("key");
    assert_eq!(verify(&key, &image), Ok(()), "the image itself is genuine");
    let mut numbers = Numbers(0x5167);
    let mut opened = 0;
    for index in 0..COPIES {
        let (what, copy) = loop {
            let (what, copy) = tampered(&image, index, &mut numbers);
            if *copy != *image {
                break (what, copy);
            }
        };
        assert!(verify(&key, &copy).is_err(), "copy {index} was accepted: {what}");
        opened += usize::from(Image::new(&copy).is_ok());
    }
    // The engine opens images with correct checksums; only the signature protects against those.
    assert!(opened > COPIES / 10, "the engine alone opens {opened} of the copies");
    println!("{COPIES} of {COPIES} refused; {opened} of them by the signature alone");
}

#[test]
fn a_removed_or_moved_signature_is_refused() {
    let signing = Signing::new(&tales());
    let key = signing.public("key.pub");
    assert_eq!(verify(&key, &tales()), Err(SignatureError::NotSigned));
    let image = signing.sign("key");
    let count = u32_at(&image, at::SECTIONS) as usize;
    let row = at::SECTION_TABLE + (count - 1) * SECTION_ROW;

    let mut removed = AlignedBytes::copy_of(&image[..image.len() - 64]);
    removed[row..row + SECTION_ROW].fill(0);
    put(&mut removed, at::SECTIONS, (count as u32 - 1).to_le_bytes());
    put(&mut removed, at::TOTAL_BYTES, (image.len() as u32 - 64).to_le_bytes());
    seal(&mut removed);
    assert!(Image::new(&removed).is_ok_and(|image| !image.is_signed()), "it is an image");
    assert_eq!(verify(&key, &removed), Err(SignatureError::NotSigned));

    for start in [0, 64, image.len() - 128, image.len() - 63, image.len()] {
        let mut moved = AlignedBytes::copy_of(&image);
        put_section(&mut moved, count - 1, (section::SIGNATURE, start as u32, 64));
        seal(&mut moved);
        assert!(verify(&key, &moved).is_err(), "the signature at {start}");
    }
}

#[test]
fn images_that_are_cut_empty_or_something_else_are_refused_by_name() {
    let signing = Signing::new(&tales());
    let key = signing.public("key.pub");
    let image = signing.sign("key");
    assert_eq!(verify(&key, &[]), Err(SignatureError::NotAnImage));
    assert_eq!(verify(&key, &[0xff; 4096]), Err(SignatureError::NotAnImage), "erased flash");
    assert_eq!(verify(&key, &image[..100]), Err(SignatureError::Truncated { need: 512, have: 100 }));
    for missing in [1, 32, 64, 65] {
        let have = image.len() - missing;
        assert_eq!(verify(&key, &image[..have]), Err(SignatureError::Truncated { need: image.len(), have }));
    }
    let slot = [&*image, &[0xff; 1000]].concat();
    assert_eq!(verify(&key, &slot), Ok(()), "a slot is longer than its image");
    assert_eq!(verify(&[0; 32], &image), Err(SignatureError::Wrong), "a key of small order");
    sign::write_pair(&signing.path("other")).unwrap();
    assert_eq!(verify(&signing.public("other.pub"), &image), Err(SignatureError::Wrong));
}

#[test]
fn a_signed_image_is_the_same_model() {
    let signing = Signing::new(&tales());
    let signed = signing.sign("key");
    let bytes = AlignedBytes::copy_of(&tales());
    let (before, after) = (Image::new(&bytes).unwrap(), Image::new(&signed).unwrap());
    assert!(!before.is_signed() && after.is_signed());
    assert_eq!(before.config(), after.config());
    for kind in (1..=section::KNOWN_MAX).filter(|kind| *kind != section::SIGNATURE) {
        assert!(before.section(kind) == after.section(kind), "section {kind}");
    }
    let (message, signature) = split(&signed).unwrap();
    assert_eq!((message.len(), after.section(section::SIGNATURE)), (signed.len() - 64, &signature[..]));
}

#[test]
fn an_image_of_any_length_can_be_signed() {
    // Packed images end anywhere; sections start at multiples of 64.
    let small = RandomModel::small().pack_mixed(attoformer::image::KvType::Int8);
    let lengths: Vec<usize> = (0..3).map(|extra| small.len() + extra * 21).collect();
    for length in lengths {
        let mut image = small.to_vec();
        image.resize(length, 0);
        put(&mut image, at::TOTAL_BYTES, (length as u32).to_le_bytes());
        seal(&mut image);
        let signing = Signing::new(&image);
        let signed = signing.sign("key");
        assert!(Image::new(&signed).is_ok_and(|image| image.is_signed()), "{length} bytes");
        assert_eq!(signed.len(), length.next_multiple_of(64) + 64);
        assert_eq!(verify(&signing.public("key.pub"), &signed), Ok(()), "{length} bytes");
    }
}

/// Runs openssl in a folder.
fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[needs(program = "openssl")]
#[test]
fn openssl_reads_our_keys_and_verifies_our_signatures() {
    let signing = Signing::new(&tales());
    let image = signing.sign("key");
    let folder = signing.folder.path();
    let (message, signature) = split(&image).unwrap();
    std::fs::write(signing.path("message"), message).unwrap();
    std::fs::write(signing.path("signature"), signature).unwrap();
    openssl(folder, "pkeyutl -verify -pubin -inkey key.pub -rawin -in message -sigfile signature");
    // It signs the same bytes with our private key, and derives the same public key.
    openssl(folder, "pkeyutl -sign -inkey key -rawin -in message -out theirs");
    assert_eq!(std::fs::read(signing.path("theirs")).unwrap(), signature);
    openssl(folder, "pkey -in key -pubout -out derived.pub");
    assert_eq!(std::fs::read(signing.path("derived.pub")).unwrap(), std::fs::read(signing.path("key.pub")).unwrap());
}

#[needs(program = "openssl")]
#[test]
fn keys_and_signatures_of_openssl_are_accepted() {
    let signing = Signing::new(&tales());
    let folder = signing.folder.path();
    openssl(folder, "genpkey -algorithm ed25519 -out theirs");
    openssl(folder, "pkey -in theirs -pubout -out theirs.pub");
    let ours = signing.sign("theirs");
    let key = signing.public("theirs.pub");
    assert_eq!(verify(&key, &ours), Ok(()));
    std::fs::write(signing.path("message"), split(&ours).unwrap().0).unwrap();
    openssl(folder, "pkeyutl -sign -inkey theirs -rawin -in message -out signature");
    let image = [std::fs::read(signing.path("message")).unwrap(), std::fs::read(signing.path("signature")).unwrap()].concat();
    assert_eq!(verify(&key, &image), Ok(()));
    assert_eq!(image, *ours, "ed25519 has one signature of a message");
}
