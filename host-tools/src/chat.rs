//! A conversation with a model: its own template, token by token.

use attoformer::image::section;
use attoformer::tokenizer::Decoder;
use attoformer::{Error, Image, Sampler, Session};
use minijinja::{Environment, ErrorKind, context};
use serde::Serialize;

/// Steps that a template may take: none that ends needs as many, one that loops is stopped.
/// They are not bytes: a template that multiplies a text takes few of them, and as much memory as it likes.
const FUEL: u64 = 1_000_000;

/// One message.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// What was said.
    pub content: String,
}

/// A conversation so far.
pub struct Chat<'i> {
    image: Image<'i>,
    environment: Environment<'i>,
    messages: Vec<Message>,
}

/// Why a turn was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The engine's word.
    #[error(transparent)]
    Engine(#[from] Error),
    /// The image has no template, or one that cannot be run.
    #[error("{0}")]
    Template(String),
    /// What was typed spells a token that only the template may write.
    #[error("the line spells a control token of the model: say it in other words")]
    Control,
}

/// Characters of what a template says that are shown.
const SAID_MAX: usize = 200;

impl Refusal {
    /// One line, whatever the template raised.
    fn template(what: &str, error: &minijinja::Error) -> Self {
        let said = error.to_string();
        let said: String = said.split_whitespace().collect::<Vec<&str>>().join(" ").chars().take(SAID_MAX).collect();
        Refusal::Template(format!("its chat template {what}: {said}"))
    }
}

impl<'i> Chat<'i> {
    /// A conversation with the image's template.
    ///
    /// # Errors
    /// [`Refusal::Template`] for an image without a template, or with one that is none.
    pub fn new(image: Image<'i>, system: Option<String>) -> Result<Self, Refusal> {
        let template = std::str::from_utf8(image.section(section::CHAT)).unwrap_or_default();
        if template.is_empty() {
            return Err(Refusal::Template("it has no chat template: `atto run` writes on from a prompt".to_owned()));
        }
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL));
        // Templates are written for Python, whose texts and tables have methods.
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |what: String| -> Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, what))
        });
        environment.add_template("chat", template).map_err(|error| Refusal::template("cannot be read", &error))?;
        let messages = system.into_iter().map(|content| Message { role: "system", content }).collect();
        Ok(Chat { image, environment, messages })
    }

    /// The tokens of the conversation up to the model's next word, `said` the last message.
    ///
    /// # Errors
    /// See [`Refusal`]; then nothing was added to the conversation.
    pub fn ask(&mut self, said: &str) -> Result<Vec<u32>, Refusal> {
        let tokenizer = self.image.tokenizer()?;
        let [typed, spelled] = [false, true].map(|control| {
            let mut tokens = vec![0; tokenizer.room(said.len())];
            let count = if control { tokenizer.encode_with_control(said, &mut tokens) } else { tokenizer.encode(said, &mut tokens) };
            count.map(|count| tokens[..count].to_vec())
        });
        if typed? != spelled? {
            return Err(Refusal::Control);
        }
        self.messages.push(Message { role: "user", content: said.to_owned() });
        let prompt = self.prompt();
        if prompt.is_err() {
            self.messages.pop();
        }
        prompt
    }

    fn prompt(&self) -> Result<Vec<u32>, Refusal> {
        let tokenizer = self.image.tokenizer()?;
        let spelled = |token: u32| tokenizer.piece(token).ok().and_then(|piece| std::str::from_utf8(piece).ok()).unwrap_or_default();
        let (bos_token, eos_token) = (spelled(tokenizer.begin()), spelled(tokenizer.end()));
        let template = self.environment.get_template("chat").map_err(|error| Refusal::template("is not there", &error))?;
        let values = context! { messages => self.messages, add_generation_prompt => true, bos_token, eos_token };
        let text = template.render(values).map_err(|error| Refusal::template("cannot be run", &error))?;
        let mut tokens = vec![0; tokenizer.room(text.len())];
        let count = tokenizer.encode_with_control(&text, &mut tokens)?;
        tokens.truncate(count);
        Ok(tokens)
    }

    /// Lets the model answer: `show` is given the text as it comes, the answer joins the conversation.
    ///
    /// # Errors
    /// What the engine says; [`Error::ContextFull`] when the conversation does not fit the context.
    pub fn answer(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        sampler: &mut Sampler,
        mut show: impl FnMut(&str),
    ) -> Result<(), Refusal> {
        // What the session has seen already need not be fed again.
        let seen = session.tokens().len();
        let goes_on = seen > 0 && prompt.len() > seen && prompt.starts_with(session.tokens());
        if !goes_on {
            session.reset();
        }
        session.prefill(if goes_on { &prompt[seen..] } else { prompt })?;
        let tokenizer = self.image.tokenizer()?;
        let mut decoder = Decoder::mid_text();
        let mut content = String::new();
        let mut say = |text: &str| {
            show(text);
            content.push_str(text);
        };
        loop {
            let token = session.sample(sampler);
            if token == session.config().end || session.room() == 0 {
                break;
            }
            say(decoder.push(&tokenizer, token)?);
            session.step(token)?;
        }
        say(decoder.finish());
        self.messages.push(Message { role: "assistant", content });
        Ok(())
    }
}
