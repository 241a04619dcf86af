//! Inputs and the labels that they were given: a folder, or a list.

use std::path::{Path, PathBuf};

use attoformer::image::InputStem;

use crate::engine::OpenImage;
use crate::error::Error;
use crate::files;
use crate::run::classify::labels;

/// Something to classify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A sound, a picture, or rows of features.
    File(PathBuf),
    /// A text, and its place for errors.
    Text(String, String),
}

/// An input and its label's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What is classified.
    pub input: Input,
    /// What it was said to be.
    pub label: usize,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examples {
    /// Those whose label the model has.
    pub list: Vec<Example>,
    /// Inputs of a folder without one.
    pub left_out: usize,
}

/// What a model calls its labels, and what it reads.
struct ModelLabels {
    labels: Vec<String>,
    texts: bool,
}

impl ModelLabels {
    fn of(subject: OpenImage<'_>) -> Result<Self, Error> {
        let labels = labels(subject.image).map_err(Error::engine(subject.path))?;
        Ok(ModelLabels { labels, texts: subject.image.config().input_stem == InputStem::Tokens })
    }

    /// A label by its name.
    fn label(&self, name: &str) -> Option<usize> {
        self.labels.iter().position(|label| label == name)
    }

    /// Adds a file: one input, or for a model of texts one in each line.
    fn add(&self, path: &Path, label: Option<usize>, examples: &mut Examples) -> Result<(), Error> {
        let inputs = if self.texts {
            let text = files::text(path)?;
            let place = |number: usize| format!("line {} of {}", number + 1, path.display());
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            lines.map(|(number, line)| Input::Text(line.to_owned(), place(number))).collect()
        } else {
            vec![Input::File(path.to_owned())]
        };
        match label {
            Some(label) => examples.list.extend(inputs.into_iter().map(|input| Example { input, label })),
            None => examples.left_out += inputs.len(),
        }
        Ok(())
    }
}

impl Examples {
    /// Inputs of a folder: what lies in a folder of it has that one's name as its label, a file in the folder itself has its own up to the first `_`, such as
    /// `yes_01.wav`. Inputs whose label the model does not have are counted and left out.
    ///
    /// # Errors
    /// One sentence that names the folder: it cannot be read, or holds nothing for the model.
    pub fn of_folder(folder: &Path, subject: OpenImage<'_>) -> Result<Self, Error> {
        let known = ModelLabels::of(subject)?;
        let mut examples = Examples::default();
        for path in sorted(folder)? {
            if path.is_dir() {
                let label = known.label(&name(&path));
                for file in sorted(&path)?.into_iter().filter(|path| is_input(path, known.texts)) {
                    known.add(&file, label, &mut examples)?;
                }
            } else if is_input(&path, known.texts) {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let label = known.label(stem.split('_').next().unwrap_or_default());
                known.add(&path, label, &mut examples)?;
            }
        }
        if examples.list.is_empty() {
            let what = format!("it holds no input with a label of the model: {}", some(&known.labels));
            return Err(Error::file(folder)(what));
        }
        Ok(examples)
    }

    /// Inputs of a list: lines of a file (from the list's folder) or a text, then its label, parted by a comma, or by a tab in a `.tsv`. Quotes may be
    /// around a field; a first line whose label is `label` is a heading.
    ///
    /// # Errors
    /// One sentence that names the list and the line.
    pub fn of_list(path: &Path, subject: OpenImage<'_>) -> Result<Self, Error> {
        let known = ModelLabels::of(subject)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let bytes = files::map(path)?;
        let tabs = path.extension().is_some_and(|ending| ending == "tsv");
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader.has_headers(false).flexible(true).delimiter(if tabs { b'\t' } else { b',' }).from_reader(&bytes[..]);
        let mut examples = Examples::default();
        for (number, record) in reader.records().enumerate() {
            let wrong = |line: u64, what: String| Error::file(path)(format!("line {line}: {what}"));
            let record = record.map_err(|error| wrong(line_of(&bytes, error.position()), "it is not UTF-8".to_owned()))?;
            let line = line_of(&bytes, record.position());
            let (Some(input), Some(label), 2) = (record.get(0), record.get(1), record.len()) else {
                let parted = if tabs { "a tab" } else { "a comma" };
                return Err(wrong(line, format!("it has {} fields, not an input and its label with {parted} between them", record.len())));
            };
            let label = label.trim();
            if number == 0 && label == "label" {
                continue;
            }
            let unknown = || wrong(line, format!("the model has no label {label:?}, only {}", some(&known.labels)));
            let label = known.label(label).ok_or_else(unknown)?;
            let text = || Input::Text(input.to_owned(), format!("line {line} of {}", path.display()));
            let input = if known.texts { text() } else { Input::File(folder.join(input)) };
            examples.list.push(Example { input, label });
        }
        if examples.list.is_empty() { Err(Error::file(path)("it holds no inputs".to_owned())) } else { Ok(examples) }
    }
}

/// The line that a record begins on; the reader's place is before the empty lines that it skips.
fn line_of(bytes: &[u8], place: Option<&csv::Position>) -> u64 {
    let Some(place) = place else { return 0 };
    let rest = bytes.get(place.byte() as usize..).unwrap_or_default();
    let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|&&byte| byte == b'\n').count();
    place.line() + skipped as u64
}

/// Whether a file beside others is an input, and not a note about them.
fn is_input(path: &Path, texts: bool) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let inputs: &[&str] = if texts { &["txt"] } else { &["wav", "png", "jpg", "jpeg", "npy"] };
    inputs.contains(&&*ending)
}

/// What lies in a folder by name, but for hidden files.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(Error::io(folder))?;
    paths.retain(|path| !name(path).starts_with('.'));
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The first names of a list that may be long.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    names.iter().take(SHOWN).cloned().collect::<Vec<String>>().join(", ") + &more
}
