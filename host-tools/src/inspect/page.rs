//! One HTML file with everything in it: no network, no other file, works from a disk.

use super::Inspection;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 10] = [
    include_str!("page/base.js"),
    include_str!("page/map.js"),
    include_str!("page/attention.js"),
    include_str!("page/lens.js"),
    include_str!("page/ablation.js"),
    include_str!("page/patching.js"),
    include_str!("page/neurons.js"),
    include_str!("page/quantization.js"),
    include_str!("page/board.js"),
    include_str!("page/start.js"),
];

/// The page.
pub fn page(inspection: &Inspection) -> String {
    let data = serde_json::to_string(inspection).expect("plain structs serialize");
    let script = SCRIPTS.concat();
    let mut page = String::with_capacity(TEMPLATE.len() + STYLE.len() + script.len() + data.len());
    let mut rest = TEMPLATE;
    // In the template's order, so that nothing inserted is looked at again.
    for (mark, text) in [("/*style*/", STYLE), ("/*data*/", &inert(&data)), ("/*script*/", &script)] {
        let (before, behind) = rest.split_once(mark).expect("the template has its marks");
        page.push_str(before);
        page.push_str(text);
        rest = behind;
    }
    page.push_str(rest);
    page
}

/// JSON that says the same and holds nothing that HTML reads as its own: tokens may spell `</script>`, `<!--` or an address.
fn inert(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{7f}' => text.push_str(&format!("\\u{:04x}", character as u32)),
            '/' => text.push_str("\\/"),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::inert;

    #[test]
    fn hostile_text_is_inert_and_the_same() {
        let hostile = "</script><!--<script>&amp; http://a.b \u{2028}\u{7f}\0\n\r\t\"'`${x}\\ </SCRIPT >\u{1f600}";
        let json = serde_json::to_string(hostile).unwrap();
        let text = inert(&json);
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{7f}', '\0', '\n']) && !text.contains("://"));
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }
}
