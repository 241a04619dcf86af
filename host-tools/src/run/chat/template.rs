//! A model's chat template: a program in Jinja that comes with the weights, and is trusted no more than they are.

use std::io::Write;
use std::process::{Command, Stdio};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};

use super::Message;

/// What a template may spend, in the library's units: a step is one, as are 64 bytes. None that ends needs as much.
const FUEL: u64 = 1_000_000;

/// Bytes that the process of [`render_in_subprocess`] may have: what the fuel pays for, too. The library counts most of what a template allocates, but not all: lists joined
/// to themselves are free until they have 32 parts.
pub const MEMORY: usize = 64 << 20;

/// Characters of what a template says that are shown.
const SAID_MAX: usize = 200;

/// A template and what it is told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The template itself.
    pub template: String,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// How the token that begins a text is written.
    pub bos_token: String,
    /// How the token that ends one is written.
    pub eos_token: String,
}

/// How a template is run: [`render`], or [`render_in_subprocess`] where nobody knows who wrote it.
pub type Renderer = fn(&Request) -> Result<String, String>;

/// The text that the template makes, up to the model's next word.
///
/// # Errors
/// One sentence's end: the template cannot be read, raised an error or spent what it may.
pub fn render(request: &Request) -> Result<String, String> {
    let environment = environment(&request.template)?;
    let template = environment.get_template("chat").map_err(|error| said("is not there", &error))?;
    let Request { messages, bos_token, eos_token, .. } = request;
    let values = context! { messages => Serde(messages), add_generation_prompt => true, bos_token, eos_token };
    template.render(values).map_err(|error| said("cannot be run", &error))
}

/// As [`render`], in a process of its own (this program's, called with [`RENDER_SUBCOMMAND`]) whose memory is bounded: one that runs out of it ends
/// at once, and takes nothing else with it.
///
/// # Errors
/// As [`render`]; the process ended early or cannot be started.
pub fn render_in_subprocess(request: &Request) -> Result<String, String> {
    let apart = |error: std::io::Error| format!("cannot be run in a process of its own: {error}");
    let mut command = Command::new(std::env::current_exe().map_err(apart)?);
    command.arg(RENDER_SUBCOMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(apart)?;
    let request = serde_json::to_vec(request).expect("plain structs serialize");
    // It reads all before it writes, and one that ended has no reader.
    let _ = child.stdin.take().expect("it is piped").write_all(&request);
    let output = child.wait_with_output().map_err(apart)?;
    let answer = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success());
    answer.unwrap_or_else(|| Err(format!("cannot be run: it ended its process; it may have {} MB of memory", MEMORY >> 20)))
}

/// The argument with which this program answers one request: JSON on stdin, JSON on stdout.
pub const RENDER_SUBCOMMAND: &str = "render-template";

/// Whether the template can be read at all.
///
/// # Errors
/// See [`render`].
pub fn check(template: &str) -> Result<(), String> {
    environment(template).map(|_| ())
}

fn environment(template: &str) -> Result<Environment<'_>, String> {
    let mut environment = Environment::new();
    let blocks = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(blocks.expect("its delimiters are the usual ones"));
    environment.set_fuel(Some(FUEL));
    // Templates are written for Python, whose texts and tables have methods.
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |what: String| -> Result<String, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, what))
    });
    environment.add_template("chat", template).map_err(|error| said("cannot be read", &error))?;
    Ok(environment)
}

/// One line, whatever the template raised.
fn said(what: &str, error: &minijinja::Error) -> String {
    let said = error.to_string();
    let said: String = said.split_whitespace().collect::<Vec<&str>>().join(" ").chars().take(SAID_MAX).collect();
    format!("{what}: {said}")
}
