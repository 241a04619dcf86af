//! Encoders agree with `tests/golden/model.py`: embeddings, labels of sequences and of tokens, from tokens, patches and frames.

use attoformer_tests::golden::{Worst, cases, check, encode, list, with_session};

#[test]
fn every_encoder_agrees_with_the_reference() {
    check(&cases("encoders", 25), |image, case| {
        let mut worst = Worst::default();
        with_session(image, |session| list(&case["texts"]).iter().for_each(|text| worst.row(encode(session, text), &text["output"])));
        worst
    });
}
