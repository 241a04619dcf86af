//! `attoformer-replay IMAGE GENERATE CHUNK TOKENS...` prints one hash per line for each list of tokens, with this CPU's best kernels.
//! `attoformer-replay --features SECTION` prints the hash of the features of a generated clip.

use attoformer::kernels;
use attoformer_replay::{Job, Source, features_hash, replay};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [option, section] = &arguments[..]
        && option == "--features"
    {
        println!("{:08x}", features_hash(&std::fs::read(section)?)?);
        return Ok(());
    }
    let [image, generate, chunk, prompts @ ..] = &arguments[..] else {
        return Err("usage: attoformer-replay IMAGE GENERATE CHUNK TOKENS...".into());
    };
    let image = std::fs::read(image)?;
    let (generate, chunk) = (generate.parse()?, chunk.parse()?);
    for prompt in prompts {
        let tokens = prompt.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>()?;
        let hash = replay(&image, kernels::best(), Job { source: Source::Nothing, prompt: &tokens, generate, chunk })?;
        println!("{hash:08x}");
    }
    Ok(())
}
