//! Encoder-decoders agree with `tests/golden/model.py`: the encoder's rows, and the decoder's logits at every target position.

use attoformer_tests::golden::{Worst, cases, check, encode, list, tokens, with_session};
use serde_json::Value;

/// Encodes every source and feeds its target, in one session.
fn difference(image: &[u8], case: &Value) -> Worst {
    let mut worst = Worst::default();
    with_session(image, |session| {
        let d_model = session.config().d_model as usize;
        for pair in list(&case["pairs"]) {
            let rows: Vec<&[f32]> = encode(session, pair).chunks(d_model).collect();
            let lengths = list(&pair["row_lengths"]);
            assert_eq!(rows.len(), lengths.len());
            rows.iter().zip(lengths).for_each(|(row, length)| worst.length(row, length));
            worst.row(rows[rows.len() - 1], &pair["last_row"]);

            let (target, mut compared) = (tokens(&pair["target"]), 0);
            let see = |position: usize, logits: &[f32]| {
                worst.logits(position, logits, &pair["some_logits"][position], &pair["lengths"][position]);
                compared += 1;
            };
            session.prefill_each(&target, see).unwrap();
            assert_eq!(compared, target.len());
        }
    });
    worst
}

#[test]
fn every_encoder_decoder_agrees_with_the_reference() {
    check(&cases("seq2seq", 20), difference);
}
