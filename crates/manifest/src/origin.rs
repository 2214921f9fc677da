//! Origin: the file and line that an object, or one of its fields, comes from.

use std::fmt;
use std::sync::Arc;

use crate::node::{Data, Node};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Path as the caller of the reader wrote it.
    pub file: Arc<str>,
    /// Line, from 1; 0 when only the file is known.
    pub line: u32,
}

impl Origin {
    /// A place in a file; `line` 0 means that only the file is known.
    pub fn new(file: impl Into<Arc<str>>, line: u32) -> Self {
        Self {
            file: file.into(),
            line,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str(&self.file)
        } else {
            write!(f, "{}:{}", self.file, self.line)
        }
    }
}

/// Where each field of one object was read.
///
/// A field is found by the hash of its JSON pointer, 16 bytes a field, so that an object can be changed
/// afterwards and the fields that are still there keep their lines.
#[derive(Clone, Debug, Default)]
pub struct FieldLines {
    files: Arc<[Arc<str>]>,
    /// Sorted by hash: (hash of the pointer, index into `files`, line).
    at: Arc<[(u64, u32, u32)]>,
}

/// The offset basis of FNV-1a, and the hash of the empty pointer.
const ROOT: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

fn extend(hash: u64, segment: &str) -> u64 {
    // 0xff never occurs in UTF-8, so that it separates segments without escapes.
    std::iter::once(0xff)
        .chain(segment.bytes())
        .fold(hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

impl FieldLines {
    /// The lines of all nodes below `root`; `files[place.source]` is the file of a place.
    pub fn of(root: &Node, files: Arc<[Arc<str>]>) -> Self {
        let mut at = Vec::with_capacity(count(root));
        collect(root, ROOT, &mut at);
        at.sort_unstable();
        Self { files, at: at.into() }
    }

    /// The place of the field at a JSON pointer (RFC 6901), or of its nearest parent that has one.
    pub fn line_of(&self, pointer: &str) -> Option<Origin> {
        let mut hash = ROOT;
        let mut best = self.find(hash);
        for segment in pointer.split('/').skip(1) {
            hash = if segment.contains('~') {
                extend(hash, &segment.replace("~1", "/").replace("~0", "~"))
            } else {
                extend(hash, segment)
            };
            best = self.find(hash).or(best);
        }
        let (source, line) = best?;
        Some(Origin {
            file: Arc::clone(self.files.get(source as usize)?),
            line,
        })
    }

    fn find(&self, hash: u64) -> Option<(u32, u32)> {
        let at = self.at.partition_point(|entry| entry.0 < hash);
        self.at
            .get(at)
            .filter(|entry| entry.0 == hash)
            .map(|entry| (entry.1, entry.2))
    }
}

fn collect(node: &Node, hash: u64, at: &mut Vec<(u64, u32, u32)>) {
    if node.place.line != 0 {
        at.push((hash, node.place.source, node.place.line));
    }
    collect_below(node, hash, at);
}

fn collect_below(node: &Node, hash: u64, at: &mut Vec<(u64, u32, u32)>) {
    match &node.data {
        Data::Scalar(_) => {}
        Data::Sequence(items) => {
            let mut digits = [0; 20];
            for (index, item) in items.iter().enumerate() {
                collect(item, extend(hash, decimal(index, &mut digits)), at);
            }
        }
        Data::Mapping(entries) => {
            for (key, value) in entries {
                let Some(text) = key.as_str() else { continue };
                let below = extend(hash, text);
                if key.place.line == 0 || value.place.line == 0 {
                    collect(value, below, at);
                    continue;
                }
                // A field is where its key is, as an editor would jump to it; its value may start lines below. But of
                // a value that a patch put at the key of another file, the value's file counts.
                let place = if key.place.source == value.place.source {
                    key.place
                } else {
                    value.place
                };
                at.push((below, place.source, place.line));
                collect_below(value, below, at);
            }
        }
    }
}

/// The number of values below a node that have a pointer, itself included.
fn count(node: &Node) -> usize {
    1 + match &node.data {
        Data::Scalar(_) => 0,
        Data::Sequence(items) => items.iter().map(count).sum(),
        Data::Mapping(entries) => entries.iter().map(|(_, value)| count(value)).sum(),
    }
}

fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &str {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            return std::str::from_utf8(&digits[at..]).unwrap_or_default();
        }
    }
}
