//! Source: a repository at one commit.

use kustomize::Files;

/// Files that can also be listed, as finding the environments needs.
pub trait Tree: Files + Send + Sync {
    /// The names in a directory, sorted; empty when there is no such directory.
    fn list(&self, dir: &str) -> Vec<String>;

    /// A file as text; `None` when there is no such file.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read as UTF-8 text.
    fn text(&self, path: &str) -> Result<Option<String>, String> {
        if self.kind(path) != Some(kustomize::Kind::File) {
            return Ok(None);
        }
        let bytes = self.read(path).map_err(|error| error.to_string())?;
        String::from_utf8(bytes.into_owned())
            .map(Some)
            .map_err(|_| "the file is not UTF-8 text".to_owned())
    }
}
