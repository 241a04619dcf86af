//! `tests/golden/reference.py` still writes `tests/golden/golden.json`.

use std::path::Path;
use std::process::Command;

use attoformer_needs::needs;
use attoformer_tests::golden::golden;
use serde_json::Value;

/// The first difference between two values that exceeds the last digit of another C library.
fn difference(place: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64()?, b.as_f64()?);
            ((a - b).abs() > 3e-9 * a.abs() + 1e-15).then(|| format!("{place} is {a} in golden.json and {b} today"))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(index, (a, b))| difference(&format!("{place}[{index}]"), a, b))
        }
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            a.iter().find_map(|(key, a)| difference(&format!("{place}.{key}"), a, b.get(key).unwrap_or(&Value::Null)))
        }
        _ => (one != other).then(|| format!("{place} is {one} in golden.json and {other} today")),
    }
}

#[needs(python = "3.10")]
#[test]
fn reference_py_still_writes_golden_json() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let made = Command::new("python3").arg("reference.py").current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let today: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(difference("golden", &golden(), &today), None);
}
