//! demo
#[derive(clap::Args)]
pub struct Arguments {}
pub fn run(_: &Arguments) -> anyhow::Result<()> {
    crate::commands::setup::for_demo()
}
