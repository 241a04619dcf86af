//! The link, from the host's client to the board's server, on a simulated line in virtual time.

use attoformer::Image;
use attoformer::image::checksum;
use attoformer_protocol::link::frame::{Frame, Kind};
use attoformer_protocol::link::message::{FEATURES, Request};
use attoformer_tests::board::{image, line::Simulated, nor::Nor};
use attoformer_tests::random_model::Numbers;
use attoformer_tools::device::requests::{InputData, Sampling};
use attoformer_tools::device::transport::Transport;
use attoformer_tools::device::{Client, DeviceError, upload::upload};

const GREEDY: Sampling = Sampling { limit: 3, temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0, seed: 0 };

/// A board with the first model.
fn board(faults: usize, seed: u32) -> Simulated {
    Simulated::start(Box::leak(Box::new(Nor::with_image(&image(1, 0)))), faults, seed, None)
}

fn connect(line: Simulated, session: u16) -> Client<Simulated> {
    Client::connect(line, "simulated", session).unwrap_or_else(|error| panic!("session {session}: {error}"))
}

#[test]
fn a_hundred_uploads_end_right_on_a_line_with_one_percent_of_faulty_bytes() {
    let images = [image(1, 0), image(2, 0)];
    let line = board(10, 3);
    for number in 1..=100_u16 {
        let bytes = &images[usize::from(number % 2)];
        let new = Image::new(bytes).expect("a whole image");
        let mut client = connect(line.another_host(), number);
        upload(&mut client, &new, None, |_| {}).unwrap_or_else(|error| panic!("upload {number}: {error}"));
        let running = client.hello().expect("the board answers").running.expect("a model runs");
        assert_eq!(client.slot(running).expect("the board answers").checksum, checksum(&[bytes]), "upload {number}");
    }
}

#[test]
fn a_line_three_times_as_bad_still_carries_uploads() {
    let images = [image(1, 0), image(2, 0)];
    let line = board(30, 5);
    for number in 1..=4_u16 {
        let mut client = connect(line.another_host(), number);
        let new = Image::new(&images[usize::from(number % 2)]).expect("a whole image");
        upload(&mut client, &new, None, |_| {}).unwrap_or_else(|error| panic!("upload {number}: {error}"));
        let done = client.command(&Request::SelfTest).expect("the board answers");
        assert_eq!(done.output_hash, new.golden().hash, "upload {number}");
    }
}

#[test]
fn an_upload_goes_on_where_a_host_died() {
    let bytes = image(2, 0);
    let new = Image::new(&bytes).expect("a whole image");
    let line = board(0, 1);
    let mut first = connect(line.another_host(), 1);
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = upload(&mut first, &new, None, |sent| assert!(sent < 20_000, "the host dies here"));
    }));
    assert!(died.is_err());
    // It does not even say goodbye.
    std::mem::forget(first);
    let mut second = connect(line, 2);
    let done = upload(&mut second, &new, None, |_| {}).expect("the upload ends");
    assert!(done.resumed_at >= 12_288, "resumed at {}", done.resumed_at);
}

#[test]
fn a_second_host_is_refused_while_the_first_is_there_and_served_after_it() {
    let line = board(0, 1);
    let mut first = connect(line.another_host(), 1);
    first.hello().expect("the board answers");
    // The first host lives: its pings arrive between those of the second.
    let ping = Frame { kind: Kind::Ping, session: 1, number: 0, payload: &[] };
    let mut living = Living { line: line.another_host(), ping: encode(&ping), waited: 0 };
    match Client::connect(&mut living, "simulated", 2) {
        Err(DeviceError::Busy { .. }) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("two hosts at once"),
    }
    first.hello().expect("the first session goes on");
    drop(first);
    connect(line, 3).hello().expect("the board is free");
}

/// A line on which another host pings.
struct Living {
    line: Simulated,
    ping: Vec<u8>,
    waited: u32,
}

impl Transport for &mut Living {
    fn read(&mut self, bytes: &mut [u8], wait: std::time::Duration) -> std::io::Result<usize> {
        self.waited += 1;
        if self.waited.is_multiple_of(20) {
            self.line.write(&self.ping.clone())?;
        }
        self.line.read(bytes, wait)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.line.write(bytes)
    }

    fn millis(&mut self) -> u32 {
        self.line.millis()
    }
}

fn encode(frame: &Frame<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    frame.encode(&mut |bytes| line.extend_from_slice(bytes));
    line
}

#[test]
fn after_10000_garbage_frames_the_board_still_answers() {
    let mut line = board(0, 1);
    let mut random = Numbers(11);
    for _ in 0..10_000 {
        let length = random.below(300);
        let mut bytes: Vec<u8> = (0..length).map(|_| random.word() as u8).collect();
        match random.below(3) {
            // Frames of a known kind with any payload, which open sessions and fill them with nonsense.
            0 => {
                let kinds = [Kind::Connect, Kind::Accept, Kind::Refuse, Kind::Data, Kind::Ack, Kind::Nak, Kind::Ping];
                let (kind, session, number) = (kinds[random.below(7)], random.below(3) as u16, random.below(4) as u8);
                let payload = if kind == Kind::Connect { &[1][..] } else { &bytes[..length.min(240)] };
                bytes = encode(&Frame { kind, session, number, payload });
            }
            1 => bytes.push(0),
            _ => {}
        }
        line.noise(&bytes);
    }
    let mut client = connect(line, 77);
    assert_eq!(client.hello().expect("the board answers").running, Some(0));
    client.command(&Request::SelfTest).expect("the model is whole");
}

#[test]
fn bad_requests_are_named_and_change_nothing() {
    let mut client = connect(board(0, 1), 1);
    let sentence = |result: Result<_, DeviceError>| match result {
        Err(DeviceError::Refused { sentence, .. }) => sentence,
        other => panic!("{:?}", other.map(|_: ()| ())),
    };
    let run = |client: &mut Client<Simulated>, tokens: &[u32]| client.generate(InputData::Tokens(tokens), &GREEDY, |_| true).map(|_| ());
    assert!(sentence(run(&mut client, &[1; 500])).contains("context"));
    assert!(sentence(run(&mut client, &[1_000_000])).contains("vocabulary"));
    assert!(sentence(run(&mut client, &[])).contains("prompt"));
    assert!(sentence(client.encode(InputData::Tokens(&[1])).map(|_| ())).contains("token input"));
    assert!(sentence(client.slot(2).map(|_| ())).contains("slots are 0 and 1"));
    assert!(sentence(client.attention(InputData::Tokens(&[1]), 9, 0).map(|_| ())).contains("layer"));
    assert!(sentence(client.generate(InputData::Text(&"a".repeat(120_000)), &GREEDY, |_| true).map(|_| ())).contains("bytes"));
    assert!(sentence(client.command(&Request::Provision([7; 32])).map(|_| ())).contains("key"));
    assert!(sentence(client.command(&Request::Finish).map(|_| ())).contains("upload"));
    client.command(&Request::SelfTest).expect("the model runs on");
}

#[test]
fn names_of_features_are_those_of_the_engine() {
    let names: Vec<&str> = attoformer::Feature::ALL.iter().map(|feature| feature.name()).collect();
    assert_eq!(names, FEATURES);
}
