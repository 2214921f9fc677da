//! The edit of kustomization files as people write them: the value is the wanted one, and every other byte stays.
//!
//! A file is made of habits: how its lists are indented, what is quoted, where comments stand, which line ends and
//! marks the editor writes, what else is in it. Random combinations of them are edited, and so are two hundred files
//! that a fixed seed makes of them, each by every kind of edit.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with what it met")]

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use kustomize::edit::{EditError, NewImage, set_image, set_replicas};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// How a team writes its kustomizations.
#[derive(Debug, Clone)]
struct Habits {
    eol: &'static str,
    mark: bool,
    final_newline: bool,
    indent: &'static str,
    quote: &'static str,
    /// Comments behind values, with whatever an editor left in them.
    comment: &'static str,
    head: Vec<&'static str>,
    between: Vec<&'static str>,
    tail: Vec<&'static str>,
    /// How the list of images is written.
    shape: Shape,
    images: Vec<Image>,
    replicas: Vec<(String, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Block,
    /// `- {name: …}` on lines of their own.
    FlowEntries,
    /// `images: [{…}, {…}]`.
    FlowList,
    /// As JSON, on one line.
    Json,
}

#[derive(Debug, Clone)]
struct Image {
    name: String,
    new_name: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    anchor: bool,
    newest_first: bool,
}

/// What is asked for.
#[derive(Debug, Clone)]
enum Ask {
    Image(NewImage),
    Replicas(u32),
}

impl Habits {
    /// The text, and the lines that belong to the entry called `name`.
    fn text(&self, name: &str) -> (String, std::ops::Range<usize>) {
        let mut lines: Vec<String> = self.head.iter().map(|line| (*line).to_owned()).collect();
        let mut own = 0..0;
        self.write_images(name, &mut lines, &mut own);
        let between = self.between.iter().flat_map(|piece| piece.lines());
        lines.extend(between.map(str::to_owned));
        if !self.replicas.is_empty() {
            lines.push("replicas:".to_owned());
        }
        for (workload, count) in &self.replicas {
            let start = lines.len();
            lines.push(format!("{}- name: {workload}{}", self.indent, self.comment));
            lines.push(format!("{}  count: {count}{}", self.indent, self.comment));
            if workload == name {
                own = start..lines.len();
            }
        }
        lines.extend(self.tail.iter().map(|line| (*line).to_owned()));
        let mark = if self.mark { "\u{feff}" } else { "" };
        let end = if self.final_newline { self.eol } else { "" };
        (format!("{mark}{}{end}", lines.join(self.eol)), own)
    }

    fn write_images(&self, name: &str, lines: &mut Vec<String>, own: &mut std::ops::Range<usize>) {
        if self.images.is_empty() {
            return;
        }
        if matches!(self.shape, Shape::FlowList | Shape::Json) {
            let quote = if self.shape == Shape::Json {
                "\""
            } else {
                self.quote
            };
            let all: Vec<String> = self
                .images
                .iter()
                .map(|image| image.flow(quote, self.shape))
                .collect();
            *own = lines.len()..lines.len() + 1;
            lines.push(format!("images: [{}]{}", all.join(", "), self.comment));
            return;
        }
        lines.push(format!("images:{}", self.comment));
        for image in &self.images {
            let start = lines.len();
            if self.shape == Shape::FlowEntries {
                let flow = image.flow(self.quote, self.shape);
                lines.push(format!("{}- {flow}{}", self.indent, self.comment));
            } else {
                image.block(self, lines);
            }
            if image.name == name {
                *own = start..lines.len();
            }
        }
    }
}

impl Image {
    fn pairs(&self, quote: &str) -> Vec<(&'static str, String)> {
        let quoted = |text: &str| format!("{quote}{text}{quote}");
        let anchor = if self.anchor { "&tag " } else { "" };
        let mut pairs = vec![("name", quoted(&self.name))];
        let values = [
            ("newName", self.new_name.as_deref().map(quoted)),
            (
                "newTag",
                self.tag.as_deref().map(|tag| format!("{anchor}{}", quoted(tag))),
            ),
            // A digest has a colon, which a flow mapping would take for its own.
            (
                "digest",
                self.digest.as_ref().map(|digest| format!("\"{digest}\"")),
            ),
        ];
        pairs.extend(values.into_iter().filter_map(|(key, value)| Some((key, value?))));
        if self.newest_first {
            pairs.reverse();
        }
        pairs
    }

    fn flow(&self, quote: &str, shape: Shape) -> String {
        let key = |key: &str| {
            if shape == Shape::Json {
                format!("\"{key}\"")
            } else {
                key.to_owned()
            }
        };
        let pairs: Vec<String> = self
            .pairs(quote)
            .into_iter()
            .map(|(name, value)| format!("{}: {value}", key(name)))
            .collect();
        format!("{{{}}}", pairs.join(", "))
    }

    fn block(&self, habits: &Habits, lines: &mut Vec<String>) {
        for (index, (key, value)) in self.pairs(habits.quote).into_iter().enumerate() {
            let dash = if index == 0 { "- " } else { "  " };
            lines.push(format!("{}{dash}{key}: {value}{}", habits.indent, habits.comment));
        }
    }
}

fn images() -> impl Strategy<Value = Vec<Image>> {
    let version = prop::option::of("(v[0-9]{1,2}|[0-9a-f]{8}|1\\.[0-9]{1,2}-alpine)");
    let digest = prop::option::weighted(0.2, "[0-9a-f]{64}");
    let image = (
        "[a-z]{2,8}(/[a-z]{2,8}){0,2}",
        prop::option::weighted(0.3, "registry\\.example/[a-z]{2,6}"),
        version,
        digest,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.2),
    );
    proptest::collection::vec(image, 0..5).prop_map(|images| {
        let mut seen = std::collections::BTreeSet::new();
        let mut anchored = false;
        type Parts = (String, Option<String>, Option<String>, Option<String>, bool, bool);
        let image = |(name, new_name, tag, digest, anchor, newest_first): Parts| {
            // A real entry has a tag or a digest; an anchor has one place.
            let tag = tag.filter(|_| digest.is_none());
            let anchor = anchor && tag.is_some() && !std::mem::replace(&mut anchored, true);
            Image {
                name: format!("team-{name}"),
                new_name,
                tag,
                digest: digest.map(|digest| format!("sha256:{digest}")),
                anchor,
                newest_first,
            }
        };
        let distinct = images.into_iter().filter(|image| seen.insert(image.0.clone()));
        distinct.map(image).collect()
    })
}

fn habits() -> impl Strategy<Value = Habits> {
    let head = prop::sample::subsequence(
        vec![
            "---",
            "# yaml-language-server: $schema=https://json.schemastore.org/kustomization",
            "#\ttabs\tand – dashes: \"kept\"   ",
            "apiVersion: kustomize.config.k8s.io/v1beta1",
            "kind: Kustomization",
            "",
            "namespace: shop   # who: the shop's team",
            "resources: [../../apps/web, 'ingress.yaml']",
        ],
        0..9,
    );
    let between = prop::sample::subsequence(
        vec![
            "",
            "# The next section begins here.",
            "commonAnnotations: {\"a\": 'b', c: \"d # no comment\"}",
            "labels:\n- pairs: {team: shop}\n  includeSelectors: false",
            "patches:\n- target: {kind: Deployment}\n  patch: |-\n    - op: replace # a patch's own\n      path: /spec/x\n      value: \"images: no list\"",
            "configMapGenerator:\n- name: settings\n  literals: [A=1, \"B=2 # two\"]",
        ],
        0..6,
    );
    let tail = prop::sample::subsequence(vec!["", "# The end.\t", "..."], 0..3);
    let layout = (
        prop::sample::select(vec!["\n", "\r\n"]),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec!["", "  ", "    "]),
        prop::sample::select(vec!["", "'", "\""]),
        prop::sample::select(vec![
            "",
            " # note",
            "   #\tset by: CI {x: [y]}",
            " # 'quoted' \"text\"",
        ]),
        prop::sample::select(vec![
            Shape::Block,
            Shape::Block,
            Shape::FlowEntries,
            Shape::FlowList,
            Shape::Json,
        ]),
    );
    let replicas = proptest::collection::vec(("[a-z]{2,6}", 0..9u32), 0..3);
    (layout, head, between, tail, images(), replicas).prop_map(
        |(
            (eol, mark, final_newline, indent, quote, comment, shape),
            head,
            between,
            tail,
            images,
            replicas,
        )| {
            let mut seen = std::collections::BTreeSet::new();
            Habits {
                eol,
                mark,
                final_newline,
                indent,
                quote,
                comment,
                head,
                between,
                tail,
                shape,
                images,
                replicas: replicas
                    .into_iter()
                    .filter(|(name, _)| seen.insert(name.clone()))
                    .map(|(name, count)| (format!("app-{name}"), count))
                    .collect(),
            }
        },
    )
}

fn asks() -> impl Strategy<Value = Ask> {
    let tag = "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}";
    let digest = "[0-9a-f]{64}".prop_map(|hex| format!("sha256:{hex}"));
    let image = |new_name: Option<String>, new_tag: Option<String>, digest: Option<String>| {
        Ask::Image(NewImage {
            new_name,
            new_tag,
            digest,
        })
    };
    prop_oneof![
        4 => tag.prop_map(move |tag| image(None, Some(tag), None)),
        2 => digest.prop_map(move |digest| image(None, None, Some(digest))),
        2 => ("mirror\\.example:5000/[a-z]{2,6}", tag).prop_map(move |(name, tag)| image(Some(name), Some(tag), None)),
        2 => (0..40u32).prop_map(Ask::Replicas),
    ]
}

fn data(text: &str) -> Value {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut nodes = manifest::yaml::read(text, "kustomization.yaml").unwrap();
    nodes.pop().map_or(Value::Null, |node| node.to_json().unwrap())
}

/// What the data must be afterwards, made without the code under test.
fn wanted(text: &str, name: &str, ask: &Ask) -> Value {
    let mut data = data(text);
    if data.is_null() {
        data = json!({});
    }
    let (section, fields): (&str, Vec<(&str, Value)>) = match ask {
        Ask::Replicas(count) => ("replicas", vec![("count", json!(count))]),
        Ask::Image(image) => {
            let values = [
                ("newName", &image.new_name),
                ("newTag", &image.new_tag),
                ("digest", &image.digest),
            ];
            let given = values
                .into_iter()
                .filter_map(|(key, value)| Some((key, json!(value.as_ref()?))));
            ("images", given.collect())
        }
    };
    if data[section].is_null() {
        data[section] = json!([]);
    }
    let items = data[section].as_array_mut().unwrap();
    if !items.iter().any(|item| item["name"] == name) {
        items.push(json!({"name": name}));
    }
    let item = items.iter_mut().find(|item| item["name"] == name).unwrap();
    for (key, value) in fields {
        item[key] = value;
        let other = match key {
            "newTag" => "digest",
            "digest" => "newTag",
            _ => continue,
        };
        item.as_object_mut().unwrap().remove(other);
    }
    data
}

/// The text after an edit.
fn edited(text: &str, name: &str, ask: &Ask) -> Result<String, EditError> {
    match ask {
        Ask::Image(image) => set_image(text, name, image),
        Ask::Replicas(count) => set_replicas(text, name, *count),
    }
}

/// Which of the old lines are no longer there, or stand among new ones.
fn gone(old: &[&str], new: &[&str]) -> Range<usize> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - start;
    let tails = old.iter().rev().zip(new.iter().rev());
    let end = tails.take(most).take_while(|(a, b)| a == b).count();
    start..old.len() - end
}

/// Edits one file, and checks everything that has to hold of the result.
fn check(habits: &Habits, name: &str, ask: &Ask) -> Result<(), TestCaseError> {
    let (before, own) = habits.text(name);
    let set = |text: &str| edited(text, name, ask);
    let after = match set(&before) {
        Ok(after) => after,
        Err(error) => return Err(TestCaseError::fail(format!("{error}\n{before}"))),
    };
    let told = format!("{ask:?} of {name}\n--- before\n{before}\n--- after\n{after}");
    prop_assert_eq!(data(&after), wanted(&before, name, ask), "{}", told);
    prop_assert_eq!(&set(&after).unwrap(), &after, "a second time: {}", told);

    // Lines outside the entry are the same bytes; what is new stands in one place.
    let (old, new) = (lines(&before), lines(&after));
    let gone = gone(&old, &new);
    for (line, number) in old[gone.clone()].iter().zip(gone) {
        // A last line without a newline gets one when something follows it.
        let continued = number + 1 == old.len() && new.get(number).is_some_and(|next| next.starts_with(line));
        prop_assert!(
            own.contains(&number) || continued || is_flow_list(line),
            "line {} went: {:?}\n{}",
            number + 1,
            line,
            told
        );
    }
    // Nothing that a person said is lost.
    let comments = |text: &str| text.matches('#').count();
    prop_assert!(comments(&after) >= comments(&before), "{}", told);
    let lone = |text: &str| text.replace("\r\n", "").contains('\n');
    if habits.eol == "\r\n" && before.contains("\r\n") && !lone(&before) {
        prop_assert!(!lone(&after), "{}", told);
    }
    prop_assert_eq!(after.starts_with('\u{feff}'), before.starts_with('\u{feff}'));
    Ok(())
}

/// The lines with their ends. The byte order mark belongs to the file, and stays before a line that comes first.
fn lines(text: &str) -> Vec<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split_inclusive('\n').collect()
}

fn is_flow_list(line: &str) -> bool {
    line.starts_with("images: [")
}

fn pick(habits: &Habits, ask: &Ask, index: usize, known: bool) -> String {
    let names: Vec<&String> = match ask {
        Ask::Image(_) => habits.images.iter().map(|image| &image.name).collect(),
        Ask::Replicas(_) => habits.replicas.iter().map(|(name, _)| name).collect(),
    };
    if known && !names.is_empty() {
        return names[index % names.len()].clone();
    }
    "team-new/one".to_owned()
}

proptest! {
    #![proptest_config(Config { cases: 1000, ..Config::default() })]
    #[test]
    fn an_edit_of_a_random_file_changes_its_value_and_no_other_byte(
        habits in habits(), ask in asks(), index in 0..5usize, known in prop::bool::weighted(0.8),
    ) {
        let name = pick(&habits, &ask, index, known);
        check(&habits, &name, &ask)?;
    }
}

#[test]
fn two_hundred_files_take_every_kind_of_edit() {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[8; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let (files, edits) = (habits(), asks());
    let mut shapes = std::collections::BTreeSet::new();
    for index in 0..200 {
        let habits = files.new_tree(&mut runner).unwrap().current();
        shapes.insert(format!(
            "{:?} {:?} {}",
            habits.shape,
            habits.eol,
            habits.images.len().min(1)
        ));
        for known in [true, false] {
            let ask = edits.new_tree(&mut runner).unwrap().current();
            let name = pick(&habits, &ask, index, known);
            if let Err(error) = check(&habits, &name, &ask) {
                panic!("file {index}: {error}");
            }
        }
    }
    assert_eq!(
        shapes.len(),
        16,
        "every shape, with both line ends, with and without images: {shapes:?}"
    );
}

/// The kustomization files below a directory.
fn kustomizations(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            kustomizations(&path, found);
        } else if ["kustomization.yaml", "kustomization.yml", "Kustomization"]
            .iter()
            .any(|known| name == *known)
        {
            found.push(path);
        }
    }
}

/// Whether a text is a kustomization whose `images` and `replicas` are lists of mappings, or not there.
fn is_well_formed(text: &str) -> bool {
    let Ok(nodes) = manifest::yaml::read(text, "kustomization.yaml") else {
        return false;
    };
    let [node] = nodes.as_slice() else { return false };
    let Ok(data) = node.to_json() else { return false };
    let is_list = |value: &Value| {
        value
            .as_array()
            .is_some_and(|items| items.iter().all(Value::is_object))
    };
    data.is_object()
        && ["images", "replicas"]
            .iter()
            .all(|key| data[key].is_null() || is_list(&data[key]))
}

/// Edits one file that somebody wrote: the data is what is asked for, and no line goes but those of the entry.
fn edit_a_file(text: &str, name: &str, ask: &Ask) -> Result<(), String> {
    let set = |text: &str| edited(text, name, ask);
    let after = set(text).map_err(|error| error.to_string())?;
    if data(&after) != wanted(text, name, ask) {
        return Err(format!("the data is not what was asked for:\n{after}"));
    }
    if set(&after).map_err(|error| error.to_string())? != after {
        return Err("a second time changes it again".to_owned());
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (text.lines().collect(), after.lines().collect());
    let of_the_entry = [
        "name",
        "newName",
        "newTag",
        "digest",
        "count",
        "images",
        "replicas",
        "tagSuffix",
    ];
    match old[gone(&old, &new)]
        .iter()
        .find(|line| !of_the_entry.iter().any(|key| line.contains(key)))
    {
        Some(line) => Err(format!("the line {line:?} went:\n{after}")),
        None => Ok(()),
    }
}

#[test]
#[ignore = "wants GITSYNC_KUSTOMIZATIONS, a directory with kustomizations that people wrote"]
fn files_that_people_wrote_take_every_kind_of_edit() {
    let dir =
        std::env::var("GITSYNC_KUSTOMIZATIONS").expect("because GITSYNC_KUSTOMIZATIONS names a directory");
    let mut files = Vec::new();
    kustomizations(Path::new(&dir), &mut files);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[8; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let edits = asks();
    let (mut edited, mut wrong) = (0, Vec::new());
    for file in &files {
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        if !is_well_formed(&text) {
            continue;
        }
        edited += 1;
        let known: Vec<String> = ["images", "replicas"]
            .iter()
            .flat_map(|key| data(&text)[key].as_array().cloned().unwrap_or_default())
            .filter_map(|item| Some(item["name"].as_str()?.to_owned()))
            .collect();
        for name in known.iter().map(String::as_str).chain(["team-new/one"]) {
            for _ in 0..3 {
                let ask = edits.new_tree(&mut runner).unwrap().current();
                if let Err(error) = edit_a_file(&text, name, &ask) {
                    wrong.push(format!("{}: {ask:?} of {name}: {error}", file.display()));
                }
            }
        }
    }
    assert!(edited >= 200, "only {edited} of {} files", files.len());
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(5)].join("\n\n")
    );
}
