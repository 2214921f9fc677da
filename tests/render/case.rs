//! Case: a tree of files put together from pieces, so that a failing one can be made smaller piece by piece.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Where in its file a piece stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A document of its own.
    Document,
    /// A whole field of a kustomization.
    Field,
    /// An item of the list with this name in a kustomization.
    Item(&'static str),
}

/// A text, and where it stands.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The path from the root of the tree.
    pub file: String,
    pub part: Part,
    pub text: String,
}

/// A tree, of which the layer `top` is built.
#[derive(Clone, Debug)]
pub struct Case {
    pub pieces: Vec<Piece>,
    pub top: String,
}

// === impl Case ===

impl Case {
    /// The files by their path.
    pub fn files(&self) -> BTreeMap<&str, String> {
        let mut files: BTreeMap<&str, String> = BTreeMap::new();
        let mut lists: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
        for piece in &self.pieces {
            let text = files.entry(&piece.file).or_default();
            match piece.part {
                Part::Document if !text.is_empty() => text.push_str(&format!("---\n{}", piece.text)),
                Part::Document | Part::Field => text.push_str(&piece.text),
                Part::Item(list) => {
                    let lists = lists.entry(&piece.file).or_default();
                    match lists.iter_mut().find(|(name, _)| *name == list) {
                        Some((_, items)) => items.push_str(&piece.text),
                        None => lists.push((list, format!("{list}:\n{}", piece.text))),
                    }
                }
            }
        }
        for (file, lists) in lists {
            let text = files.entry(file).or_default();
            lists.iter().for_each(|(_, list)| text.push_str(list));
        }
        files
    }

    /// Writes the files below a directory.
    pub fn write(&self, dir: &Path) -> io::Result<()> {
        for (file, text) in self.files() {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().unwrap_or(dir))?;
            fs::write(path, text)?;
        }
        Ok(())
    }

    /// The files as a person reads them.
    pub fn show(&self) -> String {
        let files = self.files();
        let shown = files.iter().map(|(file, text)| format!("=== {file}\n{text}"));
        shown.chain([format!("=== build {}\n", self.top)]).collect()
    }
}
