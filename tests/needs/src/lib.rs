//! `#[needs(...)]` on a test: the test is ignored, with the reason, where something that it needs is missing.
//!
//! A test that returns early passes without having tested anything. An ignored test is reported and counted by every test runner.
//!
//! ```ignore
//! #[needs(file = "../shared/data/speech", program = "qemu-system-arm")]
//! #[test]
//! fn a_promise() {}
//! ```
//!
//! The check runs when the test is compiled. After installing what was missing, `touch` the test or run it with `--include-ignored`.

use proc_macro::{TokenStream, TokenTree};
use std::path::Path;
use std::process::{Command, Stdio};

/// Ignores a test unless all of these exist:
///
/// - `file = "PATH"`: a file or folder, relative to the repository's root
/// - `env = "NAME"`: an environment variable
/// - `program = "NAME"`: a program that answers `--version` or, as openssl does, `version`
/// - `python = "3.10"`: Python 3 of at least this minor version
/// - `cpu = "avx2"`: an x86 CPU feature: `avx2` or `avx512vnni`
/// - `user = "unprivileged"` or `user = "mount"`: a user whom file permissions apply to, or who may mount a file system
#[proc_macro_attribute]
pub fn needs(requirements: TokenStream, test: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = requirements.into_iter().collect();
    let mut prefix = String::new();
    let mut ignored = false;
    for requirement in tokens.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',')) {
        let [TokenTree::Ident(kind), TokenTree::Punct(_), TokenTree::Literal(value)] = requirement else {
            if requirement.is_empty() {
                continue;
            }
            return error("expected `KIND = \"VALUE\"`");
        };
        let (kind, value) = (kind.to_string(), value.to_string().trim_matches('"').to_owned());
        if kind == "env" {
            // Makes cargo compile the test again when the variable changes.
            prefix += &format!("const _: Option<&str> = option_env!({value:?});");
        }
        match is_met(&kind, &value) {
            Some(true) => {}
            Some(false) if ignored => {}
            Some(false) => {
                ignored = true;
                prefix += &format!("#[ignore = {:?}]", format!("needs {}", described(&kind, &value)));
            }
            None => return error(&format!("unknown requirement {kind} = {value:?}")),
        }
    }
    let prefix: TokenStream = prefix.parse().unwrap_or_default();
    prefix.into_iter().chain(test).collect()
}

fn error(message: &str) -> TokenStream {
    format!("compile_error!({message:?});").parse().unwrap_or_default()
}

fn described(kind: &str, value: &str) -> String {
    match kind {
        "env" => format!("the environment variable {value} (cargo xtask models)"),
        "program" => format!("{value} (cargo xtask setup)"),
        "python" => format!("Python {value}"),
        "cpu" => format!("a CPU with {value}"),
        "user" if value == "mount" => "a user who may mount a file system".to_owned(),
        "user" => format!("an {value} user"),
        _ => value.to_owned(),
    }
}

/// Whether a requirement is met; `None` if there is no such requirement.
fn is_met(kind: &str, value: &str) -> Option<bool> {
    Some(match kind {
        "file" => Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(value).exists(),
        "env" => std::env::var_os(value).is_some(),
        "program" => succeeds(value, &["--version"]) || succeeds(value, &["version"]),
        "python" => succeeds("python3", &["-c", &format!("import sys; sys.exit(sys.version_info < ({}))", value.replace('.', ", "))]),
        "cpu" => has_cpu_feature(value)?,
        "user" if value == "unprivileged" => !succeeds("sh", &["-c", "test \"$(id -u)\" = 0"]),
        "user" if value == "mount" => {
            succeeds("sh", &["-c", "d=$(mktemp -d) && mount -t tmpfs none $d && umount $d; s=$?; rmdir $d; exit $s"])
        }
        _ => return None,
    })
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(target_arch = "x86_64")]
fn has_cpu_feature(name: &str) -> Option<bool> {
    match name {
        "avx2" => Some(is_x86_feature_detected!("avx2")),
        "avx512vnni" => Some(is_x86_feature_detected!("avx512vnni")),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn has_cpu_feature(name: &str) -> Option<bool> {
    matches!(name, "avx2" | "avx512vnni").then_some(false)
}
