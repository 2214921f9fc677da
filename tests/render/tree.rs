//! Tree: a random tree of layers, made from a seed: bases, components, and overlays upon them.

use std::collections::BTreeSet;

use super::case::{Case, Part, Piece};
use super::random::Random;
use super::{fields, objects};

/// Names that objects share, so that references meet what they refer to.
pub const NAMES: [&str; 6] = ["web", "api", "db", "cache", "web-2", "a.b"];

/// Namespaces that objects and layers share.
pub const NAMESPACES: [&str; 3] = ["ns1", "default", "prod"];

/// What an object is known by.
#[derive(Clone, Debug)]
pub struct Object {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub name: String,
    pub namespace: Option<&'static str>,
}

/// A layer that no other one takes up yet.
struct Loose {
    dir: String,
    /// The field that takes it up.
    list: &'static str,
    objects: Vec<Object>,
}

/// A tree that grows.
pub struct Tree {
    pub random: Random,
    /// The objects of this layer and of those below it.
    pub objects: Vec<Object>,
    /// The kinds and names that some object of the tree has.
    pub taken: BTreeSet<(&'static str, String)>,
    pieces: Vec<Piece>,
    dir: String,
    files: usize,
}

/// The case of a seed.
pub fn case(seed: u64) -> Case {
    let mut tree = Tree {
        random: Random::new(seed),
        objects: Vec::new(),
        taken: BTreeSet::new(),
        pieces: Vec::new(),
        dir: String::new(),
        files: 0,
    };
    let layers = 1 + tree.random.below(4);
    // The layers that no other one takes up yet.
    let mut loose: Vec<Loose> = Vec::new();
    for at in 0..layers {
        let is_top = at + 1 == layers;
        tree.dir = format!("l{at}");
        let is_component = !is_top && at > 0 && tree.random.percent(25);
        if is_component {
            tree.field("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n");
        } else {
            for below in std::mem::take(&mut loose) {
                if is_top || tree.random.percent(70) {
                    let list = match below.list {
                        "resources" if tree.random.percent(5) => "bases",
                        list => list,
                    };
                    tree.item(list, format!("- ../{}\n", below.dir));
                    tree.objects.extend(below.objects);
                } else {
                    loose.push(below);
                }
            }
        }
        objects::add(&mut tree);
        fields::add(&mut tree, is_top);
        loose.push(Loose {
            dir: tree.dir.clone(),
            list: if is_component { "components" } else { "resources" },
            objects: std::mem::take(&mut tree.objects),
        });
    }
    Case {
        pieces: tree.pieces,
        top: tree.dir,
    }
}

// === impl Tree ===

impl Tree {
    /// Adds a whole field to the kustomization of this layer.
    pub fn field(&mut self, text: impl Into<String>) {
        self.push("kustomization.yaml", Part::Field, text.into());
    }

    /// Adds an item to a list of the kustomization of this layer.
    pub fn item(&mut self, list: &'static str, text: impl Into<String>) {
        self.push("kustomization.yaml", Part::Item(list), text.into());
    }

    /// Adds a document to a file of this layer.
    pub fn document(&mut self, file: &str, text: impl Into<String>) {
        self.push(file, Part::Document, text.into());
    }

    /// A name for a new file in this layer.
    pub fn file(&mut self, stem: &str) -> String {
        self.files += 1;
        format!("{stem}{}.yaml", self.files)
    }

    /// Adds a piece to a file of this layer.
    pub fn push(&mut self, file: &str, part: Part, text: String) {
        self.pieces.push(Piece {
            file: format!("{}/{file}", self.dir),
            part,
            text,
        });
    }

    /// One of the objects so far, or one that is not there.
    pub fn some_object(&mut self) -> Object {
        if self.objects.is_empty() || self.random.percent(2) {
            return Object {
                api_version: "v1",
                kind: "ConfigMap",
                name: "missing".to_owned(),
                namespace: None,
            };
        }
        self.random.pick(&self.objects)
    }

    /// The name of an object of a kind, or else one of the names that objects have.
    pub fn name_of(&mut self, kind: &str) -> String {
        let named: Vec<String> = self
            .objects
            .iter()
            .filter(|o| o.kind == kind)
            .map(|o| o.name.clone())
            .collect();
        if named.is_empty() || self.random.percent(15) {
            return self.random.pick(&NAMES).to_owned();
        }
        self.random.pick(&named)
    }
}

/// Indents all lines of a text that have something on them.
pub fn indented(text: &str, by: usize) -> String {
    let pad = " ".repeat(by);
    let lines = text.split_inclusive('\n');
    lines
        .map(|line| {
            if line == "\n" {
                line.to_owned()
            } else {
                format!("{pad}{line}")
            }
        })
        .collect()
}
