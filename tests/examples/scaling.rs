//! Measures the growth of time and memory with the length for each kind of attention, and draws `docs/scaling.svg`:
//! `cargo run --release -p attoformer-tests --example scaling`.

use std::path::Path;

use attoformer::Image;
use attoformer_tests::random_model::{long_image, long_models};
use attoformer_tools::Error;
use attoformer_tools::bench::plot;
use attoformer_tools::bench::scaling::{Curve, LENGTHS, measure, table};
use attoformer_tools::engine::Setup;
use xtask::process::root;

fn main() -> Result<(), Error> {
    let mut curves: Vec<Curve> = Vec::new();
    for (name, model) in long_models() {
        let bytes = long_image(&model);
        let path = Path::new(name);
        let image = Image::new(&bytes).map_err(Error::engine(path))?;
        curves.push(measure(name, path, &image, Setup::default(), &LENGTHS)?);
    }
    print!("{}", table(&curves));
    plot::write(&root().join("docs/scaling.svg"), &curves)
}
