//! `atto keygen`, `atto sign` and `atto verify` as scripts use them, and every file that is not what they need.

use std::path::PathBuf;
use std::process::Command;

use attoformer_needs::needs;
use attoformer_tests::atto::{Outcome, atto, finished};
use tempfile::TempDir;
use xtask::process::root;

/// A folder with the key pairs `key` and `other`, and an image.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Files { folder: tempfile::tempdir().unwrap() };
        std::fs::copy(root().join("models/tales/tales.atto"), files.path("a.atto")).unwrap();
        for key in ["key", "other"] {
            let outcome = files.run(&format!("keygen -o {key}"));
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs `atto` in the folder.
    fn run(&self, arguments: &str) -> Outcome {
        finished(atto().current_dir(self.folder.path()).args(arguments.split(' ')))
    }

    /// Asserts that a command succeeds.
    fn succeed(&self, arguments: &str) {
        let outcome = self.run(arguments);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{arguments}");
    }

    /// Asserts that a command is refused in one sentence that names the file and the cause, and that the image stays what it was.
    fn refuse(&self, arguments: &str, file: &str, cause: &str) {
        let before = self.read("a.atto");
        let outcome = self.run(arguments);
        let sentence = outcome.refusal().unwrap_or_else(|error| panic!("{arguments}: {error}"));
        assert!(sentence.starts_with(&format!("{file}: ")) && sentence.contains(cause), "{arguments}: {sentence}");
        assert_eq!(self.read("a.atto"), before, "{arguments}: the image changed");
    }
}

#[test]
fn an_image_is_signed_in_place_and_verified() {
    let files = Files::new();
    let is_signed = |expected: bool| {
        let json: serde_json::Value = serde_json::from_str(&files.run("info a.atto --json").stdout).unwrap();
        assert_eq!(json["signed"], expected);
    };
    is_signed(false);
    files.refuse("verify a.atto --key key.pub", "a.atto", "not signed");
    files.succeed("sign a.atto --key key");
    is_signed(true);
    files.succeed("verify a.atto --key key.pub");
    files.refuse("verify a.atto --key other.pub", "a.atto", "not one of this image by this key");

    let first = files.read("a.atto");
    files.succeed("sign a.atto --key key");
    assert_eq!(files.read("a.atto"), first, "the same key gives the same file");
    files.succeed("sign a.atto --key other");
    files.succeed("verify a.atto --key other.pub");
    files.refuse("verify a.atto --key key.pub", "a.atto", "not one of this image by this key");
    assert_eq!(files.read("a.atto")[..first.len() - 64], first[..first.len() - 64], "the signature alone is replaced");
    files.succeed("sign a.atto --key key");
    assert_eq!(files.read("a.atto"), first);
}

#[test]
fn a_signed_image_tells_the_same_story() {
    let files = Files::new();
    let story = || files.run("run a.atto --prompt Once -n 20").stdout;
    let before = story();
    files.succeed("sign a.atto --key key");
    assert_eq!(story(), before);
    assert!(before.len() > 20, "{before}");
}

#[cfg(unix)]
#[test]
fn a_private_key_is_for_its_owner_and_an_image_keeps_its_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let files = Files::new();
    let mode = |name: &str| std::fs::metadata(files.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("key"), 0o600);
    std::fs::set_permissions(files.path("a.atto"), std::fs::Permissions::from_mode(0o640)).unwrap();
    files.succeed("sign a.atto --key key");
    assert_eq!(mode("a.atto"), 0o640);
}

#[test]
fn a_key_is_never_overwritten() {
    let files = Files::new();
    let (private, public) = (files.read("key"), files.read("key.pub"));
    files.refuse("keygen -o key", "key", "the file exists");
    std::fs::remove_file(files.path("key")).unwrap();
    files.refuse("keygen -o key", "key.pub", "the file exists");
    assert!(!files.path("key").exists(), "no private key without its public one");
    assert_eq!(files.read("key.pub"), public);
    assert_ne!(files.read("other"), private, "each key is another");
    files.refuse("keygen -o missing/key", "missing/key", "no such file or directory");
}

#[test]
fn a_key_of_the_wrong_kind_is_refused_by_name() {
    let files = Files::new();
    std::fs::write(files.path("text"), "no key\n").unwrap();
    std::fs::write(files.path("bytes"), [0xff; 100]).unwrap();
    std::fs::write(files.path("empty"), "").unwrap();
    let cut = String::from_utf8(files.read("key")).unwrap();
    std::fs::write(files.path("cut"), &cut[..60]).unwrap();
    // Valid base64 of a shorter structure.
    std::fs::write(files.path("short"), "-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n").unwrap();
    for (key, cause) in [
        ("key.pub", "it is a public key"),
        ("missing", "no such file or directory"),
        ("text", "not a key in PEM form"),
        ("bytes", "not a key in PEM form"),
        ("empty", "the file is empty"),
        ("cut", "not a key in PEM form"),
        ("short", "the key is damaged"),
        (".", "it is a directory"),
        ("a.atto", "not a key in PEM form"),
    ] {
        files.refuse(&format!("sign a.atto --key {key}"), key, cause);
    }
    // The neutral point, by which any message can be signed, and a coordinate that is on no point.
    for (name, first) in [("weak", 1), ("off", 2)] {
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, first];
        der.resize(44, 0);
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64(&der));
        std::fs::write(files.path(name), pem).unwrap();
    }
    files.succeed("sign a.atto --key key");
    for (key, cause) in [
        ("key", "it is a private key"),
        ("missing", "no such file or directory"),
        ("text", "not a key in PEM form"),
        ("weak", "the key is damaged"),
        ("off", "the key is damaged"),
    ] {
        files.refuse(&format!("verify a.atto --key {key}"), key, cause);
    }
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[needs(program = "openssl")]
#[test]
fn other_keys_of_openssl_are_refused_by_name() {
    let files = Files::new();
    let openssl = |arguments: &str| {
        let output = Command::new("openssl").current_dir(files.folder.path()).args(arguments.split(' ')).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out rsa");
    openssl("pkey -in rsa -traditional -out rsa.old");
    openssl("pkey -in rsa -pubout -out rsa.pub");
    openssl("genpkey -algorithm ed448 -out ed448");
    openssl("pkey -in key -aes256 -passout pass:secret -out encrypted");
    openssl("pkey -in key -outform DER -out binary");
    for (key, cause) in [
        ("rsa", "another algorithm (RSA)"),
        ("rsa.old", "it holds \"RSA PRIVATE KEY\""),
        ("rsa.pub", "it is a public key"),
        ("ed448", "another algorithm (Ed448)"),
        ("encrypted", "the key is encrypted"),
        ("binary", "not a key in PEM form"),
    ] {
        files.refuse(&format!("sign a.atto --key {key}"), key, cause);
    }
    files.succeed("sign a.atto --key key");
    files.refuse("verify a.atto --key rsa.pub", "rsa.pub", "another algorithm (RSA)");
    files.refuse("verify a.atto --key encrypted", "encrypted", "it is a private key");
}

#[test]
fn a_file_that_is_not_one_whole_image_is_refused() {
    let files = Files::new();
    files.succeed("sign a.atto --key key");
    let image = files.read("a.atto");
    let mut damaged = image.clone();
    damaged[70_000] ^= 4;
    let write = |name: &str, bytes: &[u8]| std::fs::write(files.path(name), bytes).unwrap();
    write("cut.atto", &image[..image.len() - 1]);
    write("header.atto", &image[..100]);
    write("long.atto", &[&image, &b"more"[..]].concat());
    write("damaged.atto", &damaged);
    write("text.atto", b"no image");
    for (file, sign_cause, verify_cause) in [
        ("cut.atto", "the image is truncated", "the image is truncated"),
        ("header.atto", "the image is truncated", "the image is truncated"),
        ("long.atto", "4 bytes follow the image", "4 bytes follow the image"),
        ("damaged.atto", "checksum", "not one of this image by this key"),
        ("text.atto", "", "not an Attoformer image"),
        ("missing.atto", "no such file or directory", "no such file or directory"),
    ] {
        files.refuse(&format!("sign {file} --key key"), file, sign_cause);
        files.refuse(&format!("verify {file} --key key.pub"), file, verify_cause);
    }
}
