//! Text and numbers over semihosting, without `core::fmt`: its machinery would be a tenth of the smallest program.

use semihosting::io::{self, Write};

/// Decimal digits of the largest `u32`.
const DIGITS: usize = 10;

/// Writes text to standard output. Without a debugger or emulator the text is lost.
pub fn print(text: &str) {
    if let Ok(mut output) = io::stdout() {
        let _ = output.write_all(text.as_bytes());
    }
}

/// Writes a number in decimal to standard output.
pub fn print_number(number: u32) {
    with_digits(number, print);
}

/// Writes text to standard error.
pub fn log(text: &str) {
    if let Ok(mut output) = io::stderr() {
        let _ = output.write_all(text.as_bytes());
    }
}

/// Writes a number in decimal to standard error.
pub fn log_number(number: u32) {
    with_digits(number, log);
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
