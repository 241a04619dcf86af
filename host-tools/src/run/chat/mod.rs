//! Chat: the model's own template renders the conversation into a prompt; the session keeps the KV cache of earlier turns.

pub mod template;

use attoformer::image::section;
use attoformer::{End, Error, Image, Limits, Sampler, Session};

use template::{Message, Renderer, Request, TemplateError};

/// A conversation.
pub struct Chat<'i> {
    image: Image<'i>,
    render: Renderer,
    template: &'i str,
    messages: Vec<Message>,
}

/// A failed turn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// Error of the engine.
    #[error(transparent)]
    Engine(#[from] Error),
    /// Error of the chat template.
    #[error("its chat template {0}")]
    Template(#[from] TemplateError),
    /// The image has no chat template.
    #[error("this model has no chat template; use `atto run` to generate text from a prompt")]
    NoTemplate,
    /// The message spells a special token that only the template may write.
    #[error("the message contains a special token of the model; rephrase it")]
    SpecialToken,
}

impl<'i> Chat<'i> {
    /// Starts a conversation with the image's template, which `render` runs.
    ///
    /// # Errors
    /// [`ChatError::NoTemplate`], [`ChatError::Template`] if the template does not parse.
    pub fn new(image: Image<'i>, system: Option<String>, render: Renderer) -> Result<Self, ChatError> {
        let template = std::str::from_utf8(image.section(section::CHAT)).unwrap_or_default();
        if template.is_empty() {
            return Err(ChatError::NoTemplate);
        }
        template::check(template)?;
        let messages = system.into_iter().map(|content| Message { role: "system".to_owned(), content }).collect();
        Ok(Chat { image, render, template, messages })
    }

    /// Appends a user message and returns the tokens of the conversation up to the start of the model's answer.
    ///
    /// # Errors
    /// [`ChatError`]; the conversation is unchanged then.
    pub fn ask(&mut self, message: &str) -> Result<Vec<u32>, ChatError> {
        let tokenizer = self.image.tokenizer()?;
        let [plain, with_special] = [false, true].map(|special| {
            let mut tokens = vec![0; tokenizer.max_tokens(message.len())];
            let count = if special { tokenizer.encode_parse_special(message, &mut tokens) } else { tokenizer.encode(message, &mut tokens) };
            count.map(|count| tokens[..count].to_vec())
        });
        if plain? != with_special? {
            return Err(ChatError::SpecialToken);
        }
        self.messages.push(Message { role: "user".to_owned(), content: message.to_owned() });
        let prompt = self.prompt();
        if prompt.is_err() {
            self.messages.pop();
        }
        prompt
    }

    fn prompt(&self) -> Result<Vec<u32>, ChatError> {
        let tokenizer = self.image.tokenizer()?;
        let piece =
            |token: u32| tokenizer.piece(token).ok().and_then(|piece| std::str::from_utf8(piece).ok()).unwrap_or_default().to_owned();
        let text = (self.render)(&Request {
            template: self.template.to_owned(),
            messages: self.messages.clone(),
            bos_token: piece(tokenizer.bos()),
            eos_token: piece(tokenizer.eos()),
        })?;
        let mut tokens = vec![0; tokenizer.max_tokens(text.len())];
        let count = tokenizer.encode_parse_special(&text, &mut tokens)?;
        tokens.truncate(count);
        Ok(tokens)
    }

    /// Generates the answer of at most `limit` tokens; passes its text to `on_text` as it becomes available and appends it to the conversation.
    ///
    /// # Errors
    /// Those of the engine; [`Error::ContextFull`] if the conversation exceeds the context.
    pub fn answer(
        &mut self,
        session: &mut Session,
        prompt: &[u32],
        sampler: &mut Sampler,
        limit: usize,
        mut on_text: impl FnMut(&str),
    ) -> Result<(), ChatError> {
        // A prompt that extends the tokens in the KV cache is fed from there on.
        let cached = session.tokens().len();
        let extends = cached > 0 && prompt.len() > cached && prompt.starts_with(session.tokens());
        if !extends {
            session.reset();
        }
        session.prefill(if extends { &prompt[cached..] } else { prompt })?;
        let (mut content, mut last) = (String::new(), None);
        let limit = limit.min(session.remaining());
        let mut generation = session.continue_generation(*sampler, Limits::tokens(limit))?;
        while let Some(piece) = generation.next_piece()? {
            last = piece.token.or(last);
            for part in piece.parts() {
                on_text(part);
                content.push_str(part);
            }
        }
        *sampler = generation.sampler();
        if let Some(last) = last.filter(|_| generation.end() == Some(End::Limit)) {
            // The next turn continues after the whole answer.
            session.step(last)?;
        }
        self.messages.push(Message { role: "assistant".to_owned(), content });
        Ok(())
    }
}
