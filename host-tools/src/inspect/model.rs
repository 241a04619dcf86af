//! The inspected model and its repeated runs.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use attoformer::image::{Architecture, AttentionKind, Config, InputStem};
use attoformer::{Image, Probe, Session};

use super::error::InspectError;
use crate::engine::Setup;
use crate::error::Error;
use crate::report::progress::Progress;

/// A model to inspect.
#[derive(Clone, Copy, Debug)]
pub struct InspectedModel<'i> {
    /// The model.
    pub image: Image<'i>,
    /// Its file, for errors.
    pub path: &'i Path,
    /// Setup of the sessions; the context holds the longest input.
    pub setup: Setup,
    /// Sessions that run in parallel; never changes a result.
    pub threads: usize,
}

impl<'i> InspectedModel<'i> {
    /// Configuration of the model.
    pub fn config(&self) -> &Config {
        self.image.config()
    }

    /// Adds the file to an error of the engine.
    pub fn refuse(&self) -> impl FnOnce(attoformer::Error) -> Error + use<'i> {
        Error::engine(self.path)
    }

    /// Adds the file to a request that the model does not support.
    pub fn unsupported(&self, error: InspectError) -> Error {
        Error::file(self.path)(error)
    }

    /// Refuses models that do not read tokens.
    ///
    /// # Errors
    /// [`InspectError::NotTokens`].
    pub fn check(&self) -> Result<(), Error> {
        if self.config().input_stem != InputStem::Tokens {
            return Err(self.unsupported(InspectError::NotTokens));
        }
        Ok(())
    }

    /// Refuses models that are not decoders.
    ///
    /// # Errors
    /// [`InspectError::Encoder`], [`InspectError::EncoderDecoder`].
    pub fn check_decoder(&self, view: &'static str) -> Result<(), Error> {
        match self.config().architecture {
            Architecture::Decoder => Ok(()),
            Architecture::Encoder => Err(self.unsupported(InspectError::Encoder { view })),
            _ => Err(self.unsupported(InspectError::EncoderDecoder { view })),
        }
    }

    /// Refuses models without attention weights.
    ///
    /// # Errors
    /// [`InspectError::LinearAttention`].
    pub fn check_softmax(&self) -> Result<(), Error> {
        if self.config().attention == AttentionKind::Linear {
            return Err(self.unsupported(InspectError::LinearAttention));
        }
        Ok(())
    }

    /// Runs `work` in a session of its own.
    ///
    /// # Errors
    /// Those of `work` with the file; [`Error::Memory`].
    pub fn session<T>(&self, work: impl FnOnce(&mut Session) -> Result<T, attoformer::Error>) -> Result<T, Error> {
        let mut arena = self.setup.arena(self.config(), self.path)?;
        let session = self.setup.session(&self.image, &mut arena);
        session.and_then(|mut session| work(&mut session)).map_err(self.refuse())
    }

    /// Runs `work` for each index in `0..count` on all threads, each with a session of its own; the results are in order.
    ///
    /// # Errors
    /// The first error of `work` with the file.
    pub fn sweep<T: Send>(
        &self,
        count: usize,
        progress: &Progress,
        work: impl Fn(&mut Session, usize) -> Result<T, attoformer::Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let next = AtomicUsize::new(0);
        let run = |sender: &mpsc::Sender<(usize, T)>| {
            self.session(|session| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    // The receiver is gone only after an error.
                    if index >= count || sender.send((index, work(session, index)?)).is_err() {
                        return Ok(());
                    }
                }
            })
        };
        let (run, mut results) = (&run, (0..count).map(|_| None).collect::<Vec<Option<T>>>());
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let workers: Vec<_> = (0..self.threads.clamp(1, count.max(1)))
                .map(|_| {
                    let sender = sender.clone();
                    scope.spawn(move || run(&sender))
                })
                .collect();
            drop(sender);
            for (index, result) in receiver {
                results[index] = Some(result);
                progress.advance(1);
            }
            workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
        })?;
        Ok(results.into_iter().flatten().collect())
    }
}

/// Runs a prompt with a probe in a session that is reset first.
///
/// # Errors
/// Those of the engine.
pub fn feed<'s>(session: &'s mut Session, tokens: &[u32], probe: &mut impl Probe) -> Result<&'s [f32], attoformer::Error> {
    session.reset();
    match session.config().architecture {
        Architecture::Decoder => session.prefill_probed(tokens, probe),
        _ => session.encode_probed(tokens, probe),
    }
}

/// Layers that a prompt passes with a probe: those of an encoder-decoder's encoder, or of the only stack.
pub fn layers(config: &Config) -> u32 {
    if config.architecture == Architecture::EncoderDecoder { config.encoder_layers } else { config.layers }
}

/// Whether the attention is causal and the model predicts a next token.
pub fn is_causal(config: &Config) -> bool {
    config.architecture == Architecture::Decoder
}
