//! The model that is looked at, and running it many times.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use attoformer::image::{Architecture, AttentionKind, Config, InputStem};
use attoformer::{Image, Probe, Session};

use crate::engine::Setup;
use crate::error::Error;
use crate::report::progress::Progress;

/// A model to look at.
#[derive(Clone, Copy, Debug)]
pub struct InspectedModel<'i> {
    /// The model.
    pub image: Image<'i>,
    /// Its file, which errors name.
    pub path: &'i Path,
    /// How sessions are set up; the context holds the longest input that is run.
    pub setup: Setup,
    /// Sessions at work at a time. It changes speed, never results.
    pub threads: usize,
}

impl<'i> InspectedModel<'i> {
    /// The model's shape.
    pub fn config(&self) -> &Config {
        self.image.config()
    }

    /// An engine's error with the file it is about.
    pub fn refuse(&self) -> impl FnOnce(attoformer::Error) -> Error + use<'i> {
        Error::engine(self.path)
    }

    /// A sentence with the file it is about.
    pub fn unfit<T>(&self, what: impl Into<String>) -> Result<T, Error> {
        Err(Error::file(self.path)(what.into()))
    }

    /// Refuses models whose inner life cannot be shown by tokens.
    ///
    /// # Errors
    /// [`Error::File`] with the reason.
    pub fn check(&self) -> Result<(), Error> {
        if self.config().input_stem != InputStem::Tokens {
            return self.unfit("it reads sound or images, and inspect shows what a model does with tokens");
        }
        Ok(())
    }

    /// Refuses models that do not write.
    ///
    /// # Errors
    /// [`Error::File`] that names the view.
    pub fn check_writes(&self, view: &str) -> Result<(), Error> {
        match self.config().architecture {
            Architecture::Decoder => Ok(()),
            Architecture::Encoder => {
                self.unfit(format!("it is an encoder and predicts no next token, which {view} is about; --attention shows it"))
            }
            _ => {
                self.unfit(format!("it is an encoder-decoder, and {view} is for models that only write on; --attention shows its encoder"))
            }
        }
    }

    /// Refuses attention without weights.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn check_attends(&self) -> Result<(), Error> {
        if self.config().attention == AttentionKind::Linear {
            return self.unfit("its attention is linear: it keeps running sums, and no weights of single tokens that could be shown");
        }
        Ok(())
    }

    /// Runs `work` in a session of its own.
    ///
    /// # Errors
    /// What `work` returns, with the file's name, or no memory for a session.
    pub fn session<T>(&self, work: impl FnOnce(&mut Session) -> Result<T, attoformer::Error>) -> Result<T, Error> {
        let mut arena = self.setup.arena(self.config(), self.path)?;
        let session = self.setup.session(&self.image, &mut arena);
        session.and_then(|mut session| work(&mut session)).map_err(self.refuse())
    }

    /// Runs `work` for 0..`count`, on as many threads as there are, each with a session of its own; the results are in order.
    ///
    /// # Errors
    /// The first that `work` returns, with the file's name.
    pub fn sweep<T: Send>(
        &self,
        count: usize,
        progress: &Progress,
        work: impl Fn(&mut Session, usize) -> Result<T, attoformer::Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let next = AtomicUsize::new(0);
        let turns = |sender: &mpsc::Sender<(usize, T)>| {
            self.session(|session| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    // A receiver that is gone has an error already.
                    if index >= count || sender.send((index, work(session, index)?)).is_err() {
                        return Ok(());
                    }
                }
            })
        };
        let (turns, mut results) = (&turns, (0..count).map(|_| None).collect::<Vec<Option<T>>>());
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            let workers: Vec<_> = (0..self.threads.clamp(1, count.max(1)))
                .map(|_| {
                    let sender = sender.clone();
                    scope.spawn(move || turns(&sender))
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

/// Feeds a whole prompt to a session that forgets what was before, seen by a probe.
///
/// # Errors
/// What the engine says.
pub fn feed<'s>(session: &'s mut Session, tokens: &[u32], probe: &mut impl Probe) -> Result<&'s [f32], attoformer::Error> {
    session.reset();
    match session.config().architecture {
        Architecture::Decoder => session.prefill_probed(tokens, probe),
        _ => session.encode_probed(tokens, probe),
    }
}
