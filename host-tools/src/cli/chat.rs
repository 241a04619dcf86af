//! `atto chat`.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};
use std::path::{Path, PathBuf};

use attoformer::Image;
use attoformer_tools::files::FileError;
use attoformer_tools::run::chat::template::{self, render_in_subprocess};
use attoformer_tools::run::chat::{Chat, ChatError};
use attoformer_tools::{Error, files};

use super::args::{EngineArgs, SamplingArgs};
use super::output::{print, print_json};

/// Chat with a model: each line of stdin is a message, the answer is streamed
#[derive(clap::Args)]
pub struct Args {
    /// Image of a model with a chat template
    file: PathBuf,
    /// System message
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    system: Option<String>,
    /// Tokens per answer at most [default: until the context is full]
    #[arg(short, value_name = "N")]
    number: Option<usize>,
    #[command(flatten)]
    sampling: SamplingArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Reader of the lines of stdin.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    /// Offset of the line in the input.
    offset: usize,
}

impl Lines {
    /// Reads the next line; `None` at the end of the input.
    fn next(&mut self) -> Result<Option<&str>, Error> {
        let stdin_path = Path::new("stdin");
        self.offset += self.line.len();
        self.line.clear();
        let read = stdin().lock().read_until(b'\n', &mut self.line);
        if read.map_err(Error::io(stdin_path))? == 0 {
            return Ok(None);
        }
        let invalid = |error: std::str::Utf8Error| FileError::NotUtf8 { offset: self.offset + error.valid_up_to() };
        std::str::from_utf8(&self.line).map(Some).map_err(|error| Error::file(stdin_path)(invalid(error)))
    }
}

/// Reads messages and streams answers until the input ends.
pub fn run(args: Args) -> Result<(), Error> {
    let refuse = |error| Error::engine(&args.file)(error);
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(refuse)?;
    let failed = |error: ChatError| Error::file(&args.file)(error);
    let mut chat = Chat::new(image, args.system.clone(), render_in_subprocess).map_err(failed)?;
    let setup = args.engine.setup()?;
    let mut arena = setup.arena(image.config(), &args.file)?;
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let mut sampler = args.sampling.sampler().map_err(refuse)?;
    let interactive = stdin().is_terminal();
    let mut lines = Lines::default();
    loop {
        if interactive {
            eprint!("> ");
            let _ = stderr().flush();
        }
        let Some(line) = lines.next()? else { return Ok(()) };
        let message = line.trim();
        if message.is_empty() {
            continue;
        }
        let prompt = match chat.ask(message) {
            Ok(prompt) => prompt,
            Err(error @ ChatError::SpecialToken) => {
                eprintln!("note: {error}");
                continue;
            }
            Err(error) => return Err(failed(error)),
        };
        let mut printed = Ok(());
        chat.answer(&mut session, &prompt, &mut sampler, args.number.unwrap_or(usize::MAX), |text| {
            if printed.is_ok() {
                printed = print(text);
            }
        })
        .map_err(failed)?;
        printed?;
        print("\n")?;
        if session.remaining() == 0 {
            eprintln!("note: the conversation fills the context of {} tokens", session.config().context);
        }
    }
}

/// Renders the template of the request on stdin for [`render_in_subprocess`], after bounding the memory of this process.
pub fn render_template(limit: impl FnOnce(usize)) -> Result<(), Error> {
    limit(template::MEMORY);
    let request = serde_json::from_reader(stdin().lock()).map_err(Error::file(Path::new("stdin")))?;
    print_json(&template::render(&request))
}
