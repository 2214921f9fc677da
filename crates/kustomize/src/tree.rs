//! Tree: the files that a build reads, with numbers for the places of nodes. Threads share it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use manifest::Place;

use crate::build::Options;
use crate::error::{BuildError, Result};
use crate::files::Files;

/// What reading the files of one build needs.
pub(crate) struct Tree<'f> {
    pub files: &'f dyn Files,
    pub options: &'f Options,
    /// The files by the numbers in the places of nodes.
    sources: Mutex<Sources>,
    /// How many kustomizations were loaded.
    loaded: AtomicUsize,
}

#[derive(Default)]
struct Sources {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl<'f> Tree<'f> {
    pub(crate) fn new(files: &'f dyn Files, options: &'f Options) -> Self {
        Self {
            files,
            options,
            sources: Mutex::default(),
            loaded: AtomicUsize::default(),
        }
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a file; the same for the same file.
    pub(crate) fn source(&self, file: &str) -> u32 {
        let mut sources = self.sources();
        if let Some(number) = sources.numbers.get(file) {
            return *number;
        }
        let name: Arc<str> = file.into();
        let number = u32::try_from(sources.names.len()).unwrap_or(u32::MAX);
        sources.names.push(Arc::clone(&name));
        sources.numbers.insert(name, number);
        number
    }

    /// The file and line of a place.
    pub(crate) fn located(&self, place: Place, error: BuildError) -> BuildError {
        match self.sources().names.get(place.source as usize) {
            Some(file) if place.line != 0 => error.at(file, place.line),
            _ => error,
        }
    }

    /// The name of the file of a place.
    pub(crate) fn file_name(&self, place: Place) -> String {
        let sources = self.sources();
        let name = sources.names.get(place.source as usize);
        name.map(ToString::to_string).unwrap_or_default()
    }

    /// Counts a kustomization.
    ///
    /// # Errors
    ///
    /// When it is one too many.
    pub(crate) fn count(&self) -> Result<()> {
        let (before, most) = (
            self.loaded.fetch_add(1, Ordering::Relaxed),
            self.options.max_kustomizations,
        );
        if before < most {
            return Ok(());
        }
        let error = BuildError::new(format!("more than {most} kustomizations in one build"));
        Err(error.hint("layers that build upon the same ones multiply").into())
    }

    /// The files that were read, by their numbers.
    pub(crate) fn into_files(self) -> Arc<[Arc<str>]> {
        let sources = self.sources.into_inner().unwrap_or_else(PoisonError::into_inner);
        sources.names.into()
    }
}
