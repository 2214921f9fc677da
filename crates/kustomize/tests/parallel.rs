//! Builds of so many parts that threads share the work: all must be as if one had done it.

use std::fmt::Write as _;

use kustomize::{MemoryFiles, Options, build};

const BASES: usize = 300;

/// An overlay of many bases, each with a deprecated field. What a base adds to its kustomization is up to the caller.
fn overlay(more: impl Fn(usize) -> &'static str) -> MemoryFiles {
    let mut files = MemoryFiles::new();
    let mut top = String::from("sortOptions: {order: fifo}\nresources:\n");
    for base in 0..BASES {
        let object = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c{base}\n");
        files.insert(format!("b{base}/object.yaml"), object);
        let kustomization = format!(
            "commonLabels: {{base: b{base}}}\nresources:\n- object.yaml\n{}",
            more(base)
        );
        files.insert(format!("b{base}/kustomization.yaml"), kustomization);
        let _ = writeln!(top, "- b{base}");
    }
    files.insert("kustomization.yaml", top);
    files
}

#[test]
fn objects_and_warnings_come_in_the_order_of_the_bases() {
    let files = overlay(|_| "");
    let built = build(&files, "", &Options::default()).unwrap();
    let names: Vec<String> = built
        .manifests
        .iter()
        .map(|object| object.name().to_owned())
        .collect();
    let expected: Vec<String> = (0..BASES).map(|base| format!("c{base}")).collect();
    assert_eq!(names, expected);
    for (base, object) in built.manifests.iter().enumerate() {
        assert_eq!(object.value()["metadata"]["labels"]["base"], format!("b{base}"));
        assert_eq!(&*object.origin().file, format!("b{base}/object.yaml"));
    }
    let warned: Vec<&str> = built
        .warnings
        .iter()
        .map(|warning| warning.file.as_str())
        .collect();
    let expected: Vec<String> = (0..BASES)
        .map(|base| format!("b{base}/kustomization.yaml"))
        .collect();
    assert_eq!(warned, expected);
    assert_eq!(built.files_read.len(), 2 * BASES + 1);
}

#[test]
fn problems_come_in_the_order_of_the_bases() {
    let files = overlay(|base| match base % 100 {
        7 => "- missing.yaml\n",
        8 => "nonsense: true\n",
        _ => "",
    });
    let errors = build(&files, "", &Options::default()).unwrap_err();
    let places: Vec<String> = errors
        .to_string()
        .lines()
        .map(|line| line[..line.find(": ").unwrap()].to_owned())
        .collect();
    let expected: Vec<String> = [0, 100, 200]
        .iter()
        .flat_map(|hundred| {
            [
                format!("b{}/kustomization.yaml:4", hundred + 7),
                format!("b{}/kustomization.yaml:4", hundred + 8),
            ]
        })
        .collect();
    assert_eq!(places, expected, "{errors}");
}

#[test]
fn one_kustomization_too_many_is_refused_whoever_reads_it() {
    let mut options = Options::default();
    options.max_kustomizations = BASES;
    let errors = build(&overlay(|_| ""), "", &options).unwrap_err();
    assert!(
        errors.to_string().contains("more than 300 kustomizations"),
        "{errors}"
    );
    options.max_kustomizations = BASES + 1;
    build(&overlay(|_| ""), "", &options).unwrap();
}
