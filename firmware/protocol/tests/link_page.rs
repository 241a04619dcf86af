//! docs/link.md has the numbers of the code: whoever implements a host from the page sends and reads the right variants.

use std::fmt::Debug;

use attoformer_protocol::link::endpoint::WINDOW;
use attoformer_protocol::link::fault::Fault;
use attoformer_protocol::link::frame::{Frame, Kind, MAX_FRAME, MAX_PAYLOAD};
use attoformer_protocol::link::message::{Counts, Done, End, Hello, Input, InputKind, Reply, Request, Run, SlotInfo, SlotState, Upload};
use serde::Serialize;

/// The rows of a table of the page, from its header on: number and name.
fn table(header: &str) -> Vec<(String, String)> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/link.md")).expect("the page is in the repository");
    let (_, rest) = page.split_once(header).unwrap_or_else(|| panic!("the page has no table {header}"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[2].split(':').next().unwrap_or_default();
        (cells[1].to_owned(), name.to_owned())
    })
    .collect()
}

/// The number that postcard gives to a variant, and its name.
fn row(value: &(impl Serialize + Debug)) -> (String, String) {
    let mut buffer = [0; MAX_PAYLOAD];
    let bytes = postcard::to_slice(value, &mut buffer).expect("it fits a frame");
    let name: String = format!("{value:?}").chars().take_while(|letter| letter.is_alphanumeric()).collect();
    (bytes[0].to_string(), name)
}

const INPUT: Input = Input { kind: InputKind::Text, bytes: 0 };
const RUN: Run = Run { input: INPUT, limit: 0, temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0, seed: 0 };

#[test]
fn requests_have_the_numbers_of_the_page() {
    let upload = Upload { bytes: 0, checksum: 0, version: 0, min_version: None, signature: None };
    let requests = [
        Request::Hello,
        Request::Slot(0),
        Request::Label(0),
        Request::SelfTest,
        Request::Input { at: 0, bytes: &[] },
        Request::Run(RUN),
        Request::Encode(INPUT),
        Request::Attention { input: INPUT, layer: 0, head: 0 },
        Request::Bench,
        Request::Cancel,
        Request::Begin(upload),
        Request::Chunk(&[]),
        Request::Finish,
        Request::Erase(0),
        Request::Provision([0; 32]),
        Request::Logs,
    ];
    assert_eq!(table("| | request |"), requests.each_ref().map(row));
}

#[test]
fn replies_have_the_numbers_of_the_page() {
    let hello = Hello {
        board: "",
        engine: "",
        numerics: 0,
        features: 0,
        arena_bytes: 0,
        slot_bytes: 0,
        ticks_per_second: 0,
        counts: Counts::Cycles,
        running: None,
        has_key: false,
        min_version: 0,
    };
    let slot = SlotInfo {
        state: SlotState::Empty,
        bytes: 0,
        checksum: 0,
        golden: 0,
        arena_bytes: 0,
        version: 0,
        is_signed: false,
        has_fast_layout: false,
        labels: 0,
        sample_rate: 0,
        row_width: 0,
        name: "",
    };
    let replies = [
        Reply::Hello(hello),
        Reply::Slot(slot),
        Reply::Label(""),
        Reply::Piece { token: None, ticks: 0, text: "" },
        Reply::Values(&[]),
        Reply::Attention { position: 0, key: 0, weights: &[] },
        Reply::Operator { name: "", ticks: 0 },
        Reply::Resume { slot: 0, at: 0 },
        Reply::Log(""),
        Reply::Done(Done::default()),
        Reply::Failed(Fault::NoModel),
    ];
    assert_eq!(table("| | reply |"), replies.each_ref().map(row));
}

#[test]
fn faults_have_the_numbers_of_the_page() {
    let faults = [
        Fault::NoModel,
        Fault::Engine(""),
        Fault::NoSlot,
        Fault::TooLarge { bytes: 0, limit: 0 },
        Fault::Arena { need: 0, have: 0 },
        Fault::InputTooLong { need: 0, have: 0 },
        Fault::BadInput,
        Fault::TooOld { version: 0, least: 0 },
        Fault::LeastVersion { version: 0, least: 0 },
        Fault::Unsigned,
        Fault::BadSignature,
        Fault::BadKey,
        Fault::HasKey,
        Fault::NotBuiltIn { feature: "" },
        Fault::SelfTest { expected: 0, found: 0 },
        Fault::Checksum,
        Fault::NoUpload,
        Fault::Incomplete { have: 0, need: 0 },
        Fault::Flash,
        Fault::Unknown,
    ];
    assert_eq!(table("| | fault |"), faults.each_ref().map(row));
}

#[test]
fn small_enumerations_have_the_numbers_of_the_page() {
    let numbers = |rows: &[(String, String)]| rows.iter().map(|(number, _)| number.parse().expect("a number")).collect::<Vec<usize>>();
    assert_eq!(numbers(&[InputKind::Text, InputKind::Tokens, InputKind::Samples, InputKind::Features].each_ref().map(row)), [0, 1, 2, 3]);
    assert_eq!(numbers(&[Counts::Cycles, Counts::Instructions, Counts::Time].each_ref().map(row)), [0, 1, 2]);
    assert_eq!(numbers(&[End::None, End::EndOfText, End::Limit, End::ContextFull, End::Cancelled].each_ref().map(row)), [0, 1, 2, 3, 4]);
    let states =
        [SlotState::Empty, SlotState::Ready, SlotState::Running, SlotState::Uploading { done: 0, bytes: 0 }, SlotState::Bad(Fault::Flash)];
    assert_eq!(numbers(&states.each_ref().map(row)), [0, 1, 2, 3, 4]);
}

#[test]
fn frames_are_those_of_the_page() {
    let kinds = [Kind::Connect, Kind::Accept, Kind::Refuse, Kind::Data, Kind::Ack, Kind::Nak, Kind::Ping, Kind::Close];
    assert_eq!(table("| kind | name |"), kinds.map(|kind| ((kind as u8).to_string(), format!("{kind:?}"))));
    assert_eq!((MAX_PAYLOAD, MAX_FRAME, WINDOW), (240, 250, 4));
    let mut line = Vec::new();
    Frame { kind: Kind::Ping, session: 0x1234, number: 7, payload: &[] }.encode(&mut |bytes| line.extend_from_slice(bytes));
    assert_eq!(line, [0x09, 0x06, 0x34, 0x12, 0x07, 0xfc, 0x28, 0xdd, 0xc1, 0x00]);
}
