//! Generates stories: `cargo run --example tell -- [SEED] [COUNT]`.

fn main() {
    let mut numbers = std::env::args().skip(1).map_while(|arg| arg.parse::<u64>().ok());
    let seed = numbers.next().unwrap_or(0);
    let count = numbers.next().unwrap_or(3);
    for story in attoformer_stories::corpus(seed, count as usize) {
        println!("{story}\n");
    }
}
