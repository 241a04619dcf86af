//! Samples texts from a trained model: `cargo run --release --example write -- DIR [COUNT] [TEMPERATURE]`.

use std::path::Path;

use attoformer_train::{Model, TrainError, Vocabulary, grammar_shares};

fn main() -> Result<(), TrainError> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "models/tales".to_owned());
    let count = args.next().and_then(|count| count.parse().ok()).unwrap_or(3);
    let temperature = args.next().and_then(|t| t.parse().ok()).unwrap_or(0.7);
    let model = Model::load(&Path::new(&dir).join("model.bin"))?;
    let vocabulary = Vocabulary::load(&Path::new(&dir).join("tokenizer.bin"))?;
    let seeds: Vec<u64> = (0..count).collect();
    let texts = model.sample(&vocabulary, temperature, &seeds, model.shape().context)?;
    for text in &texts {
        println!("{text}\n");
    }
    let (sentences, stories) = grammar_shares(&texts);
    println!("{:.1} % of the sentences are in the grammar, {:.1} % of the texts are whole stories", 100.0 * sentences, 100.0 * stories);
    Ok(())
}
