//! Canonical ordering and composition (Unicode, chapter 3.11, D108 to D117), for byte-level BPE.

use super::decompose::{
    Decomposed, LEAD_COUNT, LEADS, PER_LEAD, SYLLABLE_COUNT, SYLLABLES, TAIL_COUNT, TAILS, VOWEL_COUNT, VOWELS, pair, single,
};
use super::tables::{CLASSES, COMPOSITES, FIRST_PLANE, JOINING, PAIRS};
use crate::tokenizer::unicode::{RunTable, in_plane};
use core::cmp::Ordering;
use core::str::Chars;

/// Upper bound on the bytes of form C per byte of text: U+1D160 becomes three characters of its own length.
pub const GROWTH: usize = 3;

/// Characters with a combining class, or that compose with the character before them; the tag is the rank of the class, or [`JOINING`].
static CLASS_RUNS: RunTable = RunTable::new(&CLASSES, 6);

/// The characters of a text, in form C if that is requested.
#[derive(Clone)]
pub enum Characters<'t> {
    /// As they are.
    Plain(Chars<'t>),
    /// In form C.
    Composed(Composed<'t>),
}

impl<'t> Characters<'t> {
    /// The characters of `text`. Text that is in form C already, such as ASCII, costs one look at each character.
    pub fn new(text: &'t str, nfc: bool) -> Self {
        match nfc && !text.chars().all(is_settled) {
            true => Characters::Composed(Composed::new(text)),
            false => Characters::Plain(text.chars()),
        }
    }
}

impl Iterator for Characters<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Characters::Plain(characters) => characters.next(),
            Characters::Composed(characters) => characters.next(),
        }
    }
}

/// Canonical composition (D117). A character of class 0 is emitted composed with all that may compose with it; the others are read a second
/// time.
#[derive(Clone)]
pub struct Composed<'t> {
    rest: Ordered<'t>,
    /// Characters of `rest` before the next that nothing before it can change.
    left: usize,
    starter: Starter,
}

/// A character of class 0, and the class that blocks others from composing with it.
#[derive(Clone, Copy)]
struct Starter {
    composed: char,
    /// Class of the last character that did not compose; 0 for none.
    last_class: u32,
}

impl Starter {
    /// Takes the next character; `false` if it does not compose with the starter.
    fn take(&mut self, character: char, class: u32) -> bool {
        let is_blocked = self.last_class != 0 && self.last_class >= class;
        match compose(self.composed, character).filter(|_| !is_blocked) {
            Some(composed) => self.composed = composed,
            None => {
                self.last_class = class;
                return false;
            }
        }
        true
    }
}

impl<'t> Composed<'t> {
    fn new(text: &'t str) -> Self {
        Composed { rest: Ordered::new(text), left: 0, starter: Starter { composed: '\0', last_class: 0 } }
    }
}

impl Iterator for Composed<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let character = self.rest.next()?;
            if !self.starter.take(character, class(character)) {
                return Some(character);
            }
        }
        let first = self.rest.next()?;
        if class(first) != 0 {
            return Some(first);
        }
        self.starter = Starter { composed: first, last_class: 0 };
        let mut starter = self.starter;
        for character in self.rest.clone() {
            let class = class(character);
            if !starter.take(character, class) && class == 0 {
                break;
            }
            self.left = self.left.saturating_add(1);
        }
        Some(starter.composed)
    }
}

/// The decomposed characters of a text in canonical order (D108): each run of marks sorted by class, those of equal class in their order. A
/// run is read once per class in it.
#[derive(Clone)]
struct Ordered<'t> {
    /// The text after the last character emitted; in a run of marks, the run from its start.
    from: Decomposed<Chars<'t>>,
    /// The text after the last mark emitted.
    run: Decomposed<Chars<'t>>,
    /// The class of the marks that are emitted now; 0 outside a run.
    class: u32,
}

impl<'t> Ordered<'t> {
    fn new(text: &'t str) -> Self {
        let from = Decomposed::new(text.chars());
        Ordered { run: from.clone(), from, class: 0 }
    }

    /// The lowest class in the run above the present one, and the length of the run.
    fn next_class(&self) -> (Option<u32>, usize) {
        let (mut next, mut length) = (None, 0_usize);
        for class in self.from.clone().map(class).take_while(|&class| class != 0) {
            length = length.saturating_add(1);
            if class > self.class && next.is_none_or(|next| class < next) {
                next = Some(class);
            }
        }
        (next, length)
    }
}

impl Iterator for Ordered<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        loop {
            while self.class != 0
                && let Some(mark) = self.run.next()
            {
                match class(mark) {
                    0 => break,
                    class if class == self.class => return Some(mark),
                    _ => {}
                }
            }
            match self.next_class() {
                (Some(class), _) => {
                    self.run = self.from.clone();
                    self.class = class;
                }
                (None, length) => {
                    if core::mem::replace(&mut self.class, 0) != 0 {
                        // All classes of the run were emitted.
                        if let Some(last) = length.checked_sub(1) {
                            self.from.nth(last);
                        }
                    }
                    return self.from.next();
                }
            }
        }
    }
}

/// The rank of a character's canonical combining class; 0 for class 0.
fn class(character: char) -> u32 {
    match rank(character) {
        JOINING => 0,
        rank => rank,
    }
}

/// The tag of a character in [`CLASS_RUNS`].
fn rank(character: char) -> u32 {
    if character < '\u{300}' { 0 } else { CLASS_RUNS.tag(character) }
}

/// Whether text of such characters only is in form C.
fn is_settled(character: char) -> bool {
    /// Not inlined, and with it none of the searches, to save flash.
    #[inline(never)]
    fn has_no_properties(character: char) -> bool {
        rank(character) == 0 && pair(character).is_none() && single(character).is_none()
    }
    character < '\u{300}' || has_no_properties(character)
}

/// The character that two compose to, if there is one.
#[inline(never)]
fn compose(head: char, tail: char) -> Option<char> {
    compose_syllable(head, tail).or_else(|| {
        let plane = head as u32 >> 16;
        if plane > 1 || plane != tail as u32 >> 16 {
            return None;
        }
        let wanted = (plane as usize, head as u16, tail as u16);
        let order = |&at: &u16| {
            let at = usize::from(at);
            let row = PAIRS.get(at).map(|&[_, head, tail]| (usize::from(at >= FIRST_PLANE), head, tail));
            row.map_or(Ordering::Less, |row| row.cmp(&wanted))
        };
        let at = COMPOSITES.binary_search_by(order).ok()?;
        let [whole, ..] = PAIRS.get(usize::from(*COMPOSITES.get(at)?))?;
        in_plane(plane, *whole)
    })
}

/// The Hangul syllable of a leading letter and a vowel, or of a syllable without a trailing letter and one.
fn compose_syllable(head: char, tail: char) -> Option<char> {
    let within = |character: char, from: u32, count: u32| (character as u32).checked_sub(from).filter(|&index| index < count);
    if let (Some(lead), Some(vowel)) = (within(head, LEADS, LEAD_COUNT), within(tail, VOWELS, VOWEL_COUNT)) {
        return char::from_u32(SYLLABLES + lead * PER_LEAD + vowel * TAIL_COUNT);
    }
    let open = within(head, SYLLABLES, SYLLABLE_COUNT).filter(|index| index % TAIL_COUNT == 0)?;
    let tail = within(tail, TAILS, TAIL_COUNT).filter(|&tail| tail > 0)?;
    char::from_u32(SYLLABLES + open + tail)
}
