//! Tests of edits: a table of shapes that real files have, and the law that nothing else changes.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn tag(tag: &str) -> NewImage {
    NewImage {
        new_tag: Some(tag.to_owned()),
        ..NewImage::default()
    }
}

fn digest(digest: &str) -> NewImage {
    NewImage {
        digest: Some(digest.to_owned()),
        ..NewImage::default()
    }
}

/// Name, before, new tag of `web`, after.
const TAGS: &[(&str, &str, &str, &str)] = &[
    (
        "plain",
        "images:\n- name: web\n  newTag: v1\n",
        "v2",
        "images:\n- name: web\n  newTag: v2\n",
    ),
    (
        "indented list",
        "images:\n  - name: web\n    newTag: v1\n",
        "v2",
        "images:\n  - name: web\n    newTag: v2\n",
    ),
    (
        "double quotes",
        "images:\n- name: web\n  newTag: \"v1\"\n",
        "v2",
        "images:\n- name: web\n  newTag: \"v2\"\n",
    ),
    (
        "single quotes",
        "images:\n- name: web\n  newTag: 'v1'\n",
        "v2",
        "images:\n- name: web\n  newTag: 'v2'\n",
    ),
    (
        "quoted name",
        "images:\n- name: \"web\"\n  newTag: v1\n",
        "v2",
        "images:\n- name: \"web\"\n  newTag: v2\n",
    ),
    (
        "quoted key",
        "images:\n- name: web\n  \"newTag\": v1\n",
        "v2",
        "images:\n- name: web\n  \"newTag\": v2\n",
    ),
    (
        "comments",
        "# a\nimages: # b\n# c\n- name: web # d\n  # e\n  newTag: v1 # f\n# g\n",
        "v2",
        "# a\nimages: # b\n# c\n- name: web # d\n  # e\n  newTag: v2 # f\n# g\n",
    ),
    (
        "number gets quotes",
        "images:\n- name: web\n  newTag: v1\n",
        "1.20",
        "images:\n- name: web\n  newTag: \"1.20\"\n",
    ),
    (
        "octal gets quotes",
        "images:\n- name: web\n  newTag: v1\n",
        "0644",
        "images:\n- name: web\n  newTag: \"0644\"\n",
    ),
    (
        "exponent gets quotes",
        "images:\n- name: web\n  newTag: v1\n",
        "1e3",
        "images:\n- name: web\n  newTag: \"1e3\"\n",
    ),
    (
        "large exponent gets quotes",
        "images:\n- name: web\n  newTag: v1\n",
        "123e4567",
        "images:\n- name: web\n  newTag: \"123e4567\"\n",
    ),
    (
        "yes gets quotes",
        "images:\n- name: web\n  newTag: v1\n",
        "yes",
        "images:\n- name: web\n  newTag: \"yes\"\n",
    ),
    (
        "unquoted number is mended",
        "images:\n- name: web\n  newTag: 1.20\n",
        "1.20",
        "images:\n- name: web\n  newTag: \"1.20\"\n",
    ),
    (
        "the same again",
        "images:\n- name: web\n  newTag: 'v1'\n",
        "v1",
        "images:\n- name: web\n  newTag: 'v1'\n",
    ),
    (
        "CRLF",
        "images:\r\n- name: web\r\n  newTag: v1\r\n",
        "v2",
        "images:\r\n- name: web\r\n  newTag: v2\r\n",
    ),
    (
        "CRLF, key missing",
        "images:\r\n- name: web\r\nkind: K\r\n",
        "v2",
        "images:\r\n- name: web\r\n  newTag: v2\r\nkind: K\r\n",
    ),
    (
        "byte order mark",
        "\u{feff}images:\n- name: web\n  newTag: v1\n",
        "v2",
        "\u{feff}images:\n- name: web\n  newTag: v2\n",
    ),
    (
        "no final newline",
        "images:\n- name: web\n  newTag: v1",
        "v2",
        "images:\n- name: web\n  newTag: v2",
    ),
    (
        "no final newline, key missing",
        "images:\n- name: web",
        "v2",
        "images:\n- name: web\n  newTag: v2",
    ),
    (
        "blanks after the value",
        "images:\n- name: web\n  newTag: v1  \n",
        "v2",
        "images:\n- name: web\n  newTag: v2  \n",
    ),
    (
        "blanks after the colon",
        "images:\n- name: web\n  newTag:    v1\n",
        "v2",
        "images:\n- name: web\n  newTag:    v2\n",
    ),
    (
        "value on its own line",
        "images:\n- name: web\n  newTag:\n    v1\n",
        "v2",
        "images:\n- name: web\n  newTag:\n    v2\n",
    ),
    (
        "empty value",
        "images:\n- name: web\n  newTag:\n",
        "v2",
        "images:\n- name: web\n  newTag: v2\n",
    ),
    (
        "empty value with a comment",
        "images:\n- name: web\n  newTag: # none\n",
        "v2",
        "images:\n- name: web\n  newTag: v2 # none\n",
    ),
    (
        "null",
        "images:\n- name: web\n  newTag: ~\n",
        "v2",
        "images:\n- name: web\n  newTag: v2\n",
    ),
    (
        "tag before name",
        "images:\n- newTag: v1\n  name: web\n",
        "v2",
        "images:\n- newTag: v2\n  name: web\n",
    ),
    (
        "second of three",
        "images:\n- name: a\n  newTag: v1\n- name: web\n  newTag: v1\n- name: c\n  newTag: v1\n",
        "v2",
        "images:\n- name: a\n  newTag: v1\n- name: web\n  newTag: v2\n- name: c\n  newTag: v1\n",
    ),
    (
        "flow entry",
        "images:\n- {name: web, newTag: v1}\n",
        "1.20",
        "images:\n- {name: web, newTag: \"1.20\"}\n",
    ),
    (
        "flow list",
        "images: [{name: web, newTag: v1}, {name: b}]\n",
        "v2",
        "images: [{name: web, newTag: v2}, {name: b}]\n",
    ),
    (
        "flow over lines",
        "images: [\n  {name: web,\n   newTag: v1}, # x\n]\n",
        "v2",
        "images: [\n  {name: web,\n   newTag: v2}, # x\n]\n",
    ),
    (
        "flow, key missing",
        "images:\n- { name: web }\n",
        "v2",
        "images:\n- { name: web, newTag: v2 }\n",
    ),
    (
        "flow, value missing",
        "images: [{name: web, newTag: }]\n",
        "v2",
        "images: [{name: web, newTag: v2 }]\n",
    ),
    (
        "flow list, entry missing",
        "images: [{name: a}]\n",
        "v2",
        "images: [{name: a}, {name: web, newTag: v2}]\n",
    ),
    (
        "empty flow list",
        "images: []\n",
        "v2",
        "images: [{name: web, newTag: v2}]\n",
    ),
    (
        "JSON",
        "{\"images\":[{\"name\":\"web\",\"newTag\":\"v1\"}]}",
        "v2",
        "{\"images\":[{\"name\":\"web\",\"newTag\":\"v2\"}]}",
    ),
    (
        "JSON, key missing",
        "{\"images\": [{\"name\": \"web\"}]}\n",
        "v2",
        "{\"images\": [{\"name\": \"web\", \"newTag\": \"v2\"}]}\n",
    ),
    (
        "JSON, entry missing",
        "{\"images\": [{\"name\": \"a\"}]}",
        "v2",
        "{\"images\": [{\"name\": \"a\"}, {\"name\": \"web\", \"newTag\": \"v2\"}]}",
    ),
    (
        "JSON, section missing",
        "{\"kind\": \"K\"}",
        "v2",
        "{\"kind\": \"K\", \"images\": [{\"name\": \"web\", \"newTag\": \"v2\"}]}",
    ),
    (
        "key missing",
        "images:\n- name: web # x\n  # y\n- name: b\n",
        "v2",
        "images:\n- name: web # x\n  newTag: v2\n  # y\n- name: b\n",
    ),
    (
        "key missing, after newName",
        "images:\n- name: web\n  newName: n\nkind: K\n",
        "v2",
        "images:\n- name: web\n  newName: n\n  newTag: v2\nkind: K\n",
    ),
    (
        "entry missing",
        "images:\n- name: a\n  newTag: v1 # x\n# y\nkind: K\n",
        "v2",
        "images:\n- name: a\n  newTag: v1 # x\n- name: web\n  newTag: v2\n# y\nkind: K\n",
    ),
    (
        "entry missing, indented",
        "images:\n  - name: a\nkind: K\n",
        "v2",
        "images:\n  - name: a\n  - name: web\n    newTag: v2\nkind: K\n",
    ),
    (
        "section missing",
        "resources:\n- a.yaml\n# end\n",
        "v2",
        "resources:\n- a.yaml\n# end\nimages:\n- name: web\n  newTag: v2\n",
    ),
    (
        "section missing, no final newline",
        "resources: [a]",
        "v2",
        "resources: [a]\nimages:\n- name: web\n  newTag: v2",
    ),
    (
        "section missing before the end mark",
        "kind: K\n...\n",
        "v2",
        "kind: K\nimages:\n- name: web\n  newTag: v2\n...\n",
    ),
    (
        "section empty",
        "images:\nkind: K\n",
        "v2",
        "images:\n- name: web\n  newTag: v2\nkind: K\n",
    ),
    (
        "section empty, with a comment",
        "images: # none\nkind: K\n",
        "v2",
        "images: # none\n- name: web\n  newTag: v2\nkind: K\n",
    ),
    (
        "section null",
        "images: null\nkind: K\n",
        "v2",
        "images: [{name: web, newTag: v2}]\nkind: K\n",
    ),
    ("empty file", "", "v2", "images:\n- name: web\n  newTag: v2\n"),
    (
        "only a comment",
        "# nothing\n",
        "v2",
        "# nothing\nimages:\n- name: web\n  newTag: v2\n",
    ),
    (
        "document start",
        "---\nimages:\n- name: web\n  newTag: v1\n",
        "v2",
        "---\nimages:\n- name: web\n  newTag: v2\n",
    ),
    (
        "unused anchor",
        "images:\n- name: web\n  newTag: &t v1\n",
        "v2",
        "images:\n- name: web\n  newTag: &t v2\n",
    ),
    (
        "alias as value",
        "x: &t v1\nimages:\n- name: web\n  newTag: *t\n",
        "v2",
        "x: &t v1\nimages:\n- name: web\n  newTag: v2\n",
    ),
    (
        "merge key",
        "x: &d {newTag: v1}\nimages:\n- name: web\n  <<: *d\n",
        "v2",
        "x: &d {newTag: v1}\nimages:\n- name: web\n  newTag: v2\n  <<: *d\n",
    ),
    (
        "explicit string tag",
        "images:\n- name: web\n  newTag: !!str 1.0\n",
        "1.1",
        "images:\n- name: web\n  newTag: !!str \"1.1\"\n",
    ),
    (
        "custom tag",
        "images:\n- name: web\n  newTag: !tag v1\n",
        "v2",
        "images:\n- name: web\n  newTag: !tag v2\n",
    ),
    (
        "port in the name",
        "images:\n- name: localhost:5000/web\n  newTag: v1\n- name: web\n",
        "v2",
        "images:\n- name: localhost:5000/web\n  newTag: v1\n- name: web\n  newTag: v2\n",
    ),
    (
        "digest goes, one line",
        "images:\n- name: web\n  digest: sha256:ab # x\n",
        "v2",
        "images:\n- name: web\n  newTag: v2 # x\n",
    ),
    (
        "digest goes beside a tag",
        "images:\n- name: web\n  newTag: v1\n  digest: sha256:ab # x\n",
        "v2",
        "images:\n- name: web\n  newTag: v2\n",
    ),
    (
        "digest goes, first key",
        "images:\n- digest: sha256:ab\n  name: web\n  newTag: v1\n",
        "v2",
        "images:\n- name: web\n  newTag: v2\n",
    ),
    (
        "digest goes, flow",
        "images: [{name: web, digest: 'sha256:ab', newTag: v1}]\n",
        "v2",
        "images: [{name: web, newTag: v2}]\n",
    ),
    (
        "digest goes, flow, one key",
        "images: [{name: web, digest: 'sha256:ab'}]\n",
        "v2",
        "images: [{name: web, newTag: 'v2'}]\n",
    ),
];

#[test]
fn a_new_tag_changes_the_tag_and_nothing_else() {
    for (name, before, to, after) in TAGS {
        let edited = set_image(before, "web", &tag(to)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&edited, after, "{name}");
        assert_eq!(
            set_image(&edited, "web", &tag(to)).unwrap(),
            edited,
            "{name}: a second time changes nothing"
        );
    }
}

#[test]
fn a_digest_takes_the_place_of_a_tag() {
    let sum = format!("sha256:{}", "0a".repeat(32));
    for (name, before, after) in [
        (
            "in place",
            "images:\n- name: web\n  newTag: v1 # x\n",
            format!("images:\n- name: web\n  digest: {sum} # x\n"),
        ),
        (
            "flow",
            "images: [{name: web, newTag: v1}]\n",
            format!("images: [{{name: web, digest: \"{sum}\"}}]\n"),
        ),
        (
            "nothing yet",
            "images:\n- name: web\n",
            format!("images:\n- name: web\n  digest: {sum}\n"),
        ),
        (
            "no entry",
            "kind: K\n",
            format!("kind: K\nimages:\n- name: web\n  digest: {sum}\n"),
        ),
    ] {
        assert_eq!(set_image(before, "web", &digest(&sum)).unwrap(), after, "{name}");
    }
    let both = NewImage {
        new_tag: Some("v2".into()),
        ..digest(&sum)
    };
    let edited = set_image("images:\n- name: web\n  newTag: v1\n", "web", &both).unwrap();
    assert_eq!(
        edited,
        format!("images:\n- name: web\n  newTag: v2\n  digest: {sum}\n")
    );
}

#[test]
fn a_new_name_goes_before_the_tag() {
    let to = NewImage {
        new_name: Some("registry.example:5000/web".into()),
        ..tag("v2")
    };
    for (before, after) in [
        (
            "images:\n- name: web\n  newTag: v1\n",
            "images:\n- name: web\n  newName: registry.example:5000/web\n  newTag: v2\n",
        ),
        ("{}\n", ""),
        (
            "kind: K\n",
            "kind: K\nimages:\n- name: web\n  newName: registry.example:5000/web\n  newTag: v2\n",
        ),
    ] {
        assert_eq!(
            set_image(before, "web", &to).unwrap_or_default(),
            after,
            "{before}"
        );
    }
    let text = "images:\n- name: web\n";
    assert_eq!(set_image(text, "web", &NewImage::default()).unwrap(), text);
}

#[test]
fn what_cannot_be_edited_safely_is_refused_with_its_line() {
    for (name, text, line, reason) in [
        ("not YAML", "images:\n- name: [web\n", 2, "unclosed"),
        ("not a mapping", "- a\n", 1, "mapping"),
        ("two documents", "kind: K\n---\nkind: L\n", 3, "one YAML document"),
        ("section is a text", "kind: K\nimages: web\n", 2, "not a list"),
        ("section is a mapping", "images:\n  name: web\n", 2, "not a list"),
        (
            "listed twice",
            "images:\n- name: web\n- name: web\n",
            3,
            "more than once",
        ),
        (
            "key twice",
            "images:\n- name: web\n  newTag: a\n  newTag: b\n",
            4,
            "",
        ),
        (
            "shared anchor",
            "images:\n- name: web\n  newTag: &t v1\n- name: b\n  newTag: *t\n",
            3,
            "other values",
        ),
        (
            "shared entry",
            "images:\n- &e {name: web, newTag: v1}\nx: *e\n",
            2,
            "other values",
        ),
        (
            "entry is an alias",
            "x: &e {name: web}\nimages:\n- *e\n",
            3,
            "alias",
        ),
        (
            "name by merge",
            "x: &e {name: web}\nimages:\n- <<: *e\n",
            3,
            "from elsewhere",
        ),
        (
            "block of text",
            "images:\n- name: web\n  newTag: |\n    v1\n",
            3,
            "one line",
        ),
        (
            "value is a list",
            "images:\n- name: web\n  newTag: [a]\n",
            3,
            "not a text",
        ),
        (
            "anchor without value",
            "images:\n- name: web\n  newTag: &a\n",
            3,
            "no value",
        ),
        ("explicit key", "images:\n- name: web\n  ? newTag\n", 3, "unusual"),
        ("tab", "images:\n-\tname: web\n", 2, "spaces"),
        ("empty flow", "{}\n", 1, "empty"),
        (
            "comment between",
            "images:\n- digest: sha256:ab\n  # keep\n  name: web\n  newTag: v1\n",
            2,
            "comment",
        ),
    ] {
        let error = set_image(text, "web", &tag("v2")).err().unwrap_or_else(|| {
            panic!("{name}: became {:?}", set_image(text, "web", &tag("v2")).unwrap());
        });
        let (found, said) = match &error {
            EditError::Invalid { line, reason } | EditError::Unsafe { line, reason } => (*line, reason),
        };
        assert!(found == line && said.contains(reason), "{name}: {error}");
    }
}

#[test]
fn replicas_are_numbers() {
    for (name, before, after) in [
        (
            "plain",
            "replicas:\n- name: web\n  count: 3 # x\n",
            "replicas:\n- name: web\n  count: 5 # x\n",
        ),
        (
            "flow",
            "replicas: [{name: web, count: 3}]\n",
            "replicas: [{name: web, count: 5}]\n",
        ),
        (
            "quoted",
            "replicas:\n- name: web\n  count: \"3\"\n",
            "replicas:\n- name: web\n  count: 5\n",
        ),
        (
            "missing",
            "kind: K\n",
            "kind: K\nreplicas:\n- name: web\n  count: 5\n",
        ),
        (
            "the same",
            "replicas:\n- {count: 0x5, name: web}\n",
            "replicas:\n- {count: 0x5, name: web}\n",
        ),
    ] {
        assert_eq!(set_replicas(before, "web", 5).unwrap(), after, "{name}");
    }
}

#[test]
fn images_are_listed_as_written() {
    let text =
        "# x\nimages:\n- name: a\n  newTag: 1.20\n- &b {name: b, newName: c, digest: 'sha256:ab'}\n- *b\n";
    let found = images(text).unwrap();
    let entry = |name: &str, line| ImageEntry {
        name: name.into(),
        new_name: None,
        new_tag: None,
        digest: None,
        line,
    };
    let b = ImageEntry {
        new_name: Some("c".into()),
        digest: Some("sha256:ab".into()),
        ..entry("b", 5)
    };
    assert_eq!(
        found,
        [
            ImageEntry {
                new_tag: Some("1.20".into()),
                ..entry("a", 3)
            },
            b.clone(),
            b
        ]
    );
    assert_eq!(images("kind: K\n").unwrap(), []);
    assert!(
        images("images:\n- newTag: v1\n")
            .unwrap_err()
            .to_string()
            .starts_with("line 2: ")
    );
}

/// How a random kustomization is written.
#[derive(Debug, Clone)]
struct Layout {
    eol: &'static str,
    mark: bool,
    final_newline: bool,
    indent: &'static str,
    before: Vec<&'static str>,
    after: Vec<&'static str>,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    tag: Option<(String, char)>,
    flow: bool,
    comment: bool,
}

impl Layout {
    fn text(&self) -> String {
        let mut lines: Vec<String> = self.before.iter().map(|line| (*line).to_owned()).collect();
        if !self.entries.is_empty() {
            lines.push("images:".to_owned());
        }
        for entry in &self.entries {
            entry.write(self.indent, &mut lines);
        }
        lines.extend(self.after.iter().map(|line| (*line).to_owned()));
        let mark = if self.mark { "\u{feff}" } else { "" };
        let end = if self.final_newline { self.eol } else { "" };
        format!("{mark}{}{end}", lines.join(self.eol))
    }
}

impl Entry {
    fn write(&self, indent: &str, lines: &mut Vec<String>) {
        let comment = if self.comment { " # kept: \"as it is\"" } else { "" };
        let tag = self.tag.as_ref().map(|(tag, quote)| match quote {
            ' ' => tag.clone(),
            quote => format!("{quote}{tag}{quote}"),
        });
        if self.flow {
            let tag = tag.map(|tag| format!(", newTag: {tag}")).unwrap_or_default();
            lines.push(format!("{indent}- {{name: {}{tag}}}{comment}", self.name));
            return;
        }
        lines.push(format!("{indent}- name: {}{comment}", self.name));
        if self.comment {
            lines.push(format!("{indent}  # about {}", self.name));
        }
        lines.extend(tag.map(|tag| format!("{indent}  newTag: {tag}{comment}")));
    }
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let tag = proptest::option::of(("v[0-9a-z]{1,8}", prop::sample::select(vec![' ', '"', '\''])));
    let entry = ("[a-z]{1,6}(/[a-z]{1,4})?", tag, any::<bool>(), any::<bool>());
    proptest::collection::vec(entry, 0..5).prop_map(|entries| {
        let mut seen = std::collections::BTreeSet::new();
        let entries = entries.into_iter().filter(|(name, ..)| seen.insert(name.clone()));
        // Single letters of YAML 1.1 and reserved words are no names of images here.
        let name = |name: String| format!("img-{name}");
        entries
            .map(|(text, tag, flow, comment)| Entry {
                name: name(text),
                tag,
                flow,
                comment,
            })
            .collect()
    })
}

fn layouts() -> impl Strategy<Value = Layout> {
    let before = prop::sample::subsequence(
        vec![
            "---",
            "# A comment.",
            "apiVersion: kustomize.config.k8s.io/v1beta1",
            "resources: [../../apps/app] # base",
            "",
        ],
        0..5,
    );
    let after = prop::sample::subsequence(
        vec![
            "# Another.",
            "namespace: prod",
            "patches:",
            "- patch: |-",
            "    - op: add # no comment",
            "      path: /x",
            "",
        ],
        0..2,
    );
    let flags = (
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec!["\n", "\r\n"]),
        prop::sample::select(vec!["", "  "]),
    );
    (before, after, entries(), flags).prop_map(
        |(before, after, entries, (mark, final_newline, eol, indent))| Layout {
            eol,
            mark,
            final_newline,
            indent,
            before,
            after: after
                .into_iter()
                .filter(|line| !line.starts_with([' ', '-']))
                .collect(),
            entries,
        },
    )
}

fn data(text: &str) -> Json {
    manifest::yaml::read(text, "")
        .unwrap()
        .pop()
        .map_or(Json::Null, |node| node.to_json().unwrap())
}

/// The bytes of one text that the other lacks, between what both begin and end with.
fn removed<'t>(before: &'t str, after: &str) -> &'t str {
    let head = before
        .bytes()
        .zip(after.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let most = (before.len() - head).min(after.len() - head);
    let (a, b) = (before.bytes().rev(), after.bytes().rev());
    let tail = a.zip(b).take(most).take_while(|(a, b)| a == b).count();
    &before[head..before.len() - tail]
}

proptest! {
    #[test]
    fn an_edit_gives_the_wanted_value_and_keeps_every_other_byte(
        layout in layouts(),
        pick in any::<prop::sample::Index>(),
        known in any::<bool>(),
        to in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,12}",
    ) {
        let text = layout.text();
        let entry = (known && !layout.entries.is_empty()).then(|| pick.get(&layout.entries));
        let name = entry.map_or("img-new/one", |entry| entry.name.as_str());
        let edited = set_image(&text, name, &tag(&to)).unwrap();

        let mut wanted = data(&text);
        if wanted.is_null() {
            wanted = json!({});
        }
        if wanted["images"].is_null() {
            wanted["images"] = json!([]);
        }
        let items = wanted["images"].as_array_mut().unwrap();
        match items.iter_mut().find(|item| item["name"] == name) {
            Some(item) => item["newTag"] = json!(to),
            None => items.push(json!({"name": name, "newTag": to})),
        }
        prop_assert_eq!(data(&edited), wanted);

        // What goes is at most the old value with its quotes; all else that differs was added.
        let gone = removed(&text, &edited);
        let old = entry.and_then(|entry| entry.tag.as_ref()).map_or("", |(tag, _)| tag.as_str());
        let bare = gone.trim_matches(['"', '\'']);
        prop_assert!(old.contains(bare), "{gone:?} went, the old tag was {old:?}\n{text}\n{edited}");
        let new_lines = edited.lines().count().abs_diff(text.lines().count());
        prop_assert!(new_lines <= if entry.is_some() { 1 } else { 3 }, "{}\n{}", text, edited);
        if entry.is_some_and(|entry| entry.tag.is_some()) {
            let touched = text.lines().zip(edited.lines()).filter(|(a, b)| a != b).count();
            prop_assert!(touched <= 1 && new_lines == 0, "one line at most");
        }
        prop_assert_eq!(edited.contains("\r\n"), text.contains("\r\n"));
        prop_assert_eq!(set_image(&edited, name, &tag(&to)).unwrap(), edited);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z:\\- \\[\\]{}&*#!|>'\"\n,?~%@]{0,60}") {
        set_image(&text, "web", &tag("v2")).ok();
        images(&text).ok();
    }

    #[test]
    fn a_cut_file_makes_no_panic(case in 0..TAGS.len(), cut in any::<prop::sample::Index>()) {
        let text = TAGS[case].1;
        let cut = text.floor_char_boundary(cut.index(text.len() + 1));
        set_image(&text[..cut], "web", &tag("v2")).ok();
    }
}
