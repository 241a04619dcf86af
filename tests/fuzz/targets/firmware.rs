//! Any bytes as the firmware of a board: refused with one sentence, or every byte that it has for flash is found again in the files made of it.
//!
//! Input: a byte that selects the board, the ELF or UF2 file.
#![no_main]

use std::collections::BTreeMap;

use attoformer_protocol::boards::{BOARDS, Boot};
use attoformer_tools::flash::{Plan, Program, Segment, decode_uf2, encode_bin, encode_hex, encode_uf2};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&selected, file)) = data.split_first() else { return };
    let board = &BOARDS[usize::from(selected) % BOARDS.len()];
    match Program::read(board, file) {
        Ok(program) => check(&Plan { board, program: Some(program), image: b"ATTO" }),
        Err(error) => {
            let sentence = attoformer_tools::Error::request(error).to_string();
            assert!(!sentence.contains('\n') && sentence.chars().count() < 2000, "no sentence: {sentence}");
        }
    }
});

/// Bytes by address.
fn memory(segments: &[Segment<'_>]) -> BTreeMap<u32, u8> {
    segments.iter().flat_map(|segment| segment.bytes.iter().enumerate().map(|(at, byte)| (segment.address + at as u32, *byte))).collect()
}

fn check(plan: &Plan<'_>) {
    let (board, segments) = (plan.board, plan.segments());
    let expected = memory(&segments);
    let report = plan.report(None, None, false, false);
    assert!(report.sectors > 0 && u64::from(report.pages > 0) == 1);
    if board.boot == Boot::Espressif {
        return;
    }
    if let Some(family) = board.uf2_family {
        let uf2 = encode_uf2(&segments, board.flash, family);
        let (found, pages) = decode_uf2(&uf2).expect("our own file");
        let found = (found == family).then(|| memory(&pages)).expect("our own family");
        assert!(expected.iter().all(|(address, byte)| found.get(address) == Some(byte)));
    }
    assert!(encode_hex(&segments).ends_with(b":00000001FF\r\n"));
    if let Ok(bin) = encode_bin(&segments) {
        let start = segments[0].address;
        assert!(expected.iter().all(|(address, byte)| bin[(address - start) as usize] == *byte));
    }
}
