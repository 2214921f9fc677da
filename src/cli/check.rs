//! `gitsync check`: the load check by itself.
use super::context::Context;
use super::failure::{Answer, Failure};
use super::ui::Ui;
/// TEMP
#[derive(Debug, clap::Args)]
pub struct CheckArgs {}
/// TEMP
pub async fn check(_ui: &mut Ui, _context: &Context, _args: &CheckArgs) -> Result<Answer, Failure> {
    Ok(Answer::Yes)
}
