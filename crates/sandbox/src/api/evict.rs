//! Evict: the deletion of a pod that a disruption budget may forbid, and the end of a namespace.

use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};

use super::write::serialise;
use super::{Api, Caller, DeleteOptions, Target, WriteOptions, Written, key};
use crate::selector::Selector;
use crate::status::Status;

impl Api {
    /// Deletes a pod if its disruption budget allows it, and counts it there.
    ///
    /// # Errors
    /// 404 if there is no such pod, 429 if the budget is used up.
    pub fn evict(self: &Arc<Self>, target: &Target, options: &DeleteOptions) -> Result<(), Status> {
        let pod = self.read(&target.kind, &target.namespace, &target.name)?.value();
        let is_over = matches!(
            pod["status"]["phase"].as_str(),
            Some("Succeeded" | "Failed" | "Pending")
        );
        if !is_over {
            self.use_budget(target, &pod, options.dry_run)?;
        }
        self.delete(target, options).map(drop)
    }

    fn use_budget(&self, target: &Target, pod: &Value, dry_run: bool) -> Result<(), Status> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let resource = "poddisruptionbudgets.policy";
        let budgets = self.store.list(resource, &format!("{}/", target.namespace));
        let matching = budgets.objects.iter().find_map(|stored| {
            let budget = stored.value();
            let selector = Selector::of_object(budget["spec"].get("selector"));
            selector.matches_object(pod).then_some((stored, budget))
        });
        let Some((stored, mut budget)) = matching else {
            return Ok(());
        };
        let allowed = budget["status"]["disruptionsAllowed"].as_i64().unwrap_or(0);
        if allowed <= 0 {
            let name = budget["metadata"]["name"].as_str().unwrap_or_default();
            let count = |field: &str| budget["status"][field].as_i64().unwrap_or(0);
            let why = format!(
                "The disruption budget {name} needs {} healthy pods and has {} currently",
                count("desiredHealthy"),
                count("currentHealthy")
            );
            let message = "Cannot evict pod as it would violate the pod's disruption budget.";
            let mut status = Status::new(429, "TooManyRequests", message);
            status.details = Some(Box::new(
                json!({ "causes": [{ "reason": "DisruptionBudget", "message": why }] }),
            ));
            return Err(status);
        }
        if dry_run {
            return Ok(());
        }
        budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
        budget["status"]["disruptedPods"][&target.name] = self.clock.stamp().into();
        let put = self
            .store
            .put(resource, &stored.key, Some(stored.revision), |revision| {
                serialise(&mut budget, revision)
            });
        put.map(drop).map_err(|_| Status::modified(resource, &stored.key))
    }

    /// Sets what holds a namespace; the namespace goes if it is deleted and nothing does.
    ///
    /// # Errors
    /// 404 if there is none.
    pub fn finalize(
        self: &Arc<Self>,
        target: &Target,
        finalizers: Value,
        options: &WriteOptions,
        _caller: &Caller,
    ) -> Result<Written, Status> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = self.read(&target.kind, &target.namespace, &target.name)?;
        let mut object = stored.value();
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            match finalizers {
                Value::Array(list) if !list.is_empty() => {
                    drop(spec.insert("finalizers".to_owned(), list.into()))
                }
                _ => drop(spec.shift_remove("finalizers")),
            }
        }
        if !options.dry_run {
            let resource = target.kind.resource();
            if super::write::is_released(&object) {
                self.remove(target, &stored, &mut object)?;
            } else {
                let key = key(&target.kind, &target.namespace, &target.name);
                let put = self
                    .store
                    .put(&resource, &key, Some(stored.revision), |revision| {
                        serialise(&mut object, revision)
                    });
                put.map_err(|_| Status::modified(&resource, &target.name))?;
            }
        }
        Ok(Written {
            object,
            created: false,
            warnings: Vec::new(),
        })
    }
}
