//! A conversation with a model: its own template, token by token.

use attoformer::image::section;
use attoformer::tokenizer::Decoder;
use attoformer::{Error, Image, Sampler, Session};
use serde::{Deserialize, Serialize};

use template::{Renderer, Request};

pub mod template;

/// One message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// A conversation so far.
pub struct Chat<'i> {
    image: Image<'i>,
    render: Renderer,
    template: &'i str,
    messages: Vec<Message>,
}

/// Why a turn was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The engine's word.
    #[error(transparent)]
    Engine(#[from] Error),
    /// The template cannot be run.
    #[error("its chat template {0}")]
    Template(String),
    /// The image has no template.
    #[error("it has no chat template: `atto run` writes on from a prompt")]
    NoTemplate,
    /// What was typed spells a token that only the template may write.
    #[error("the line spells a control token of the model: say it in other words")]
    Control,
}

impl<'i> Chat<'i> {
    /// A conversation with the image's template, which `render` runs.
    ///
    /// # Errors
    /// [`ChatError::NoTemplate`] for an image without a template, [`ChatError::Template`] for one that cannot be read.
    pub fn new(image: Image<'i>, system: Option<String>, render: Renderer) -> Result<Self, ChatError> {
        let template = std::str::from_utf8(image.section(section::CHAT)).unwrap_or_default();
        if template.is_empty() {
            return Err(ChatError::NoTemplate);
        }
        template::check(template).map_err(ChatError::Template)?;
        let messages = system.into_iter().map(|content| Message { role: "system".to_owned(), content }).collect();
        Ok(Chat { image, render, template, messages })
    }

    /// The tokens of the conversation up to the model's next word, `said` the last message.
    ///
    /// # Errors
    /// See [`ChatError`]; then nothing was added to the conversation.
    pub fn ask(&mut self, said: &str) -> Result<Vec<u32>, ChatError> {
        let tokenizer = self.image.tokenizer()?;
        let [typed, spelled] = [false, true].map(|control| {
            let mut tokens = vec![0; tokenizer.max_tokens(said.len())];
            let count = if control { tokenizer.encode_parse_special(said, &mut tokens) } else { tokenizer.encode(said, &mut tokens) };
            count.map(|count| tokens[..count].to_vec())
        });
        if typed? != spelled? {
            return Err(ChatError::Control);
        }
        self.messages.push(Message { role: "user".to_owned(), content: said.to_owned() });
        let prompt = self.prompt();
        if prompt.is_err() {
            self.messages.pop();
        }
        prompt
    }

    fn prompt(&self) -> Result<Vec<u32>, ChatError> {
        let tokenizer = self.image.tokenizer()?;
        let spelled =
            |token: u32| tokenizer.piece(token).ok().and_then(|piece| std::str::from_utf8(piece).ok()).unwrap_or_default().to_owned();
        let text = (self.render)(&Request {
            template: self.template.to_owned(),
            messages: self.messages.clone(),
            bos_token: spelled(tokenizer.bos()),
            eos_token: spelled(tokenizer.eos()),
        });
        let text = text.map_err(ChatError::Template)?;
        let mut tokens = vec![0; tokenizer.max_tokens(text.len())];
        let count = tokenizer.encode_parse_special(&text, &mut tokens)?;
        tokens.truncate(count);
        Ok(tokens)
    }

    /// Lets the model answer in at most `limit` tokens: `show` is given the text as it comes, the answer joins the conversation.
    ///
    /// # Errors
    /// What the engine says; [`Error::ContextFull`] when the conversation does not fit the context.
    pub fn answer(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        sampler: &mut Sampler,
        limit: usize,
        mut show: impl FnMut(&str),
    ) -> Result<(), ChatError> {
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
        for _ in 0..limit {
            let token = session.sample(sampler);
            if token == session.config().eos || session.room() == 0 {
                break;
            }
            say(decoder.push(&tokenizer, token)?);
            session.step(token)?;
        }
        say(decoder.finish());
        self.messages.push(Message { role: "assistant".to_owned(), content });
        Ok(())
    }
}
