//! The HTML page: one self-contained file that needs no network.

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

/// Renders the page.
pub fn page(inspection: &Inspection) -> String {
    let data = serde_json::to_string(inspection).expect("plain structs serialize");
    let script = SCRIPTS.concat();
    let mut page = String::with_capacity(TEMPLATE.len() + STYLE.len() + script.len() + data.len());
    let mut rest = TEMPLATE;
    // In the template's order, so that inserted text is never searched.
    for (placeholder, text) in [("/*style*/", STYLE), ("/*data*/", &inert(&data)), ("/*script*/", &script)] {
        let (before, after) = rest.split_once(placeholder).expect("the template has its placeholders");
        page.push_str(before);
        page.push_str(text);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Escapes JSON so that it contains no HTML syntax: tokens may spell `</script>`, `<!--` or a URL.
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
    fn hostile_text_is_escaped_and_unchanged() {
        let hostile = "</script><!--<script>&amp; http://a.b \u{2028}\u{7f}\0\n\r\t\"'`${x}\\ </SCRIPT >\u{1f600}";
        let json = serde_json::to_string(hostile).unwrap();
        let text = inert(&json);
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\u{7f}', '\0', '\n']) && !text.contains("://"));
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }
}
