//! A headless Chromium, if installed.

use std::path::Path;
use std::process::Command;

/// Path of a browser.
pub struct Browser(String);

/// The browser named in `CHROME`, or one of the common names.
pub fn find() -> Option<Browser> {
    let named = std::env::var("CHROME").ok();
    let usual = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"].map(str::to_owned);
    let starts = |name: &String| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    named.into_iter().chain(usual).find(starts).map(Browser)
}

impl Browser {
    /// Opens a view of a page and returns the document after its scripts have run. A console message fails the test.
    pub fn open(&self, page: &Path, view: &str) -> String {
        let profile = tempfile::tempdir().unwrap();
        let quiet = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--enable-logging=stderr",
            "--v=0",
            "--window-size=1280,900",
            "--virtual-time-budget=4000",
            "--dump-dom",
        ];
        let mut command = Command::new(&self.0);
        command.args(quiet).arg(format!("--user-data-dir={}", profile.path().display()));
        let output = command.arg(format!("file://{}#{view}", page.display())).output().unwrap();
        let messages = String::from_utf8_lossy(&output.stderr);
        let console: Vec<&str> = messages.lines().filter(|line| line.contains("CONSOLE")).collect();
        assert!(console.is_empty(), "{view}: {console:#?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
