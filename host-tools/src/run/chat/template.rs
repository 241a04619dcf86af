//! Renders a model's `chat_template`: a Jinja program that comes with the weights and is trusted no more than they are.

use std::io::Write;
use std::process::{Command, Stdio};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, context};
use serde::{Deserialize, Serialize};

/// Steps that a template may execute, in the library's fuel units: one per instruction and one per 64 bytes.
const FUEL: u64 = 1_000_000;

/// Memory limit in bytes of the process of [`render_in_subprocess`]. The library's fuel covers most allocations of a template, but not all: lists
/// concatenated with themselves are free up to 32 parts.
pub const MEMORY: usize = 64 << 20;

/// Characters of a template's error message that are shown.
const MESSAGE_MAX: usize = 200;

/// A message of a conversation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Text of the message.
    pub content: String,
}

/// A template and its input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Source of the template.
    pub template: String,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// Text of the BOS token.
    pub bos_token: String,
    /// Text of the EOS token.
    pub eos_token: String,
}

/// A template that fails. The texts continue "its chat template ...".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The template does not parse.
    #[error("does not parse: {0}")]
    Parse(String),
    /// The template raised an error or ran out of fuel.
    #[error("failed: {0}")]
    Render(String),
    /// The subprocess cannot be started.
    #[error("failed: cannot start its process: {0}")]
    Spawn(String),
    /// The subprocess ended without an answer.
    #[error("failed: it exceeded the memory limit of {} MB", MEMORY >> 20)]
    Memory,
}

/// A function that renders a template: [`render`], or [`render_in_subprocess`] for a template from an untrusted source.
pub type Renderer = fn(&Request) -> Result<String, TemplateError>;

/// Renders the prompt of a conversation, up to the start of the model's answer.
///
/// # Errors
/// [`TemplateError::Parse`], [`TemplateError::Render`].
pub fn render(request: &Request) -> Result<String, TemplateError> {
    let environment = environment(&request.template)?;
    let template = environment.get_template("chat").map_err(|error| TemplateError::Parse(one_line(&error)))?;
    let Request { messages, bos_token, eos_token, .. } = request;
    let values = context! { messages => Serde(messages), add_generation_prompt => true, bos_token, eos_token };
    template.render(values).map_err(|error| TemplateError::Render(one_line(&error)))
}

/// Renders like [`render`] in a subprocess (this program, started with [`RENDER_SUBCOMMAND`]) with bounded memory: running out of memory ends only
/// the subprocess.
///
/// # Errors
/// Those of [`render`], [`TemplateError::Memory`], [`TemplateError::Spawn`].
pub fn render_in_subprocess(request: &Request) -> Result<String, TemplateError> {
    let spawn = |error: std::io::Error| TemplateError::Spawn(error.to_string());
    let mut command = Command::new(std::env::current_exe().map_err(spawn)?);
    command.arg(RENDER_SUBCOMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(spawn)?;
    let request = serde_json::to_vec(request).expect("plain structs serialize");
    // The subprocess reads everything before it writes; a write error means that it has ended, which its exit status reports.
    let _ = child.stdin.take().expect("it is piped").write_all(&request);
    let output = child.wait_with_output().map_err(spawn)?;
    let answer = serde_json::from_slice(&output.stdout).ok().filter(|_| output.status.success());
    answer.unwrap_or(Err(TemplateError::Memory))
}

/// The argument with which this program renders one template: JSON on stdin, JSON on stdout.
pub const RENDER_SUBCOMMAND: &str = "render-template";

/// Checks that a template parses.
///
/// # Errors
/// [`TemplateError::Parse`].
pub fn check(template: &str) -> Result<(), TemplateError> {
    environment(template).map(|_| ())
}

fn environment(template: &str) -> Result<Environment<'_>, TemplateError> {
    let mut environment = Environment::new();
    let blocks = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(blocks.expect("its delimiters are the default ones"));
    environment.set_fuel(Some(FUEL));
    // Templates are written for Python, whose strings and dictionaries have methods.
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<String, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_template("chat", template).map_err(|error| TemplateError::Parse(one_line(&error)))?;
    Ok(environment)
}

/// The error's message on one line of bounded length, whatever the template raised.
fn one_line(error: &minijinja::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<&str>>().join(" ").chars().take(MESSAGE_MAX).collect()
}
