//! A rehearsal for programs: every field of the text.

use serde_json::{Value, json};

use crate::diff::{files, patch};
use crate::reconcile::rehearse::{Applied, End, Passage, PromotionRehearsal, Rehearsal};
use crate::report::paint::Paint;

/// The whole rehearsal.
pub fn document(rehearsal: &Rehearsal) -> Value {
    let environments = rehearsal.environments.iter().map(|environment| {
        let mut document = applied(environment.name.as_str(), &environment.applied);
        document["images"] = json!(environment.images);
        document
    });
    json!({
        "good": rehearsal.is_good(),
        "environments": environments.collect::<Vec<_>>(),
        "promotions": rehearsal.promotions.iter().map(promotion).collect::<Vec<_>>(),
    })
}

fn applied(environment: &str, applied: &Applied) -> Value {
    let mut document = patch::document(environment, &applied.diff);
    let (word, why, problems) = match &applied.end {
        End::Healthy => ("healthy", None, Vec::new()),
        End::Unhealthy(why) => ("unhealthy", Some(why), Vec::new()),
        End::Refused(problems) => ("refused", None, problems.0.clone()),
        End::Unrendered(problems) => ("unrendered", None, problems.0.clone()),
    };
    document["outcome"] = json!(word);
    document["reason"] = json!(why);
    document["problems"] = json!(problems);
    document["notes"] = json!(applied.notes);
    document
}

fn promotion(promotion: &PromotionRehearsal) -> Value {
    let gates = promotion.gates.iter().map(|gate| {
        let (answered, text) = match &gate.answers {
            Ok(who) => (true, who),
            Err(why) => (false, why),
        };
        json!({"name": gate.name, "asks": gate.asks, "answered": answered, "answer": text})
    });
    let mut document = json!({
        "name": promotion.name,
        "from": promotion.from,
        "to": promotion.to,
        "gates": gates.collect::<Vec<_>>(),
        "waits": promotion.waits,
    });
    let (word, why) = match &promotion.passage {
        Passage::Blocked(why) => ("blocked", Some(why)),
        Passage::Refused(why) => ("refused", Some(why)),
        Passage::Nothing => ("nothing", None),
        Passage::Commit { .. } => ("commit", None),
    };
    document["outcome"] = json!(word);
    document["reason"] = json!(why);
    if let Passage::Commit {
        subject,
        before,
        edit,
        applied: outcome,
    } = &promotion.passage
    {
        document["commit"] = json!({
            "subject": subject,
            "files": edit.paths(),
            "patch": files::patch(before.tree(), edit, Paint::default()),
        });
        document["effect"] = applied(promotion.to.as_str(), outcome);
    }
    document
}
