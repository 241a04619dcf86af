//! `cargo xtask quality`: what each weight format costs in quality, as the table of docs/benchmarks.md.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xtask::process::{capture, cargo, root};

#[derive(clap::Args)]
pub struct Arguments {
    /// Models to measure [default: all that are found]
    #[arg(value_parser = MODELS.map(|model| model.name))]
    models: Vec<String>,
    /// Use this `atto` instead of building it
    #[arg(long, value_name = "FILE")]
    atto: Option<PathBuf>,
}

/// A model and its measurement.
struct Model {
    name: &'static str,
    /// Its place in the repository's surroundings, or the environment variable that names it.
    place: Place,
    /// The subcommand of `atto eval` and the option that names its data.
    eval: [&'static str; 2],
    /// The data, relative to the repository's root.
    data: &'static str,
    /// Part of a text that is measured.
    part: Part,
    /// The two figures of the table.
    figures: [(&'static str, &'static str); 2],
}

enum Place {
    File(&'static str),
    /// `cargo xtask models` prints these variables.
    Variable(&'static str),
}

enum Part {
    Whole,
    Bytes(usize),
    Documents(usize),
}

const DIVERGENCE: [(&str, &str); 2] = [("mean KL divergence", "kl_mean"), ("same top token", "top1_agreement")];

const MODELS: [Model; 6] = [
    Model {
        name: "stories260K",
        place: Place::File("../shared/models/stories260K/stories260K.bin"),
        eval: ["perplexity", "--text"],
        data: "../shared/data/tinystories_dev.txt",
        part: Part::Documents(100),
        figures: DIVERGENCE,
    },
    Model {
        name: "SmolLM2-135M",
        place: Place::Variable("ATTOFORMER_SMOLLM2"),
        eval: ["perplexity", "--text"],
        data: "../shared/data/wikitext2_dev.txt",
        part: Part::Bytes(17_000),
        figures: DIVERGENCE,
    },
    Model {
        name: "MiniLM-L6",
        place: Place::Variable("ATTOFORMER_MINILM"),
        eval: ["sts", "--pairs"],
        data: "../shared/data/sts-dev.csv",
        part: Part::Whole,
        figures: [("mean cosine", "cosine_mean"), ("least cosine", "cosine_min")],
    },
    Model {
        name: "Flan-T5-small",
        place: Place::Variable("ATTOFORMER_FLAN_T5"),
        eval: ["perplexity", "--pairs"],
        data: "tests/peers/flan_t5_pairs.tsv",
        part: Part::Whole,
        figures: DIVERGENCE,
    },
    Model {
        name: "Whisper-tiny.en",
        place: Place::Variable("ATTOFORMER_WHISPER"),
        eval: ["transcripts", "--data"],
        data: "../shared/data/speech",
        part: Part::Whole,
        figures: [("mean KL divergence", "kl_mean"), ("word error rate", "word_error_rate")],
    },
    Model {
        name: "KWT-1",
        place: Place::File("../shared/models/kwt1"),
        eval: ["accuracy", "--inputs"],
        data: "../shared/data/kws",
        part: Part::Whole,
        figures: [("accuracy", "accuracy"), ("same label as f32", "agreement")],
    },
];

/// Options of `atto pack`.
const FORMATS: [(&str, &[&str]); 4] = [
    ("f16", &["--weights", "f16"]),
    ("int8", &[]),
    ("int8, 12-bit activations", &["--activations", "12"]),
    ("int4", &["--weights", "int4"]),
];

/// Measures the models that are found and prints a Markdown table of each.
pub fn run(arguments: &Arguments) -> Result<()> {
    let atto = match &arguments.atto {
        Some(atto) => atto.clone(),
        None => build()?,
    };
    let folder = root().join("target/quality");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for model in MODELS.iter().filter(|model| arguments.models.is_empty() || arguments.models.iter().any(|name| name == model.name)) {
        let Some(source) = model.source() else {
            eprintln!("quality: skipped {}: its files were not found; `cargo xtask models` downloads public models", model.name);
            continue;
        };
        model.measure(&atto, &source, &folder)?;
    }
    Ok(())
}

fn build() -> Result<PathBuf> {
    xtask::process::run(cargo().args(["build", "--quiet", "--release", "-p", "attoformer-tools", "--bin", "atto"]))?;
    Ok(root().join("target/release/atto"))
}

impl Model {
    /// The model's file or folder, if the model and its data exist.
    fn source(&self) -> Option<PathBuf> {
        let source = match self.place {
            Place::File(path) => root().join(path),
            Place::Variable(name) => std::env::var_os(name)?.into(),
        };
        (source.exists() && root().join(self.data).exists()).then_some(source)
    }

    /// Packs the model in every format, measures each image and prints the table.
    fn measure(&self, atto: &Path, source: &Path, folder: &Path) -> Result<()> {
        let data = self.data(folder)?;
        let [(first, first_field), (second, second_field)] = self.figures;
        println!("\n{}, `atto eval {} X.atto {} {} --against SOURCE`:\n", self.name, self.eval[0], self.eval[1], self.part_name());
        println!("| weights | image bytes | {first} | {second} |\n|---|---|---|---|");
        for (name, options) in FORMATS {
            let image = folder.join(format!("{}.atto", self.name));
            let packed = json(Command::new(atto).arg("pack").arg(source).arg("-o").arg(&image).args(options).arg("--json"))?;
            let [command, option] = self.eval;
            let evaluated = json(
                Command::new(atto).arg("eval").arg(command).arg(&image).arg(option).arg(&data).arg("--against").arg(source).arg("--json"),
            )?;
            let figure = |field: &str| match evaluated[field].as_f64() {
                Some(figure) => format!("{figure:.5}"),
                None => "unknown".to_owned(),
            };
            println!("| {name} | {} | {} | {} |", packed["image_bytes"], figure(first_field), figure(second_field));
        }
        Ok(())
    }

    /// The measured part of the data, as a file.
    fn data(&self, folder: &Path) -> Result<PathBuf> {
        let data = root().join(self.data);
        let read = || std::fs::read_to_string(&data).with_context(|| format!("cannot read {}", data.display()));
        let part = match self.part {
            Part::Whole => return Ok(data),
            Part::Bytes(count) => String::from_utf8_lossy(&read()?.as_bytes()[..count]).into_owned(),
            Part::Documents(count) => read()?.split("<|endoftext|>").take(count).collect::<Vec<_>>().join("<|endoftext|>"),
        };
        let path = folder.join(format!("{}.txt", self.name));
        std::fs::write(&path, part).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn part_name(&self) -> String {
        let name = Path::new(self.data).file_name().unwrap_or_default().to_string_lossy();
        match self.part {
            Part::Whole => name.into_owned(),
            Part::Bytes(count) => format!("(first {count} bytes of {name})"),
            Part::Documents(count) => format!("(first {count} documents of {name})"),
        }
    }
}

/// Runs a command that prints one JSON object.
fn json(command: &mut Command) -> Result<Value> {
    let out = capture(command)?;
    match serde_json::from_str(&out) {
        Ok(value) => Ok(value),
        Err(error) => bail!("{} did not print a JSON object: {error}", xtask::process::spelled(command)),
    }
}
