//! Perplexity on a text, and KL divergence from a reference.
//!
//! Documents are separated by lines that read `<|endoftext|>`. Each is tokenized like a prompt and starts with an empty KV cache; every token but
//! its first is scored. A document longer than the context continues in further windows of that length, each with an empty KV cache and its
//! first token unscored.

use attoformer::Inline;

use super::scoring::{Data, Scorer, check};
use super::tally::{Score, Tally};
use crate::engine::{OpenImage, Setup};
use crate::error::Error;
use crate::report::progress::Progress;
use crate::run::generate;
use crate::threads::map_in_order;

pub use super::scoring::ScoringError;
pub use super::tally::Metrics;

/// The line between two documents.
const SEPARATOR: &str = "<|endoftext|>";

/// The non-empty documents of a text, trimmed.
pub fn documents(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    let pieces = std::iter::from_fn(move || {
        let text = rest?;
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if line.trim_end_matches(['\r', '\n']) == SEPARATOR {
                rest = Some(&text[at + line.len()..]);
                return Some(&text[..at]);
            }
            at += line.len();
        }
        rest.take()
    });
    pieces.map(str::trim).filter(|document| !document.is_empty())
}

/// Scores documents with an image, and with a reference of the same vocabulary if given.
///
/// With many windows, `threads` threads have sessions of their own; with a few long ones, the threads of `setup.parallel` share each window. No result
/// depends on the number of threads.
///
/// # Errors
/// [`ScoringError`], and those of the engine with the image.
pub fn measure<'t>(
    open: OpenImage<'_>,
    reference: Option<OpenImage<'_>>,
    setup: &Setup,
    threads: usize,
    documents: impl IntoIterator<Item = &'t str>,
    progress: &Progress,
) -> Result<Metrics, Error> {
    check(open, reference, Data::Text)?;
    // The reference may have a longer context; both need the same windows.
    let setup = Setup { context: setup.context.or(Some(open.image.config().context)), ..*setup };
    let windows = windows(open, setup.plan(open.image.config()).context as usize, documents.into_iter())?;
    let shared = share_windows(&windows, &setup, threads);
    let (setup, threads) = if shared { (setup, 1) } else { (Setup { parallel: &Inline, ..setup }, threads) };
    let mut tally = Tally::default();
    let score = |scorer: &mut Scorer, window: &Window| Ok((scorer.score(&window.tokens, 1)?, window.documents));
    score_all(open, reference, &setup, threads, &windows, score, |(scores, documents): (Vec<Score>, u64)| {
        tally.add(&scores);
        progress.advance(documents);
    })?;
    Ok(tally.metrics())
}

/// Scores items in order, each thread with sessions of its own.
///
/// # Errors
/// The first error of the sessions or of `score`.
pub(super) fn score_all<T: Sync, R: Send>(
    open: OpenImage<'_>,
    reference: Option<OpenImage<'_>>,
    setup: &Setup,
    threads: usize,
    items: &[T],
    score: impl Fn(&mut Scorer, &T) -> Result<R, Error> + Sync,
    mut take: impl FnMut(R),
) -> Result<(), Error> {
    let worker = |items: &mut dyn Iterator<Item = &T>, give: &mut dyn FnMut(Result<R, Error>) -> bool| {
        let mut work = |mut scorer: Scorer| {
            for item in &mut *items {
                if !give(score(&mut scorer, item)) {
                    break;
                }
            }
            Ok(())
        };
        let worked = setup.with_session(open, |session| match reference {
            None => work(Scorer::new((session, open.path), None, setup.parallel)),
            Some(other) => {
                setup.with_session(other, |second| work(Scorer::new((session, open.path), Some((second, other.path)), setup.parallel)))
            }
        });
        if let Err(error) = worked {
            give(Err(error));
        }
    };
    map_in_order(threads, items.iter(), worker, |scored: Result<R, Error>| scored.map(&mut take)).map(|_| ())
}

/// Tokens that are scored from an empty KV cache.
struct Window {
    tokens: Vec<u32>,
    /// Documents that end with this window.
    documents: u64,
}

fn windows<'t>(open: OpenImage<'_>, context: usize, documents: impl Iterator<Item = &'t str>) -> Result<Vec<Window>, Error> {
    let mut windows = Vec::new();
    for document in documents {
        let tokens = generate::encode(open.image, document).map_err(Error::engine(open.path))?;
        let count = tokens.len().div_ceil(context);
        let window = |(index, tokens): (usize, &[u32])| Window { tokens: tokens.to_vec(), documents: u64::from(index + 1 == count) };
        windows.extend(tokens.chunks(context).enumerate().map(window));
    }
    Ok(windows)
}

/// Whether threads share each window: where the longest one would keep one thread busy for most of the time, the others would wait for it.
fn share_windows(windows: &[Window], setup: &Setup, threads: usize) -> bool {
    let lengths = || windows.iter().map(|window| window.tokens.len());
    setup.parallel.threads() > 1 && 2 * threads * lengths().max().unwrap_or(0) > lengths().sum()
}

#[cfg(test)]
mod tests {
    use super::documents;

    #[test]
    fn documents_are_separated_by_whole_lines() {
        let text = "one\n<|endoftext|>\n\n \n<|endoftext|>\r\n two <|endoftext|>\nmore\n<|endoftext|>";
        assert_eq!(documents(text).collect::<Vec<_>>(), ["one", "two <|endoftext|>\nmore"]);
        assert_eq!(documents("").count(), 0);
        assert_eq!(documents("only").collect::<Vec<_>>(), ["only"]);
    }
}
