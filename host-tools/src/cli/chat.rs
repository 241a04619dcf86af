//! `atto chat`.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};
use std::path::PathBuf;

use attoformer::{Image, Sampler};
use attoformer_tools::engine::{Setup, select_kernels, thread_pool};
use attoformer_tools::run::chat::template::{self, render_in_subprocess};
use attoformer_tools::run::chat::{Chat, ChatError};
use attoformer_tools::{Error, files};

/// Talk with a model: a line is a message, its answer comes as it is written
#[derive(clap::Args)]
pub struct Args {
    /// The image; it holds the model's chat template
    file: PathBuf,
    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    system: Option<String>,
    /// Tokens that an answer has at most [default: what fits the context]
    #[arg(short, value_name = "N")]
    number: Option<usize>,
    /// 0 takes the likeliest token; higher is bolder
    #[arg(long, default_value_t = 0.0, value_name = "T", allow_hyphen_values = true, value_parser = super::sampling::temperature)]
    temperature: f32,
    /// The random numbers follow from it
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    /// Threads; no result depends on them
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=super::THREADS_MAX))]
    threads: u32,
    /// The loops to run, such as scalar or avx2 [default: the fastest of this CPU]
    #[arg(long, value_name = "NAME")]
    kernels: Option<String>,
}

/// The lines of stdin.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    /// Bytes before the line.
    before: usize,
}

impl Lines {
    /// The next one; `None` behind the last.
    fn next(&mut self) -> Result<Option<&str>, Error> {
        self.before += self.line.len();
        self.line.clear();
        let read = stdin().lock().read_until(b'\n', &mut self.line);
        if read.map_err(|error| Error::request(format!("stdin: the line cannot be read: {error}")))? == 0 {
            return Ok(None);
        }
        let text = std::str::from_utf8(&self.line);
        text.map(Some).map_err(|error| Error::request(format!("stdin: it is not UTF-8 from byte {} on", self.before + error.valid_up_to())))
    }
}

/// Reads lines and streams answers, until the input ends.
pub fn run(args: Args) -> Result<(), Error> {
    let refuse = |error| Error::engine(&args.file)(error);
    let bytes = files::map(&args.file)?;
    let image = Image::new(&bytes).map_err(refuse)?;
    let refused = |refusal: ChatError| Error::file(&args.file)(refusal.to_string());
    let mut chat = Chat::new(image, args.system.clone(), render_in_subprocess).map_err(refused)?;
    let setup = Setup { kernels: select_kernels(args.kernels.as_deref())?, parallel: thread_pool(args.threads)?, ..Setup::default() };
    let mut arena = setup.arena(image.config(), &args.file)?;
    let mut session = setup.session(&image, &mut arena).map_err(refuse)?;
    let mut sampler = Sampler::new(args.seed).with_temperature(args.temperature).map_err(refuse)?;
    let asks = stdin().is_terminal();
    let mut lines = Lines::default();
    loop {
        if asks {
            eprint!("> ");
            let _ = stderr().flush();
        }
        let Some(line) = lines.next()? else { return Ok(()) };
        let said = line.trim();
        if said.is_empty() {
            continue;
        }
        let prompt = match chat.ask(said) {
            Ok(prompt) => prompt,
            Err(ChatError::Control) => {
                eprintln!("note: {}", ChatError::Control);
                continue;
            }
            Err(refusal) => return Err(refused(refusal)),
        };
        let mut shown = Ok(());
        chat.answer(&mut session, &prompt, &mut sampler, args.number.unwrap_or(usize::MAX), |text| {
            if shown.is_ok() {
                shown = super::print(text);
            }
        })
        .map_err(refused)?;
        shown?;
        super::print("\n")?;
        if session.room() == 0 {
            eprintln!("note: the conversation fills the context of {} tokens", session.config().context);
        }
    }
}

/// Runs the template of the request on stdin, for [`render_in_subprocess`], with as much memory as it may have.
pub fn render_template(limit: impl FnOnce(usize)) -> Result<(), Error> {
    limit(template::MEMORY);
    let request = serde_json::from_reader(stdin().lock()).map_err(|error| Error::request(format!("stdin: it is no request: {error}")))?;
    super::print_json(&template::render(&request))
}
