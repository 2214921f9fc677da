//! Scaffold: the files that make a repository gitsync's, for one that has none yet and for one that has kustomize already.
//!
//! Nothing that exists is changed. An overlay that lies elsewhere gets a thin one over it in `environments/<name>/`, with
//! its images, since that is where promotions write.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use super::repository::{ENVIRONMENT_FILE, ENVIRONMENTS, KUSTOMIZATION_FILES, POLICIES};
use super::schema::of_kind;
use crate::model::{Edit, EnvName, ImageRef};
use crate::source::Tree;

/// What a new application is called and runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The name of its Deployment and Service.
    pub name: String,
    /// Its first image.
    pub image: ImageRef,
    /// The port that it listens on.
    pub port: u16,
}

/// The files to add, and what a person has to look at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scaffold {
    /// The files.
    pub edit: Edit,
    /// What was found, and what only a person knows.
    pub notes: Vec<String>,
}

/// Environments in the order in which people use them; others come before, by name.
const ORDER: [&str; 14] = [
    "local",
    "dev",
    "development",
    "test",
    "testing",
    "qa",
    "int",
    "integration",
    "stage",
    "staging",
    "uat",
    "preprod",
    "prod",
    "production",
];

/// How deep overlays are looked for.
const DEPTH: usize = 5;

/// Plans the files for a repository. `contexts` are those of the kubeconfig.
#[must_use]
pub fn plan(tree: &dyn Tree, contexts: &[String], app: &App) -> Scaffold {
    let found = Found::search(tree);
    let mut scaffold = Scaffold::default();
    let mut environments = found.environments();
    if environments.is_empty() {
        scaffold.note("no kustomization was found: this is a new repository");
        scaffold.new_app(app);
        environments = ["staging", "prod"]
            .map(|name| (name.to_owned(), format!("{ENVIRONMENTS}/{name}")))
            .into();
    }
    for (name, dir) in &environments {
        scaffold.environment(tree, &found, name, dir, contexts);
    }
    scaffold.policies(tree, &found, &environments, app);
    // What people have is theirs.
    scaffold
        .edit
        .files
        .retain(|path, _| !matches!(tree.text(path), Ok(Some(_)) | Err(_)));
    scaffold.schemas(tree);
    scaffold
}

/// What a repository has.
#[derive(Default)]
struct Found {
    /// Kustomizations by directory.
    kustomizations: BTreeMap<String, Value>,
    /// Services, those with a load balancer first.
    services: BTreeSet<(bool, String)>,
}

impl Found {
    fn search(tree: &dyn Tree) -> Self {
        let mut found = Self::default();
        found.descend(tree, "", 0);
        found
    }

    fn descend(&mut self, tree: &dyn Tree, dir: &str, depth: usize) {
        for name in tree.list(dir) {
            let path = if dir.is_empty() {
                name.clone()
            } else {
                format!("{dir}/{name}")
            };
            if name.starts_with('.') {
                continue;
            }
            match tree.text(&path) {
                Ok(Some(text))
                    if name.ends_with(".yaml") || name.ends_with(".yml") || name == "Kustomization" =>
                {
                    self.file(dir, &name, &text);
                }
                Ok(None) if depth < DEPTH => self.descend(tree, &path, depth + 1),
                _ => {}
            }
        }
    }

    fn file(&mut self, dir: &str, name: &str, text: &str) {
        use serde::Deserialize as _;
        let documents: Vec<Value> = serde_yaml::Deserializer::from_str(text)
            .map_while(|document| Value::deserialize(document).ok())
            .collect();
        if KUSTOMIZATION_FILES.contains(&name) {
            let first = documents.into_iter().next().unwrap_or(Value::Null);
            if first["kind"] != "Component" {
                self.kustomizations.insert(dir.to_owned(), first);
            }
            return;
        }
        for document in documents.iter().filter(|document| document["kind"] == "Service") {
            if let Some(name) = document["metadata"]["name"].as_str() {
                let outside = document["spec"]["type"] == "LoadBalancer";
                self.services.insert((!outside, name.to_owned()));
            }
        }
    }

    /// The environments by name, in their order, with the directory of their overlay: kustomizations that no other one
    /// stands on.
    fn environments(&self) -> Vec<(String, String)> {
        let below: BTreeSet<String> = self
            .kustomizations
            .iter()
            .flat_map(|(dir, kustomization)| {
                let lists = ["resources", "bases", "components"].map(|key| &kustomization[key]);
                let paths = lists.into_iter().filter_map(Value::as_sequence).flatten();
                paths
                    .filter_map(Value::as_str)
                    .map(|path| join(dir, path))
                    .collect::<Vec<_>>()
            })
            .collect();
        let tops = self
            .kustomizations
            .keys()
            .filter(|dir| !below.contains(*dir) && !dir.is_empty());
        let mut named: Vec<(String, String)> = tops
            .filter_map(|dir| Some((dir.rsplit('/').next()?.to_lowercase(), dir.clone())))
            .filter(|(name, _)| name.parse::<EnvName>().is_ok())
            .collect();
        let place = |name: &str| {
            ORDER
                .iter()
                .position(|known| *known == name)
                .map_or(0, |at| at + 1)
        };
        named.sort_by_key(|(name, dir)| (place(name), name.clone(), !dir.starts_with(ENVIRONMENTS)));
        named.dedup_by(|one, other| one.0 == other.0);
        named
    }
}

/// Whether a word of a context stands for an environment's name, as `prod` does for `production` and `stage` for `staging`.
fn is_short_for(context: &str, name: &str) -> bool {
    let mut words = context.split(|c: char| !c.is_alphanumeric());
    words.any(|word| {
        let stem = word.trim_end_matches('e');
        stem.len() >= 3 && name.starts_with(stem)
    })
}

impl Scaffold {
    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    fn file(&mut self, path: String, text: String) {
        self.edit.files.insert(path, text.into_bytes());
    }

    fn environment(&mut self, tree: &dyn Tree, found: &Found, name: &str, dir: &str, contexts: &[String]) {
        let own = format!("{ENVIRONMENTS}/{name}");
        if dir != own {
            self.note(format!(
                "environment {name}: {own} stands over the overlay in {dir}"
            ));
            let images = images_text(found.kustomizations.get(dir));
            if images.is_empty() {
                self.note(format!(
                    "{own}/kustomization.yaml: list the images under `images:`; promotions write there"
                ));
            }
            let up = "../".repeat(own.split('/').count());
            self.file(
                format!("{own}/kustomization.yaml"),
                format!("resources:\n- {up}{dir}\n{images}"),
            );
        }
        let file = format!("{own}/{ENVIRONMENT_FILE}");
        let exact = contexts.iter().find(|context| *context == name);
        let near = || contexts.iter().find(|context| context.contains(name));
        let short = || contexts.iter().find(|context| is_short_for(context, name));
        let context = exact.or_else(near).or_else(short);
        if matches!(tree.text(&file), Ok(None)) {
            self.note(match context {
                Some(context) => format!("environment {name} is in context {context}"),
                None => format!(
                    "{file}: the kubeconfig has no context that looks like {name}; set spec.cluster.context"
                ),
            });
        }
        let context = context.map_or(name, String::as_str);
        let text = format!(
            "{}apiVersion: gitsync.dev/v1alpha1\nkind: Environment\nmetadata:\n  name: {name}\nspec:\n  cluster:\n    context: {}\n  sync:\n    interval: 30s\n    timeout: 5m\n",
            modeline("../../", "Environment"),
            quoted(context)
        );
        self.file(file, text);
    }

    fn policies(&mut self, tree: &dyn Tree, found: &Found, environments: &[(String, String)], app: &App) {
        let has = |kind: &str| {
            tree.list(POLICIES).iter().any(|name| {
                let text = tree
                    .text(&format!("{POLICIES}/{name}"))
                    .ok()
                    .flatten()
                    .unwrap_or_default();
                text.lines().any(|line| line == format!("kind: {kind}"))
            })
        };
        if has("Promotion") || environments.len() < 2 {
            return;
        }
        let service = found.services.first().map(|(_, name)| name.clone());
        let service = service.unwrap_or_else(|| app.name.clone());
        self.note(format!(
            "the load check asks service {service} for /; see {POLICIES}/load-check.yaml"
        ));
        if !has("LoadCheck") {
            let text = format!(
                "{}apiVersion: gitsync.dev/v1alpha1\nkind: LoadCheck\nmetadata:\n  name: acceptance\nspec:\n  target:\n    service: {service}\n    path: /\n  vus: 10\n  duration: 10s\n  thresholds:\n    http_req_duration: [\"p(90)<600\"]\n    http_req_failed: [\"rate<0.01\"]\n",
                modeline("../", "LoadCheck")
            );
            self.file(format!("{POLICIES}/load-check.yaml"), text);
        }
        let steps = environments.iter().zip(environments.iter().skip(1)).map(|((from, _), (to, _))| {
            format!(
                "apiVersion: gitsync.dev/v1alpha1\nkind: Promotion\nmetadata:\n  name: {from}-to-{to}\nspec:\n  from: {from}\n  to: {to}\n  gates:\n  - loadCheck: acceptance\n"
            )
        });
        let steps: Vec<String> = steps.collect();
        let order: Vec<&str> = environments.iter().map(|(name, _)| name.as_str()).collect();
        self.note(format!("what passes the load check goes {}", order.join(" → ")));
        self.file(
            format!("{POLICIES}/promotion.yaml"),
            modeline("../", "Promotion") + &steps.join("---\n"),
        );
    }

    /// The schemas that the new files name.
    fn schemas(&mut self, tree: &dyn Tree) {
        for kind in ["Environment", "LoadCheck", "Promotion"] {
            let path = schema_path(kind);
            let is_named = |text: &Vec<u8>| String::from_utf8_lossy(text).contains(&path);
            let needed = self.edit.files.values().any(is_named) && matches!(tree.text(&path), Ok(None));
            if let Some(schema) = of_kind(kind).filter(|_| needed) {
                self.file(path, format!("{schema:#}\n"));
            }
        }
    }

    fn new_app(&mut self, app: &App) {
        let App { name, image, port } = app;
        let dir = format!("apps/{name}");
        self.file(
            format!("{dir}/kustomization.yaml"),
            "resources:\n- deployment.yaml\n- service.yaml\n".to_owned(),
        );
        self.file(
            format!("{dir}/deployment.yaml"),
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\nspec:\n  replicas: 3\n  selector:\n    matchLabels:\n      app: {name}\n  template:\n    metadata:\n      labels:\n        app: {name}\n    spec:\n      containers:\n      - name: {name}\n        image: {}\n        ports:\n        - containerPort: {port}\n        readinessProbe:\n          httpGet:\n            path: /\n            port: {port}\n        resources:\n          limits:\n            memory: 256Mi\n            cpu: 500m\n",
                image.repository
            ),
        );
        self.file(
            format!("{dir}/service.yaml"),
            format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  type: LoadBalancer\n  selector:\n    app: {name}\n  ports:\n  - port: 80\n    targetPort: {port}\n"),
        );
        let pin = match (&image.tag, &image.digest) {
            (_, Some(digest)) => format!("  digest: {digest}\n"),
            (tag, None) => format!("  newTag: {}\n", quoted(tag.as_deref().unwrap_or("latest"))),
        };
        for environment in ["staging", "prod"] {
            let own = format!("{ENVIRONMENTS}/{environment}");
            self.file(
                format!("{own}/kustomization.yaml"),
                format!("namespace: {name}\nresources:\n- namespace.yaml\n- ../../{dir}\nimages:\n- name: {}\n{pin}", image.repository),
            );
            self.file(
                format!("{own}/namespace.yaml"),
                format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n"),
            );
        }
    }
}

/// The `images:` of an overlay, for the one that stands over it.
fn images_text(kustomization: Option<&Value>) -> String {
    let images = kustomization.and_then(|kustomization| kustomization["images"].as_sequence());
    let Some(images) = images.filter(|images| !images.is_empty()) else {
        return String::new();
    };
    let entry = |image: &Value| {
        let name = image["newName"].as_str().or(image["name"].as_str())?;
        let pair = |key: &str| Some(format!("  {key}: {}\n", quoted(image[key].as_str()?)));
        let pin = pair("digest").or_else(|| pair("newTag")).unwrap_or_default();
        Some(format!("- name: {name}\n{pin}"))
    };
    let entries: String = images.iter().filter_map(entry).collect();
    format!("images:\n{entries}")
}

/// A text as YAML reads it back: in quotes where it could be anything but a text.
fn quoted(text: &str) -> String {
    serde_yaml::to_string(text).map_or_else(|_| format!("\"{text}\""), |yaml| yaml.trim_end().to_owned())
}

/// The line that tells an editor where the schema of a file is; `up` leads from the file to the root.
fn modeline(up: &str, kind: &str) -> String {
    format!("# yaml-language-server: $schema={up}{}\n", schema_path(kind))
}

/// Where the schema of a kind lies in a repository: beside what it describes, so that it needs no network and no account.
fn schema_path(kind: &str) -> String {
    format!(".gitsync/{}.schema.json", kind.to_lowercase())
}

/// A path as it is from the root, of one that starts in `dir`.
fn join(dir: &str, path: &str) -> String {
    let mut parts: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::repository;
    use crate::source::testing::MemoryTree;

    fn mk_app() -> App {
        App {
            name: "web".into(),
            image: "team/web:0644".parse().unwrap(),
            port: 8080,
        }
    }

    /// The tree with the planned files, read as gitsync reads it.
    fn read(mut tree: MemoryTree, scaffold: &Scaffold) -> repository::Config {
        for (path, content) in &scaffold.edit.files {
            tree.insert(path, std::str::from_utf8(content).unwrap());
        }
        repository::read(&tree).unwrap()
    }

    #[test]
    fn a_new_repository_is_valid_and_promotes() {
        let scaffold = plan(
            &MemoryTree::default(),
            &["staging".into(), "my-prod".into()],
            &mk_app(),
        );
        let config = read(MemoryTree::default(), &scaffold);
        assert_eq!(config.promotions["staging-to-prod"].gates, ["acceptance"]);
        let prod = &config.environments[&"prod".parse().unwrap()];
        assert_eq!(prod.spec.cluster.context.as_deref(), Some("my-prod"));
        let overlay = String::from_utf8_lossy(&scaffold.edit.files["environments/prod/kustomization.yaml"]);
        assert!(
            overlay.contains("newTag: '0644'"),
            "a number would lose its zero: {overlay}"
        );
    }

    #[test]
    fn overlays_elsewhere_are_adopted_with_their_images_and_in_their_order() {
        let mut tree = MemoryTree::default();
        tree.insert("base/kustomization.yaml", "resources: [service.yaml]\n");
        tree.insert(
            "base/service.yaml",
            "kind: Service\nmetadata: {name: shop}\nspec: {type: LoadBalancer}\n",
        );
        for name in ["production", "dev", "qa"] {
            let overlay =
                "resources: [../../base]\nimages:\n- name: shop\n  newName: team/shop\n  newTag: v1\n";
            tree.insert(&format!("overlays/{name}/kustomization.yaml"), overlay);
        }
        let scaffold = plan(&tree, &[], &mk_app());
        let config = read(tree, &scaffold);
        let promotions: Vec<&String> = config.promotions.keys().collect();
        assert_eq!(promotions, ["dev-to-qa", "qa-to-production"]);
        let overlay = String::from_utf8_lossy(&scaffold.edit.files["environments/qa/kustomization.yaml"]);
        assert_eq!(
            overlay,
            "resources:\n- ../../overlays/qa\nimages:\n- name: team/shop\n  newTag: v1\n"
        );
        assert_eq!(
            config.load_checks["acceptance"]
                .target
                .service
                .as_ref()
                .unwrap()
                .name,
            "shop"
        );
        assert!(
            scaffold
                .notes
                .iter()
                .any(|note| note.contains("no context that looks like qa")),
            "{:#?}",
            scaffold.notes
        );
    }

    #[test]
    fn a_context_may_have_a_shorter_name_than_its_environment() {
        for (context, name, expected) in [
            ("prod", "production", true),
            ("eks_eu-west-1_prod", "production", true),
            ("stage", "staging", true),
            ("dev", "development", true),
            ("pre", "production", false),
            ("eu", "europe", false),
            ("staging", "production", false),
        ] {
            assert_eq!(is_short_for(context, name), expected, "{context} for {name}");
        }
    }

    #[test]
    fn what_exists_is_never_written() {
        let mut tree = MemoryTree::default();
        let scaffold = plan(&tree, &[], &mk_app());
        for (path, content) in &scaffold.edit.files {
            tree.insert(path, std::str::from_utf8(content).unwrap());
        }
        assert!(plan(&tree, &[], &mk_app()).edit.is_empty());
    }
}
