//! Health: the rollout of a whole environment in one word and one reason.

use std::collections::BTreeMap;
use std::time::Duration;

use manifest::ObjectId;

use super::pods::Trouble;
use super::rollout::Progress;
use crate::problem::first;

/// How the rollout of an environment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Everything is what was asked for.
    Healthy,
    /// On the way; the text says what is missing.
    Progressing(String),
    /// Something will not get there by itself; the text says why.
    Failed(String),
}

/// Judges the live objects of an environment by the progress of each; `None` is one that does not exist.
///
/// `troubles` are the pods' own reasons, by the workload they belong to. `waited` is how long ago the last sync
/// was complete, `limit` how long a rollout may take.
#[must_use]
pub fn judge<'a>(
    objects: impl IntoIterator<Item = (&'a ObjectId, Option<&'a Progress>)>,
    troubles: &BTreeMap<ObjectId, Trouble>,
    waited: Duration,
    limit: Duration,
) -> Health {
    let mut waiting = Vec::new();
    for (id, progress) in objects {
        let why = match progress {
            Some(Progress::Current) => continue,
            Some(Progress::Failed(why)) => return Health::Failed(with_trouble(id, why, troubles.get(id))),
            Some(Progress::InProgress(why)) => why.clone(),
            Some(Progress::Terminating) => "is being deleted".to_owned(),
            None => "does not exist yet".to_owned(),
        };
        let trouble = troubles.get(id);
        let text = with_trouble(id, &why, trouble);
        if trouble.is_some_and(|trouble| trouble.lasting) {
            return Health::Failed(text);
        }
        waiting.push((trouble.is_none(), text));
    }
    if waiting.is_empty() {
        return Health::Healthy;
    }
    let text = listed(waiting);
    if waited > limit {
        return Health::Failed(format!("not healthy after {} s: {text}", limit.as_secs()));
    }
    Health::Progressing(text)
}

/// How many objects are named that an environment waits for.
const NAMED: usize = 4;

/// The first of what is waited for, that with a reason of its pods before the rest, and how many more there are.
fn listed(mut waiting: Vec<(bool, String)>) -> String {
    waiting.sort_by_key(|(is_quiet, _)| *is_quiet);
    first(waiting.into_iter().map(|(_, text)| text), NAMED).join("; ")
}

fn with_trouble(id: &ObjectId, why: &str, trouble: Option<&Trouble>) -> String {
    match trouble {
        Some(trouble) => format!("{id}: {trouble}"),
        None => format!("{id}: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::verify::rollout::progress;

    fn mk_id() -> ObjectId {
        ObjectId {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "web".into(),
        }
    }

    fn mk_trouble(lasting: bool) -> BTreeMap<ObjectId, Trouble> {
        let trouble = Trouble {
            pod: "web-1".into(),
            container: None,
            reason: "ImagePullBackOff".into(),
            message: "not found".into(),
            lasting,
        };
        BTreeMap::from([(mk_id(), trouble)])
    }

    #[test]
    fn the_pods_reason_is_told_and_a_lasting_one_ends_the_wait() {
        let id = mk_id();
        let live = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 1},
            "status": {"observedGeneration": 1}});
        let progress = progress(&live);
        let (now, limit) = (Duration::ZERO, Duration::from_secs(60));
        let one = || [(&id, Some(&progress))];
        let failed =
            Health::Failed("Deployment.apps shop/web: ImagePullBackOff: pod web-1: not found".into());
        assert_eq!(judge(one(), &mk_trouble(true), now, limit), failed);
        assert!(
            matches!(judge(one(), &mk_trouble(false), now, limit), Health::Progressing(text) if text.contains("ImagePullBackOff"))
        );
        assert!(
            matches!(judge(one(), &BTreeMap::new(), now, limit), Health::Progressing(text) if text.contains("0 of 1 replicas updated"))
        );
        assert!(
            matches!(judge(one(), &BTreeMap::new(), Duration::from_secs(61), limit), Health::Failed(text) if text.contains("after 60 s"))
        );
        assert_eq!(judge([], &BTreeMap::new(), now, limit), Health::Healthy);
    }

    #[test]
    fn of_many_objects_some_are_named_and_first_those_with_a_reason() {
        let ids: Vec<ObjectId> = (0..50)
            .map(|number| ObjectId {
                name: format!("app-{number}"),
                ..mk_id()
            })
            .chain([mk_id()])
            .collect();
        let objects = ids.iter().map(|id| (id, None));
        let (now, limit) = (Duration::ZERO, Duration::from_secs(60));
        let Health::Progressing(text) = judge(objects, &mk_trouble(false), now, limit) else {
            panic!("51 objects do not exist yet");
        };
        assert!(
            text.starts_with("Deployment.apps shop/web: ImagePullBackOff"),
            "{text}"
        );
        assert!(
            text.ends_with("shop/app-2: does not exist yet; and 47 more"),
            "{text}"
        );
    }
}
