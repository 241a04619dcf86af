//! `cargo xtask picture`: draws what the demo prints as a terminal window in SVG, the picture of the README.

use std::{
    env,
    fmt::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use xtask::{output::Output, process::root};

const COMMAND: &str = "cargo xtask demo";
/// Width of the terminal, in characters.
const COLUMNS: usize = 92;
/// Size of a character cell in pixels.
const CELL: (f32, f32) = (8.4, 20.0);
/// Space around the text, and height of the title bar, in pixels.
const MARGIN: f32 = 20.0;
const TITLE_BAR: f32 = 36.0;

#[derive(clap::Args)]
pub struct Arguments {
    /// The SVG file to write [default: docs/demo.svg]
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// Runs the demo and draws its output.
pub fn run(arguments: &Arguments) -> Result<()> {
    let path = arguments.output.clone().unwrap_or_else(|| root().join("docs/demo.svg"));
    let program = env::current_exe().context("cannot find this program")?;
    let demo = Command::new(program).arg("demo").stderr(Stdio::inherit()).output().context("cannot run the demo")?;
    if !demo.status.success() {
        bail!("the demo failed");
    }
    let text = String::from_utf8(demo.stdout).context("the demo printed text that is not UTF-8")?;
    Output::create(&path, None)?.finish(svg(&text).as_bytes())
}

/// A terminal window that shows the command and its output.
fn svg(text: &str) -> String {
    let mut lines = vec![format!("$ {COMMAND}")];
    lines.extend(text.trim().lines().flat_map(wrap));
    let width = COLUMNS as f32 * CELL.0 + 2.0 * MARGIN;
    let height = TITLE_BAR + MARGIN + lines.len() as f32 * CELL.1 + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"Output of {COMMAND}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"10\" fill=\"#1e2127\"/>\n\
         <g fill=\"#5c6370\"><circle cx=\"22\" cy=\"19\" r=\"6\"/><circle cx=\"42\" cy=\"19\" r=\"6\"/><circle cx=\"62\" cy=\"19\" r=\"6\"/></g>\n\
         <g font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"14\" fill=\"#d7dae0\" xml:space=\"preserve\">\n"
    );
    for (number, line) in lines.iter().enumerate().filter(|(_, line)| !line.is_empty()) {
        let y = TITLE_BAR + MARGIN + number as f32 * CELL.1;
        let colour = if number == 0 { " fill=\"#98c379\"" } else { "" };
        // A fixed length keeps columns aligned whatever the font's advance width is.
        let length = line.chars().count() as f32 * CELL.0;
        writeln!(svg, "<text x=\"{MARGIN:.0}\" y=\"{y:.0}\" textLength=\"{length:.1}\"{colour}>{}</text>", escape(line))
            .expect("writing to a string does not fail");
    }
    svg + "</g>\n</svg>\n"
}

/// Breaks a line at spaces so that each part fits into the terminal.
fn wrap(line: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for word in line.split_inclusive(' ') {
        let last = parts.last().map_or(0, |part| part.chars().count());
        if last > 0 && last + word.trim_end().chars().count() > COLUMNS {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(word);
        }
    }
    parts.iter().map(|part| part.trim_end().to_owned()).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_wrapped_at_spaces_and_none_is_lost() {
        let line = "a story ".repeat(40);
        let parts = wrap(&line);
        assert!(parts.len() > 1 && parts.iter().all(|part| part.chars().count() <= COLUMNS), "{parts:?}");
        assert_eq!(parts.join(" "), line.trim_end());
        assert_eq!(wrap(""), [""]);
        assert_eq!(wrap("  indented"), ["  indented"]);
    }

    #[test]
    fn markup_in_the_output_is_escaped() {
        assert!(svg("1 < 2 & 3").contains(">1 &lt; 2 &amp; 3</text>"));
    }
}
