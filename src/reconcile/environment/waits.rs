//! Waits: what is proved here and waits for a person or the clock, with the commit as it would be, for people to see.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Reconciler, View};
use crate::config::repository::Promotion;
use crate::model::Revision;
use crate::promote::guard;
use crate::promote::proof::Proof;
use crate::reconcile::promotion::{barred, gates_hash, preview};
use crate::record::Record;
use crate::report::board::WaitView;

/// What each promotion would commit, by the commit and the evidence that it was made for; `None` when nothing.
pub(super) type Previews = BTreeMap<String, (Revision, String, Option<String>)>;

impl Reconciler {
    /// Publishes what waits. It costs nothing but the clock as long as git and the evidence stay.
    pub(super) async fn publish_waits(&mut self, view: &View<'_>, record: &Record) {
        let name = self.name.clone();
        let promotions: Vec<&Promotion> = view.head.config.promotions_from(&name).collect();
        self.previews
            .retain(|name, _| promotions.iter().any(|promotion| promotion.name == *name));
        let mut waits = Vec::new();
        for promotion in promotions {
            waits.extend(self.wait(view, promotion, record).await);
        }
        self.shared.hub.environment(&name, |board| board.waits = waits);
    }

    async fn wait(&mut self, view: &View<'_>, promotion: &Promotion, record: &Record) -> Option<WaitView> {
        let key = record
            .synced
            .as_ref()?
            .evidence_key(&gates_hash(promotion, &view.head.config));
        let proof = Proof::of(record.verifications.get(&promotion.name)?, &key)?;
        let bar = barred(view.head, promotion, proof).ok()??;
        let next = self.preview(view, promotion, proof).await?;
        let to = view.head.config.environments.get(&promotion.to)?;
        let until = guard::ends(&bar, to, promotion, proof, Timestamp::now());
        Some(WaitView {
            promotion: promotion.name.clone(),
            kind: bar.word().to_owned(),
            message: bar.to_string(),
            until: until.map(|until| until.to_string()),
            evidence: proof.evidence(),
            next,
        })
    }

    async fn preview(&mut self, view: &View<'_>, promotion: &Promotion, proof: Proof<'_>) -> Option<String> {
        let (revision, evidence) = (view.head.snapshot.revision(), proof.evidence());
        match self.previews.get(&promotion.name) {
            Some((known, of, next)) if known == revision && *of == evidence => return next.clone(),
            _ => {}
        }
        let next = match preview(&self.shared.remote, view.head, promotion, proof).await {
            Ok(next) => next.map(super::publish::shortened),
            Err(error) => {
                tracing::debug!(%error, "the coming promotion cannot be shown");
                return None;
            }
        };
        let known = (revision.clone(), evidence, next.clone());
        self.previews.insert(promotion.name.clone(), known);
        next
    }
}
