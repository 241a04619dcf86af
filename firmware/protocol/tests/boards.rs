//! The table of boards contradicts neither itself nor a flash.

use std::collections::BTreeSet;

use attoformer_protocol::boards::{self, BOARDS, Board, Flasher, Region};

/// Bytes to which images are aligned, so that a slot's address suits any part of one.
const IMAGE_ALIGN: u32 = 64;

/// Every region of flash that a board uses. The program of an emulated machine may be in a memory of its own.
fn regions(board: &Board) -> Vec<Region> {
    let models = board.models;
    let is_apart = |region: &Region| board.flasher == Flasher::Emulator && !board.flash.region().overlaps(*region);
    board.program_regions().filter(|region| !is_apart(region)).chain([models.journal_region()]).chain(models.slot_regions()).collect()
}

#[test]
fn names_of_boards_are_unique_and_found() {
    let names: BTreeSet<&str> = BOARDS.iter().map(|board| board.name).collect();
    assert_eq!(names.len(), BOARDS.len());
    for board in BOARDS {
        assert_eq!(boards::find(board.name).map(|found| found.title), Some(board.title));
        assert!(board.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'), "{}", board.name);
    }
    assert!(boards::find("").is_none());
}

#[test]
fn regions_of_flash_are_inside_it_and_apart() {
    for board in BOARDS {
        let (flash, regions) = (board.flash.region(), regions(board));
        for (index, region) in regions.iter().enumerate() {
            assert!(region.bytes > 0 && flash.contains(region.start, region.bytes), "{}: {region:x?} is not in {flash:x?}", board.name);
            for other in &regions[index + 1..] {
                assert!(!region.overlaps(*other), "{}: {region:x?} and {other:x?} overlap", board.name);
            }
        }
    }
}

/// Erasing one region must not touch another.
#[test]
fn regions_of_flash_are_whole_sectors() {
    for board in BOARDS {
        for region in regions(board) {
            let first = board.flash.sector(region.start).unwrap();
            let last = board.flash.sector(region.end() - 1).unwrap();
            assert_eq!((first.start, last.end()), (region.start, region.end()), "{}: {region:x?}", board.name);
        }
    }
}

#[test]
fn stated_sectors_of_slots_and_journal_are_those_of_the_flash() {
    for board in BOARDS {
        let models = board.models;
        for slot in models.slot_regions() {
            assert_eq!(slot.start % IMAGE_ALIGN, 0, "{}", board.name);
            for at in (slot.start..slot.end()).step_by(models.sector as usize) {
                assert_eq!(board.flash.sector(at), Some(Region::new(at, models.sector)), "{}", board.name);
            }
        }
        for at in [models.journal, models.journal + models.journal_sector] {
            assert_eq!(board.flash.sector(at), Some(Region::new(at, models.journal_sector)), "{}", board.name);
        }
    }
}

#[test]
fn arenas_fit_the_memory() {
    for board in BOARDS {
        assert!(board.arena.bytes <= board.ram_bytes && board.arena.start % IMAGE_ALIGN == 0, "{}", board.name);
        assert!(!board.arena.overlaps(board.flash.region()), "{}", board.name);
    }
}

/// Sector addresses of RM0090, table 5 (STM32F405 and F407, 1 MB).
#[test]
fn sectors_of_an_stm32f405_are_those_of_the_manual() {
    let flash = boards::STM32F405.flash;
    let sectors =
        [0x0800_0000, 0x0800_4000, 0x0800_8000, 0x0800_c000, 0x0801_0000, 0x0802_0000, 0x0804_0000, 0x0806_0000, 0x0808_0000, 0x080a_0000];
    for pair in sectors.windows(2) {
        assert_eq!(flash.sector(pair[0]), Some(Region::new(pair[0], pair[1] - pair[0])));
        assert_eq!(flash.sector(pair[1] - 1), Some(Region::new(pair[0], pair[1] - pair[0])));
    }
    assert_eq!(flash.region().end(), 0x0810_0000);
    assert_eq!((flash.sector(0x0810_0000), flash.sector(0x07ff_ffff)), (None, None));
}
