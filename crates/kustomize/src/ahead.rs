//! Ahead: the files of a kustomization and of its bases, read and parsed side by side before they are built one
//! after the other.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::args::Located;
use crate::error::Result;
use crate::files::{Kind, join};
use crate::layer::Layer;
use crate::loader::Loader;
use crate::parallel;
use crate::read::{self, Source};
use crate::resource::Resource;

/// What a path of `resources` names.
pub(crate) enum Entry<'t, 'f> {
    /// A file, with its resources.
    File(Result<Vec<Resource>>),
    /// A base.
    Base(Result<Box<Base<'t, 'f>>>),
    /// What can only be a base, and was not read as too much is in memory already.
    Later,
}

/// A base that was loaded.
pub(crate) struct Base<'t, 'f> {
    pub layer: Layer<'t, 'f>,
    /// The first of its own resources.
    pub ahead: Vec<Entry<'t, 'f>>,
}

/// Bytes of text that may be in memory before their objects are counted.
const READ_AHEAD: usize = 16 << 20;
/// Bytes of text for which another thread is worth while.
const PARSED_TOGETHER: usize = 64 << 10;
/// Bytes of text that a base is taken for: opening its files costs more than parsing them.
const OF_A_BASE: usize = 16 << 10;

/// What the first paths name, for as many of them as may be in memory at once, but for one at least.
pub(crate) fn entries<'t, 'f>(loader: &Loader<'t, 'f>, paths: &[Located<String>]) -> Vec<Entry<'t, 'f>> {
    let left = AtomicUsize::new(READ_AHEAD);
    let mut bytes = 0;
    let mut found = Vec::with_capacity(paths.len());
    for item in paths {
        if left.load(Ordering::Relaxed) == 0 {
            break;
        }
        let text = text(loader, &item.value);
        bytes += text.as_ref().map_or(OF_A_BASE, size);
        take(&left, text.as_ref().map_or(0, size));
        found.push((text, item.value.as_str()));
    }
    let least = PARSED_TOGETHER * found.len() / bytes.max(1) + 1;
    parallel::map(found, least, |(text, path)| match text {
        Some(text) => Entry::File(text.and_then(Text::parse)),
        None if left.load(Ordering::Relaxed) == 0 => Entry::Later,
        None => Entry::Base(base(loader, path, &left)),
    })
}

/// The text of a file, what to call it, and its number in the places of nodes.
struct Text {
    text: String,
    file: String,
    number: u32,
}

impl Text {
    fn parse(self) -> Result<Vec<Resource>> {
        read::resources(Source {
            text: &self.text,
            file: &self.file,
            number: self.number,
            line_offset: 0,
        })
    }
}

/// The text of a file of resources, or why it cannot be read; nothing when there is no file.
fn text(loader: &Loader<'_, '_>, path: &str) -> Option<Result<Text>> {
    let full = join(&loader.dir, path).filter(|_| !path.is_empty())?;
    (loader.tree.files.kind(&full) == Some(Kind::File)).then(|| {
        let (text, file) = loader.load_text(path)?;
        let number = loader.tree.source(&file);
        Ok(Text { text, file, number })
    })
}

fn size(text: &Result<Text>) -> usize {
    text.as_ref().map_or(0, |text| text.text.len())
}

/// Takes bytes from those that are left.
fn take(left: &AtomicUsize, bytes: usize) {
    let taken = |left: usize| Some(left.saturating_sub(bytes));
    // It never fails: there is always something to take from, if only nothing.
    let _ = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
}

/// Loads a base, and reads its own files while bytes are left.
fn base<'t, 'f>(loader: &Loader<'t, 'f>, path: &str, left: &AtomicUsize) -> Result<Box<Base<'t, 'f>>> {
    let layer = Layer::load(loader.enter(path)?)?;
    take(left, layer.size);
    let ahead = files(&layer, left);
    Ok(Box::new(Base { layer, ahead }))
}

/// The resources of a base up to the first that is a base itself.
fn files<'t, 'f>(layer: &Layer<'t, 'f>, left: &AtomicUsize) -> Vec<Entry<'t, 'f>> {
    let mut entries = Vec::new();
    for item in &layer.kustomization.resources {
        if left.load(Ordering::Relaxed) == 0 {
            break;
        }
        let Some(text) = text(&layer.loader, &item.value) else {
            break;
        };
        take(left, size(&text));
        entries.push(Entry::File(text.and_then(Text::parse)));
    }
    entries
}
