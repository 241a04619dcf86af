//! Decoders agree with `tests/golden/model.py`: every norm placement, position scheme, mask and kind of attention, at every position.

use attoformer_tests::golden::{Worst, cases, check, list, tokens, whole, with_session};
use serde_json::Value;

/// Feeds a case's tokens and compares the logits of the recorded positions.
fn difference(image: &[u8], case: &Value) -> Worst {
    let tokens = tokens(&case["tokens"]);
    let kept: Vec<usize> = match list(&case["kept"]) {
        [] => (0..tokens.len()).collect(),
        kept => kept.iter().map(|position| whole(position) as usize).collect(),
    };
    let prefix = case["shape"]["prefix"].as_u64().unwrap_or(0) as usize;
    let (mut worst, mut compared) = (Worst::default(), 0);
    let mut see = |position: usize, logits: &[f32]| {
        if let Some(index) = kept.iter().position(|&kept| kept == position) {
            worst.logits(position, logits, &case["some_logits"][index], &case["lengths"][index]);
            compared += 1;
        }
    };
    with_session(image, |session| {
        if prefix > 0 {
            see(prefix - 1, session.prefill_prefix(&tokens[..prefix]).unwrap());
        }
        session.prefill_each(&tokens[prefix..], &mut see).unwrap();
    });
    assert_eq!(compared, kept.len());
    worst
}

#[test]
fn every_decoder_agrees_with_the_reference() {
    check(&cases("decoders", 36), difference);
}
