//! Hooks: Jobs that run before or after a sync, once for every state that git asks for.

use manifest::Manifest;
use serde_json::Value;

use crate::problem::Problem;

/// The annotations that make an object a hook: ours and Argo CD's.
const HOOK: [&str; 2] = ["gitsync.dev/hook", "argocd.argoproj.io/hook"];

/// The annotations that say when a hook's Job is deleted: ours and Argo CD's.
const DELETE: [&str; 2] = [
    "gitsync.dev/hook-delete-policy",
    "argocd.argoproj.io/hook-delete-policy",
];

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before the first object is applied.
    PreSync,
    /// When everything is applied and healthy, before anything is pruned or verified.
    PostSync,
}

/// One hook.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The Job.
    pub manifest: Manifest,
    /// When it runs.
    pub phase: Phase,
    /// Whether its Job is deleted once it succeeded.
    pub delete_succeeded: bool,
}

/// What an object says of itself.
enum Said {
    /// It is no hook.
    Object,
    /// It asks not to be applied.
    Skip,
    /// It is a hook.
    Hook(Phase),
}

/// Takes the hooks out of `objects`, and what asks to be skipped.
///
/// # Errors
///
/// Every hook that is no Job or runs at a time that there is none for, with its line.
pub fn split(objects: Vec<Manifest>) -> Result<(Vec<Manifest>, Vec<Hook>), Vec<Problem>> {
    let (mut plain, mut hooks, mut problems) = (Vec::with_capacity(objects.len()), Vec::new(), Vec::new());
    for manifest in objects {
        match said(&manifest) {
            Ok(Said::Object) => plain.push(manifest),
            Ok(Said::Skip) => {}
            Ok(Said::Hook(phase)) => {
                let policy = stated(manifest.value(), DELETE).map_or("", |(_, text)| text);
                let says = |ours: &str, argos: &str| words(policy).any(|word| word == ours || word == argos);
                hooks.push(Hook {
                    phase,
                    delete_succeeded: says("hook-succeeded", "HookSucceeded"),
                    manifest,
                });
            }
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok((plain, hooks))
    } else {
        Err(problems)
    }
}

fn said(manifest: &Manifest) -> Result<Said, Problem> {
    let Some((key, text)) = stated(manifest.value(), HOOK) else {
        return Ok(Said::Object);
    };
    let problem = |message: String| {
        let pointer = format!("/metadata/annotations/{}", key.replace('/', "~1"));
        let origin = manifest.line_of(&pointer);
        Problem::new(message)
            .at(origin.as_ref().or(Some(manifest.origin())))
            .object(&manifest.id())
            .field(format!("metadata.annotations[{key}]"))
    };
    let phase = match text.trim() {
        "pre-sync" | "PreSync" => Phase::PreSync,
        "post-sync" | "PostSync" => Phase::PostSync,
        "Sync" => return Ok(Said::Object),
        "Skip" | "skip" => return Ok(Said::Skip),
        other => {
            return Err(
                problem(format!("there is no hook `{other}`")).hint("the hooks are pre-sync and post-sync")
            );
        }
    };
    let gvk = manifest.gvk();
    if (gvk.group.as_str(), gvk.kind.as_str()) != ("batch", "Job") {
        return Err(problem(format!("a {} cannot be a hook", gvk.kind))
            .hint("hooks are Jobs; give another object a sync wave: gitsync.dev/sync-wave"));
    }
    Ok(Said::Hook(phase))
}

fn stated<'o>(object: &'o Value, keys: [&'static str; 2]) -> Option<(&'static str, &'o str)> {
    let annotations = &object["metadata"]["annotations"];
    keys.into_iter()
        .find_map(|key| Some((key, annotations[key].as_str()?)))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim)
}

// === impl Phase ===

impl Phase {
    /// The word for it, as the annotation and the record say it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PreSync => "pre-sync",
            Self::PostSync => "post-sync",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk(kind: &str, annotation: &str) -> Vec<Manifest> {
        let version = if kind == "Job" { "batch/v1" } else { "v1" };
        let text = format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: a\n  annotations:\n    {annotation}\n"
        );
        Manifest::parse(&text, "a.yaml").unwrap()
    }

    #[test]
    fn hooks_are_told_from_objects() {
        for (annotation, phase) in [
            ("gitsync.dev/hook: pre-sync", Some(Phase::PreSync)),
            ("gitsync.dev/hook: post-sync", Some(Phase::PostSync)),
            ("argocd.argoproj.io/hook: PreSync", Some(Phase::PreSync)),
            ("argocd.argoproj.io/hook: PostSync", Some(Phase::PostSync)),
            ("argocd.argoproj.io/hook: Sync", None),
            ("other: value", None),
        ] {
            let (plain, hooks) = split(mk("Job", annotation)).unwrap();
            assert_eq!(hooks.first().map(|hook| hook.phase), phase, "{annotation}");
            assert_eq!(plain.len() + hooks.len(), 1, "{annotation}");
        }
        let (plain, hooks) = split(mk("ConfigMap", "argocd.argoproj.io/hook: Skip")).unwrap();
        assert!(plain.is_empty() && hooks.is_empty());
        let both = "gitsync.dev/hook: pre-sync\n    argocd.argoproj.io/hook-delete-policy: BeforeHookCreation, HookSucceeded";
        let (_, hooks) = split(mk("Job", both)).unwrap();
        assert!(hooks[0].delete_succeeded);
    }

    #[test]
    fn what_cannot_be_a_hook_is_told_with_its_line() {
        for (kind, annotation, says) in [
            (
                "ConfigMap",
                "gitsync.dev/hook: pre-sync",
                "a ConfigMap cannot be a hook",
            ),
            ("Job", "gitsync.dev/hook: presync", "there is no hook `presync`"),
            (
                "Job",
                "argocd.argoproj.io/hook: SyncFail",
                "there is no hook `SyncFail`",
            ),
        ] {
            let told = split(mk(kind, annotation)).unwrap_err()[0].to_string();
            assert!(told.starts_with("a.yaml:6: ") && told.contains(says), "{told}");
        }
    }
}
