//! Text and numbers over semihosting, without `core::fmt`: its machinery would be a tenth of the smallest program.

use semihosting::io::{self, Write};

/// Decimal digits of the largest `u32`.
const DIGITS: usize = 10;

/// Writes text to standard output. Without a debugger or emulator the text is lost.
pub fn print(text: &str) {
    if let Ok(output) = io::stdout() {
        write(output, text);
    }
}

/// Writes a number in decimal to standard output.
pub fn print_number(number: u32) {
    with_digits(number, print);
}

/// Writes text to standard error.
pub fn log(text: &str) {
    if let Ok(output) = io::stderr() {
        write(output, text);
    }
}

/// Writes a number in decimal to standard error.
pub fn log_number(number: u32) {
    with_digits(number, log);
}

/// Like `write_all`, which slices with a range that could panic and would so link formatting.
fn write(mut output: impl Write, text: &str) {
    let mut rest = text.as_bytes();
    while let Ok(written @ 1..) = output.write(rest) {
        rest = rest.get(written..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
    }
}

fn with_digits(mut number: u32, write: impl Fn(&str)) {
    let mut digits = [b'0'; DIGITS];
    let mut first = DIGITS;
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        first = place;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(Ok(text)) = digits.get(first..).map(str::from_utf8) {
        write(text);
    }
}
