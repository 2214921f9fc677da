//! A build of any tree ends without a panic. The input is a list of files: `path\0content\0…`.

#![no_main]

use kustomize::{MemoryFiles, Options, build};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.split(|byte| *byte == 0);
    let mut files = MemoryFiles::new();
    while let (Some(path), Some(content)) = (parts.next(), parts.next()) {
        if let Ok(path) = std::str::from_utf8(path) {
            files.insert(path, content);
        }
    }
    let mut options = Options::default();
    options.max_objects = 1000;
    if let Ok(built) = build(&files, "", &options) {
        let _ = built.to_yaml();
    }
});
