//! Labelled examples from a folder or a list.

use std::path::{Path, PathBuf};

use attoformer::image::InputStem;

use crate::engine::OpenImage;
use crate::error::Error;
use crate::files;

/// Examples that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExamplesError {
    /// The folder has no input with a label of the model.
    #[error("no input has a label of the model: {labels}")]
    NoInputs {
        /// Labels of the model.
        labels: String,
    },
    /// The list has no lines.
    #[error("the list has no inputs")]
    Empty,
    /// A line is not UTF-8.
    #[error("line {line}: the text is not UTF-8")]
    NotUtf8 {
        /// Line from 1.
        line: u64,
    },
    /// A line does not have two fields.
    #[error("line {line}: it has {count} fields; expected an input and its label, separated by {separator}")]
    Fields {
        /// Line from 1.
        line: u64,
        /// Its fields.
        count: usize,
        /// A comma or a tab.
        separator: &'static str,
    },
    /// A label that the model does not have.
    #[error("line {line}: the model has no label {label:?}; it has {labels}")]
    Label {
        /// Line from 1.
        line: u64,
        /// The label.
        label: String,
        /// Labels of the model.
        labels: String,
    },
}
use crate::run::classify::labels;

/// An input to classify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file of audio, a picture or rows of features.
    File(PathBuf),
    /// A text, and its line and file for errors.
    Text(String, String),
}

/// An input and its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The input.
    pub input: Input,
    /// Index of its label.
    pub label: usize,
}

/// Labelled examples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examples {
    /// Examples whose label the model has.
    pub list: Vec<Example>,
    /// Inputs of a folder whose label the model does not have.
    pub skipped: usize,
}

/// The labels of a model and the kind of its input.
struct ModelLabels {
    labels: Vec<String>,
    texts: bool,
}

impl ModelLabels {
    fn of(open: OpenImage<'_>) -> Result<Self, Error> {
        let labels = labels(open.image).map_err(Error::engine(open.path))?;
        Ok(ModelLabels { labels, texts: open.image.config().input_stem == InputStem::Tokens })
    }

    /// Index of a label by its name.
    fn label(&self, name: &str) -> Option<usize> {
        self.labels.iter().position(|label| label == name)
    }

    /// Adds a file: one input, or one per line for a text model.
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
            None => examples.skipped += inputs.len(),
        }
        Ok(())
    }
}

impl Examples {
    /// Reads a folder. The label of a file in a subfolder is the subfolder's name; the label of a file in the folder itself is its own name up to the
    /// first `_`, such as `yes_01.wav`. Inputs whose label the model does not have are counted and skipped.
    ///
    /// # Errors
    /// `ExamplesError::NoInputs`, or an error of the operating system.
    pub fn of_folder(folder: &Path, open: OpenImage<'_>) -> Result<Self, Error> {
        let known = ModelLabels::of(open)?;
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
            return Err(Error::file(folder)(ExamplesError::NoInputs { labels: abbreviated(&known.labels) }));
        }
        Ok(examples)
    }

    /// Reads a list. Each line has a file (relative to the list's folder) or a text, and its label, separated by a comma, or by a tab in a `.tsv`.
    /// Fields may be quoted; a first line whose label is `label` is a header.
    ///
    /// # Errors
    /// `ExamplesError` with the list.
    pub fn of_list(path: &Path, open: OpenImage<'_>) -> Result<Self, Error> {
        let known = ModelLabels::of(open)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let bytes = files::map(path)?;
        let tabs = path.extension().is_some_and(|extension| extension == "tsv");
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader.has_headers(false).flexible(true).delimiter(if tabs { b'\t' } else { b',' }).from_reader(&bytes[..]);
        let mut examples = Examples::default();
        for (number, record) in reader.records().enumerate() {
            let refuse = |error: ExamplesError| Error::file(path)(error);
            let record = record.map_err(|error| refuse(ExamplesError::NotUtf8 { line: line_of(&bytes, error.position()) }))?;
            let line = line_of(&bytes, record.position());
            let (Some(input), Some(label), 2) = (record.get(0), record.get(1), record.len()) else {
                let separator = if tabs { "a tab" } else { "a comma" };
                return Err(refuse(ExamplesError::Fields { line, count: record.len(), separator }));
            };
            let label = label.trim();
            if number == 0 && label == "label" {
                continue;
            }
            let unknown = || refuse(ExamplesError::Label { line, label: label.to_owned(), labels: abbreviated(&known.labels) });
            let label = known.label(label).ok_or_else(unknown)?;
            let text = || Input::Text(input.to_owned(), format!("line {line} of {}", path.display()));
            let input = if known.texts { text() } else { Input::File(folder.join(input)) };
            examples.list.push(Example { input, label });
        }
        if examples.list.is_empty() { Err(Error::file(path)(ExamplesError::Empty)) } else { Ok(examples) }
    }
}

/// The line on which a record begins; the position of the reader is before the empty lines that it skips.
fn line_of(bytes: &[u8], position: Option<&csv::Position>) -> u64 {
    let Some(position) = position else { return 0 };
    let rest = bytes.get(position.byte() as usize..).unwrap_or_default();
    let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|&&byte| byte == b'\n').count();
    position.line() + skipped as u64
}

/// Whether the extension of a file is that of an input.
fn is_input(path: &Path, texts: bool) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let inputs: &[&str] = if texts { &["txt"] } else { &["wav", "png", "jpg", "jpeg", "npy"] };
    inputs.contains(&&*extension)
}

/// The entries of a folder sorted by name, without hidden files.
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
fn abbreviated(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    names.iter().take(SHOWN).cloned().collect::<Vec<String>>().join(", ") + &more
}
