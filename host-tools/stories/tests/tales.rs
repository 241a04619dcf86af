//! The built-in tales: the recognizer accepts generated stories and rejects modified ones.

use std::collections::HashSet;

use attoformer_stories::{Grammar, GrammarError, corpus, parse_sentence, parse_story, score, sentences, story};

#[test]
fn every_generated_sentence_is_accepted() {
    for story in corpus(1, 2_000) {
        assert!(story.is_ascii() && story.ends_with('.'), "{story}");
        for sentence in sentences(&story) {
            parse_sentence(sentence).unwrap_or_else(|error| panic!("{sentence}\n{error}"));
        }
        parse_story(&story).unwrap_or_else(|error| panic!("{story}\n{error}"));
        let (parsed, total) = score(&story);
        assert!(parsed == total && (6..=12).contains(&total), "{story}");
    }
}

#[test]
fn swapped_words_are_rejected() {
    let mut tried = 0;
    for story in corpus(2, 200) {
        for sentence in sentences(&story) {
            let words: Vec<&str> = sentence.split(' ').collect();
            for at in 1..words.len() {
                let mut damaged = words.clone();
                damaged.swap(at - 1, at);
                if damaged != words {
                    let damaged = damaged.join(" ");
                    assert!(parse_sentence(&damaged).is_err(), "{damaged}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn missing_words_and_letters_are_rejected() {
    for story in corpus(3, 200) {
        for sentence in sentences(&story) {
            let words: Vec<&str> = sentence.split(' ').collect();
            let short = words[..words.len() - 1].join(" ");
            assert!(parse_sentence(&short).is_err(), "{short}");
            let cut = &sentence[..sentence.len() - 1];
            assert!(parse_sentence(cut).is_err(), "{cut}");
            assert!(parse_sentence(&format!("{sentence} {sentence}")).is_err(), "{sentence}");
        }
    }
}

#[test]
fn words_must_agree() {
    let pairs = [
        ("She loved her red kite more than cake.", "She loved his red kite more than cake."),
        ("Mia was a kind girl who lived by the sea.", "Mia was a kind boy who lived by the sea."),
        ("One night he hid under his blanket.", "One night he hid under her blanket."),
        ("The duck swam out and brought it back.", "The duck flew up and brought it back."),
        ("\"Give it time,\" said an old owl.", "\"Give it time,\" said a old owl."),
        ("Tom said sorry, and Mia said sorry too.", "Tom said sorry, and Tom said sorry too."),
        ("\"A cup is only a cup,\" said Mom with a smile.", "\"A cup is only a jar,\" said Mom with a smile."),
        ("At last he swam like a fish.", "At last he swam like a bird."),
    ];
    for (right, wrong) in pairs {
        assert_eq!(parse_sentence(right), Ok(()));
        let error = parse_sentence(wrong).unwrap_err();
        assert_eq!(format!("{}{}", error.read, error.unread), wrong);
    }
}

#[test]
fn a_story_keeps_its_cast() {
    let story = story(11);
    let first = Grammar::tales().story(11);
    assert_eq!(story, first);
    let mut parts: Vec<&str> = sentences(&story).collect();
    parts.swap(2, 3);
    assert!(parse_story(&parts.join(" ")).is_err());
    assert!(parse_story(parts[0]).is_err());
}

#[test]
fn an_error_has_the_longest_accepted_prefix() {
    let error = parse_sentence("One night he hid under the moon.").unwrap_err();
    assert_eq!(error.read, "One night he hid under ");
    assert_eq!(error.to_string(), "not in the grammar: \"One night he hid under \" cannot be followed by \"the moon.\"");
    assert!(parse_sentence("").is_err());
    assert!(parse_sentence("\u{2603}").is_err());
}

#[test]
fn stories_rarely_repeat() {
    let count = 100_000;
    let distinct: HashSet<String> = corpus(5, count).collect();
    assert!(distinct.len() > 99_000, "{}", distinct.len());
}

#[test]
fn a_custom_grammar_works() {
    let text = "table pets\n  name | sound\n  cat | mew\n  dog | woof\n\nrole pet pets\nrule end\n  softly\n  (very|so) loudly\n\nplot p\nbeat\n  The {pet} said {pet:sound} <end>.\nbeat\n  {pet:Sound}!\n";
    let grammar = Grammar::parse(text).unwrap();
    let told: HashSet<String> = (0..200).map(|seed| grammar.story(seed)).collect();
    assert_eq!(told.len(), 6);
    assert!(told.contains("The cat said mew so loudly. Mew!"));
    assert_eq!(grammar.parse_sentence("The dog said woof softly."), Ok(()));
    assert!(grammar.parse_sentence("The dog said mew softly.").is_err());
    assert!(grammar.parse_story("The dog said woof softly. Mew!").is_err());
}

#[test]
fn an_invalid_grammar_is_refused() {
    let unknown = |name: &str| GrammarError::Unknown(name.to_owned());
    let table = "table t\n  a | b\n  1 | 2\nrole r t\n";
    let cases = [
        ("  stray\n".to_owned(), GrammarError::Stray(1)),
        ("beat\n  x.\n".to_owned(), GrammarError::Stray(1)),
        ("nonsense\n".to_owned(), GrammarError::Stray(1)),
        ("table t\n  a | b\n  1\n".to_owned(), GrammarError::Ragged(3)),
        ("table t\n  a | b\n".to_owned(), GrammarError::Empty("t".to_owned())),
        (table.to_owned(), GrammarError::Empty("the grammar".to_owned())),
        (format!("{table}role s t\n"), GrammarError::Crowded("t".to_owned())),
        ("plot p\nbeat\n".to_owned(), GrammarError::Empty("p".to_owned())),
        (format!("{table}plot p\nbeat\n  {{r:c}}.\n"), unknown("r:c")),
        (format!("{table}plot p\nbeat\n  {{s}}.\n"), unknown("s")),
        ("plot p\nbeat\n  <r>\n".to_owned(), unknown("r")),
        ("rule r\n  a <r>\nplot p\nbeat\n  <r>\n".to_owned(), unknown("r")),
        ("role r t\nplot p\nbeat\n  x.\n".to_owned(), unknown("t")),
        ("plot p\nbeat\n  (a|b.\n".to_owned(), GrammarError::Open("(a|b.".to_owned())),
    ];
    for (text, expected) in cases {
        assert_eq!(Grammar::parse(&text).unwrap_err(), expected, "{text}");
    }
}
