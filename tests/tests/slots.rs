//! Model slots on NOR flash: whatever happens, a whole model runs, and only one that may.

use attoformer::Image;
use attoformer::image::{checksum, section};
use attoformer_protocol::link::fault::Fault;
use attoformer_protocol::link::message::Upload;
use attoformer_slots::{Refusal, Slots};
use attoformer_tests::board::{ARENA, MAP, image, nor::Nor, self_test};
use attoformer_tests::random_model::Numbers;
use attoformer_tools::files::AlignedBytes;
use attoformer_tools::pack::seal;
use attoformer_tools::sign;

fn announce(image: &[u8], min_version: Option<u32>) -> Upload {
    let parsed = Image::new(image).expect("a whole image");
    let signature = parsed.section(section::SIGNATURE).first_chunk().copied();
    Upload { bytes: image.len() as u32, checksum: checksum(&[image]), version: parsed.model_version(), min_version, signature }
}

fn open(flash: &mut Nor) -> Slots<&mut Nor> {
    let mut slots = Slots::open(flash, MAP, ARENA as u32, None);
    slots.boot(&mut |image| self_test(image));
    slots
}

/// Uploads an image; returns the bytes that were there.
fn upload(slots: &mut Slots<&mut Nor>, image: &[u8], min_version: Option<u32>) -> Result<u32, Refusal> {
    let (_, at) = slots.begin(&announce(image, min_version))?;
    image[at as usize..].chunks(100).try_for_each(|chunk| slots.write(chunk))?;
    slots.finish(&mut |image| self_test(image))?;
    Ok(at)
}

fn running(slots: &Slots<&mut Nor>) -> Option<u32> {
    slots.model().ok().map(|image| checksum(&[image.bytes()]))
}

#[test]
fn after_any_of_1000_power_cuts_a_whole_model_runs_and_the_upload_ends() {
    let (old, new) = (image(1, 0), image(2, 0));
    let (old_sum, new_sum) = (checksum(&[&old]), checksum(&[&new]));
    let mut whole = Nor::with_image(&old);
    upload(&mut open(&mut whole), &new, None).expect("an upload without a cut");
    let operations = whole.used;

    let mut random = Numbers(7);
    let (mut old_ran, mut resumed) = (0, 0);
    for cut in 0..1000 {
        let mut flash = Nor::with_image(&old);
        // The first start notes the image; every fifth cut is near the switch.
        open(&mut flash);
        let left = operations - flash.used;
        let near_the_end = if cut % 5 == 0 { left - random.below(1000) as u64 } else { random.below(left as usize) as u64 };
        flash.power = Some(near_the_end);
        flash.random = Numbers(cut + 1);
        let cut_short = upload(&mut open(&mut flash), &new, None);
        flash.power = None;

        let mut slots = open(&mut flash);
        let found = running(&slots).unwrap_or_else(|| panic!("cut {cut} after {near_the_end} bytes: no model runs"));
        assert!(found == old_sum || found == new_sum, "cut {cut}: another model runs");
        assert!(cut_short.is_err() || found == new_sum, "cut {cut}: a finished upload runs");
        old_ran += u32::from(found == old_sum);
        if found == old_sum {
            resumed += u32::from(upload(&mut slots, &new, None).unwrap_or_else(|error| panic!("cut {cut}: {error:?}")) > 0);
        }
        assert_eq!(running(&slots), Some(new_sum), "cut {cut}: the upload ends in the new model");
        // It still does after the next start.
        assert_eq!(running(&open(&mut flash)), Some(new_sum), "cut {cut}");
    }
    assert!(old_ran > 500 && resumed > 300, "the cuts hit the upload: {old_ran} found the old model, {resumed} went on");
}

#[test]
fn an_image_that_a_flash_tool_wrote_runs_from_the_next_start_on() {
    let (old, new, newer) = (image(1, 0), image(2, 0), image(3, 0));
    let mut flash = Nor::with_image(&old);
    upload(&mut open(&mut flash), &new, None).expect("it fits");
    let slot = MAP.slots[0] as usize;
    flash.memory[slot..slot + newer.len()].copy_from_slice(&newer);
    assert_eq!(running(&open(&mut flash)), Some(checksum(&[&newer])));
    assert_eq!(running(&open(&mut flash)), Some(checksum(&[&newer])), "and stays");
}

#[test]
fn a_model_that_fails_its_self_test_is_discarded() {
    let (old, new) = (image(1, 0), image(2, 0));
    let mut flash = Nor::with_image(&old);
    let mut slots = open(&mut flash);
    let (slot, _) = slots.begin(&announce(&new, None)).expect("it fits");
    slots.write(&new).expect("all of it");
    let failed = slots.finish(&mut |_| Err(attoformer::Error::SelfTest { expected: 1, found: 2 }));
    assert_eq!(failed, Err(Refusal::Fault(Fault::SelfTest { expected: 1, found: 2 })));
    assert_eq!(running(&slots), Some(checksum(&[&old])));
    assert!(slots.image(slot).is_err(), "it is gone");
    assert_eq!(running(&open(&mut flash)), Some(checksum(&[&old])));
}

#[test]
fn the_least_version_only_rises() {
    let versions = [image(1, 3), image(2, 5), image(3, 4), image(4, 6)];
    let mut flash = Nor::with_image(&versions[0]);
    let mut slots = open(&mut flash);
    assert_eq!(upload(&mut slots, &versions[1], Some(6)), Err(Refusal::Fault(Fault::LeastVersion { version: 5, least: 6 })));
    upload(&mut slots, &versions[1], Some(5)).expect("a model may set its own version");
    assert_eq!(upload(&mut slots, &versions[2], None), Err(Refusal::Fault(Fault::TooOld { version: 4, least: 5 })));
    upload(&mut slots, &versions[3], Some(2)).expect("a lower number changes nothing");
    assert_eq!(slots.state().min_version, 5);
    // The model before is too old to run, wherever it came from.
    slots.erase(slots.running().expect("a model runs")).expect("the flash works");
    upload(&mut slots, &versions[1], None).expect("version 5 is accepted");
    let slot = MAP.slots[usize::from(1 - slots.running().expect("a model runs"))] as usize;
    flash.memory[slot..slot + versions[2].len()].copy_from_slice(&versions[2]);
    assert_eq!(running(&open(&mut flash)), Some(checksum(&[&versions[1]])));
}

#[test]
fn an_announcement_that_is_not_kept_changes_nothing() {
    let (old, new) = (image(1, 0), image(2, 0));
    let mut flash = Nor::with_image(&old);
    let mut slots = open(&mut flash);
    let too_large = Upload { bytes: MAP.slot_bytes + 1, ..announce(&new, None) };
    assert_eq!(slots.begin(&too_large), Err(Refusal::Fault(Fault::TooLarge { bytes: MAP.slot_bytes + 1, limit: MAP.slot_bytes })));
    assert_eq!(slots.write(&new), Err(Refusal::Fault(Fault::NoUpload)));
    slots.begin(&announce(&new, None)).expect("it fits");
    slots.write(&new[..5000]).expect("a part");
    let incomplete = Fault::Incomplete { have: 5000, need: new.len() as u32 };
    assert_eq!(slots.finish(&mut |image| self_test(image)), Err(Refusal::Fault(incomplete)));
    assert_eq!(slots.begin(&announce(&new, None)), Ok((1, 4096)), "it goes on at the last whole sector");
    slots.write(&old[4096..]).expect("as many bytes, but others");
    let rest = slots.write(&new[old.len()..]);
    let other = rest.and_then(|()| slots.finish(&mut |image| self_test(image)));
    assert!(matches!(other, Err(Refusal::Fault(Fault::Checksum | Fault::NoUpload | Fault::Incomplete { .. }))), "{other:?}");
    assert_eq!(running(&slots), Some(checksum(&[&old])));
}

#[test]
fn garbage_in_journal_and_slots_never_stops_the_board() {
    let (old, new) = (image(1, 0), image(2, 0));
    for seed in 1..200 {
        let mut random = Numbers(seed);
        let mut flash = Nor::with_image(&old);
        let journal = 2 * MAP.journal_sector as usize;
        flash.memory[..journal].iter_mut().for_each(|byte| *byte = random.word() as u8);
        if seed % 2 == 0 {
            for _ in 0..1 + random.below(20) {
                let at = MAP.slots[0] as usize + random.below(old.len());
                flash.memory[at] ^= 1 << random.below(8);
            }
        }
        let mut slots = open(&mut flash);
        assert_eq!(running(&slots), (seed % 2 == 1).then(|| checksum(&[&old])), "seed {seed}");
        upload(&mut slots, &new, None).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        assert_eq!(running(&open(&mut flash)), Some(checksum(&[&new])), "seed {seed}");
    }
}

/// Opens the slots of a board whose program contains a key.
fn open_with_key(flash: &mut Nor, key: [u8; 32]) -> Slots<&mut Nor> {
    let mut slots = Slots::open(flash, MAP, ARENA as u32, Some(key));
    slots.boot(&mut |image| self_test(image));
    slots
}

#[test]
fn of_1000_tampered_signed_images_none_runs_neither_uploaded_nor_flashed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (key, file) = (folder.path().join("key"), folder.path().join("model.atto"));
    sign::write_pair(&key).expect("a key");
    let signed = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("space for the file");
        sign::sign(&file, &sign::read_private(&key).expect("the key")).expect("it signs");
        AlignedBytes::copy_of(&std::fs::read(&file).expect("the file"))
    };
    let public = sign::read_public(&sign::public_path(&key)).expect("the key").to_bytes();
    let (old, new) = (signed(&image(1, 0)), signed(&image(2, 0)));
    let old_sum = checksum(&[&old]);
    let mut random = Numbers(5);
    let (mut refused_uploads, mut refused_starts) = (0, 0);
    for number in 0..1000 {
        let mut tampered = new.to_vec();
        for _ in 0..1 + random.below(3) {
            tampered[random.below(new.len())] ^= 1 << random.below(8);
        }
        if number % 2 == 0 {
            // An attacker repairs the checksums.
            seal(&mut tampered);
        }
        let mut flash = Nor::with_image(&old);
        let mut slots = open_with_key(&mut flash, public);
        assert_eq!(running(&slots), Some(old_sum));
        let signature = tampered.last_chunk().copied();
        let announced = Upload { bytes: tampered.len() as u32, checksum: checksum(&[&tampered]), version: 0, min_version: None, signature };
        let uploaded =
            slots.begin(&announced).and_then(|_| slots.write(&tampered)).and_then(|()| slots.finish(&mut |image| self_test(image)));
        refused_uploads += u32::from(uploaded.is_err());
        assert_eq!(running(&slots), Some(old_sum), "copy {number}: {uploaded:?}");
        let slot = MAP.slots[1] as usize;
        flash.memory[slot..slot + tampered.len()].copy_from_slice(&tampered);
        refused_starts += u32::from(running(&open_with_key(&mut flash, public)) == Some(old_sum));
    }
    assert_eq!((refused_uploads, refused_starts), (1000, 1000));

    let mut flash = Nor::with_image(&old);
    upload(&mut open_with_key(&mut flash, public), &new, None).expect("an untouched image is accepted");
    assert_eq!(running(&open_with_key(&mut flash, public)), Some(checksum(&[&new])));
    let unsigned = image(3, 0);
    let refused = upload(&mut open_with_key(&mut flash, public), &unsigned, None);
    assert_eq!(refused, Err(Refusal::Fault(Fault::Unsigned)));
    let mut flash = Nor::with_image(&unsigned);
    assert_eq!(running(&open_with_key(&mut flash, public)), None, "an unsigned image does not run with a key");
    assert_eq!(running(&open(&mut flash)), Some(checksum(&[&unsigned])), "and runs without one");
}

#[test]
fn a_provisioned_key_is_kept_and_never_replaced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let publics = ["a", "b"].map(|name| {
        let key = folder.path().join(name);
        sign::write_pair(&key).expect("a key");
        sign::read_public(&sign::public_path(&key)).expect("the key").to_bytes()
    });
    let mut flash = Nor::with_image(&image(1, 0));
    let mut slots = open(&mut flash);
    assert_eq!(slots.provision([0xff; 32]), Err(Refusal::Fault(Fault::BadKey)));
    slots.provision(publics[0]).expect("the first key");
    slots.provision(publics[0]).expect("the same key again");
    assert_eq!(slots.provision(publics[1]), Err(Refusal::Fault(Fault::HasKey)));
    assert_eq!(running(&open(&mut flash)), None, "the model is not signed");
    assert_eq!(open(&mut flash).key(), Some(publics[0]));
}
