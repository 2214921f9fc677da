//! Trees: the kustomizations that the benchmark builds, the same bytes each time.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A kustomization that is nothing but one ConfigMap.
pub fn config_map(dir: &Path) {
    write(
        dir,
        "settings.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  mode: fast\n",
    );
    write(dir, "kustomization.yaml", "resources:\n- settings.yaml\n");
}

/// An overlay of so many apps, each a base of five objects in files of their own, and of a Namespace.
pub fn overlay(dir: &Path, apps: usize) {
    let mut top = String::from(
        "namespace: prod\n\
         labels:\n- pairs:\n    env: prod\n  includeSelectors: true\n\
         images:\n- name: registry.example.com/app\n  newTag: v2.0.0\n\
         replicas:\n- name: app-0007\n  count: 5\n\
         patches:\n- path: patch.yaml\n\
         resources:\n- namespace.yaml\n",
    );
    for app in 0..apps {
        let name = format!("app-{app:04}");
        let base = format!("apps/{name}");
        let mut kustomization = String::from("resources:\n");
        for (kind, text) in objects(&name) {
            write(dir, &format!("{base}/{kind}.yaml"), &text);
            let _ = writeln!(kustomization, "- {kind}.yaml");
        }
        write(dir, &format!("{base}/kustomization.yaml"), &kustomization);
        let _ = writeln!(top, "- {base}");
    }
    write(
        dir,
        "namespace.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: prod\n",
    );
    write(
        dir,
        "patch.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-0003\nspec:\n  template:\n    spec:\n      \
         containers:\n      - name: main\n        env:\n        - name: VAR_3\n          value: patched\n",
    );
    write(dir, "kustomization.yaml", &top);
}

/// A base of so many apps in one file.
pub fn objects_of(dir: &Path, apps: usize) {
    let texts: Vec<String> = (0..apps)
        .flat_map(|app| objects(&format!("app-{app:04}")))
        .map(|(_, text)| text)
        .collect();
    write(dir, "objects.yaml", &texts.join("---\n"));
    write(dir, "kustomization.yaml", "resources:\n- objects.yaml\n");
}

/// So many layers upon a base of 100 objects, each with a component that labels all and patches one.
pub fn layers(dir: &Path, count: usize) {
    objects_of(&dir.join("layers/0"), 20);
    for layer in 1..=count {
        let component = format!(
            "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nlabels:\n- pairs:\n    layer-{layer}: \"yes\"\n\
             patches:\n- target:\n    kind: Deployment\n    name: app-{:04}\n  patch: |-\n    - op: replace\n      \
             path: /spec/replicas\n      value: {layer}\n",
            layer % 20
        );
        write(dir, &format!("components/{layer}/kustomization.yaml"), &component);
        let text = format!(
            "resources:\n- ../{}\ncomponents:\n- ../../components/{layer}\n",
            layer - 1
        );
        write(dir, &format!("layers/{layer}/kustomization.yaml"), &text);
    }
    write(
        dir,
        "kustomization.yaml",
        &format!("resources:\n- layers/{count}\n"),
    );
}

/// One kustomization of so many objects in ten files, with a name prefix, a label in all selectors, and two images.
pub fn single(dir: &Path, count: usize) {
    let documents: Vec<String> = (0..count / 5)
        .flat_map(|app| objects(&format!("app-{app:04}")))
        .map(|(_, text)| text)
        .collect();
    let mut resources = String::new();
    for (part, documents) in documents.chunks(documents.len().div_ceil(10)).enumerate() {
        write(dir, &format!("part-{part}.yaml"), &documents.join("---\n"));
        let _ = writeln!(resources, "- part-{part}.yaml");
    }
    let digest = "ab".repeat(32);
    let kustomization = format!(
        "namePrefix: prod-\n\
         labels:\n- pairs:\n    env: prod\n  includeSelectors: true\n\
         images:\n- name: registry.example.com/app\n  newTag: v2.0.0\n\
         - name: envoyproxy/envoy\n  digest: sha256:{digest}\n\
         resources:\n{resources}"
    );
    write(dir, "kustomization.yaml", &kustomization);
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    let parent = path.parent().expect("because the path lies in the directory");
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(&path, text))
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// Five objects of an app that refer to each other, by the name of their file.
fn objects(name: &str) -> [(&'static str, String); 5] {
    let head = |version: &str, kind: &str| {
        format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {name}\n  labels:\n    app: {name}\n"
        )
    };
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let env = lines(8, &|at| {
        format!("        - name: VAR_{at}\n          value: value {at}\n")
    });
    let data = lines(10, &|at| format!("    key.{at}=value {at}\n"));
    let deployment = format!(
        "{}spec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: {name}\n  template:\n    metadata:\n      \
         labels:\n        app: {name}\n    spec:\n      serviceAccountName: {name}\n      containers:\n      \
         - name: main\n        image: registry.example.com/app:v1.0.0\n        ports:\n        \
         - containerPort: 8080\n          name: http\n        envFrom:\n        - configMapRef:\n            \
         name: {name}\n        env:\n{env}        resources:\n          limits:\n            cpu: 500m\n            \
         memory: 256Mi\n          requests:\n            cpu: 50m\n            memory: 64Mi\n        \
         livenessProbe:\n          httpGet:\n            path: /healthz\n            port: http\n        \
         volumeMounts:\n        - name: cfg\n          mountPath: /etc/app\n      - name: proxy\n        \
         image: envoyproxy/envoy:v1.29.0\n      volumes:\n      - name: cfg\n        configMap:\n          \
         name: {name}\n",
        head("apps/v1", "Deployment")
    );
    let service = format!(
        "{}spec:\n  selector:\n    app: {name}\n  ports:\n  - name: http\n    port: 80\n    targetPort: http\n",
        head("v1", "Service")
    );
    let config_map = format!(
        "{}data:\n  app.properties: |\n{data}  mode: \"on\"\n",
        head("v1", "ConfigMap")
    );
    let ingress = format!(
        "{}spec:\n  rules:\n  - host: {name}.example.com\n    http:\n      paths:\n      - path: /\n        \
         pathType: Prefix\n        backend:\n          service:\n            name: {name}\n            port:\n              \
         name: http\n",
        head("networking.k8s.io/v1", "Ingress")
    );
    [
        ("deployment", deployment),
        ("service", service),
        ("configmap", config_map),
        ("serviceaccount", head("v1", "ServiceAccount")),
        ("ingress", ingress),
    ]
}
