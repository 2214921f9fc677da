//! Claims: a PersistentVolumeClaim is bound to a volume that pretends to hold data.

use serde_json::{Value, json};

use super::Plain;
use super::decision::{Decision, Write};
use super::view::{Place, View, is_leaving};
use crate::kinds::fields::{items, text};

const COMPONENT: &str = "persistentvolume-controller";

pub const CONTROLLER: Plain = Plain {
    manager: COMPONENT,
    concerns,
    decide,
};

fn concerns(view: &View, place: &Place, object: &Value) -> Vec<Place> {
    let claim = |namespace: &str, name: &str| Place {
        resource: "persistentvolumeclaims".into(),
        key: format!("{namespace}/{name}"),
    };
    match &*place.resource {
        "persistentvolumeclaims" => vec![place.clone()],
        "persistentvolumes" => {
            let reference = &object["spec"]["claimRef"];
            let bound = claim(text(reference, "namespace"), text(reference, "name"));
            vec![place.clone(), bound]
        }
        // A claim goes when the last pod has gone that uses it.
        "pods" if view.at(place).is_none() => items(&object["spec"], "volumes")
            .iter()
            .map(|volume| text(&volume["persistentVolumeClaim"], "claimName"))
            .filter(|name| !name.is_empty())
            .map(|name| claim(place.namespace(), name))
            .collect(),
        _ => Vec::new(),
    }
}

fn decide(view: &View, place: &Place) -> Decision {
    let Some(object) = view.at(place) else {
        return Decision::nothing();
    };
    match (&*place.resource, is_leaving(object)) {
        ("persistentvolumeclaims", false) => bind(view, object),
        ("persistentvolumeclaims", true) if is_used(view, object) => Decision::nothing(),
        ("persistentvolumeclaims", true) => release(place, object, "kubernetes.io/pvc-protection"),
        (_, true) => release(place, object, "kubernetes.io/pv-protection"),
        _ => settle(view, object),
    }
}

fn bind(view: &View, claim: &Value) -> Decision {
    let mut decision = Decision::nothing();
    let metadata = &claim["metadata"];
    if text(&claim["status"], "phase") == "Bound" {
        return decision;
    }
    let name = match text(&claim["spec"], "volumeName") {
        "" => format!("pvc-{}", text(metadata, "uid")),
        name => name.to_owned(),
    };
    let Some(volume) = view.get("persistentvolumes", "", &name) else {
        decision.push(Write::Create("persistentvolumes", volume_for(claim, &name)));
        let message = format!("Successfully provisioned volume {name}");
        decision.tell(COMPONENT, claim, "ProvisioningSucceeded", message);
        return decision;
    };
    let mut bound = claim.clone();
    if bound["spec"]["volumeName"] != name {
        bound["spec"]["volumeName"] = name.into();
        bound["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] = "yes".into();
        decision.push(Write::Update("persistentvolumeclaims".to_owned(), bound));
        return decision;
    }
    let status = json!({
        "phase": "Bound", "accessModes": claim["spec"]["accessModes"], "capacity": volume["spec"]["capacity"],
    });
    decision.status("persistentvolumeclaims", claim, status);
    decision
}

fn volume_for(claim: &Value, name: &str) -> Value {
    let metadata = &claim["metadata"];
    let mut volume = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": "sandbox"}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "volumeMode": claim["spec"]["volumeMode"],
            "hostPath": {"path": format!("/sandbox/{name}")},
            "claimRef": {
                "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": metadata["namespace"],
                "name": metadata["name"], "uid": metadata["uid"],
            },
        },
    });
    if !text(&claim["spec"], "storageClassName").is_empty() {
        volume["spec"]["storageClassName"] = claim["spec"]["storageClassName"].clone();
    }
    volume
}

/// The phase of a volume; one that was made for a claim goes with it.
fn settle(view: &View, volume: &Value) -> Decision {
    let mut decision = Decision::nothing();
    let reference = &volume["spec"]["claimRef"];
    let claim = view.get(
        "persistentvolumeclaims",
        text(reference, "namespace"),
        text(reference, "name"),
    );
    let is_bound = claim.is_some_and(|claim| claim["metadata"]["uid"] == reference["uid"]);
    let phase = match (reference.is_object(), is_bound) {
        (false, _) => "Available",
        (true, true) => "Bound",
        (true, false) => "Released",
    };
    let is_ours = text(
        &volume["metadata"]["annotations"],
        "pv.kubernetes.io/provisioned-by",
    ) == "sandbox";
    if phase == "Released" && is_ours {
        decision.delete("persistentvolumes", volume);
        return decision;
    }
    let mut status = volume["status"].clone();
    status["phase"] = phase.into();
    decision.status("persistentvolumes", volume, status);
    decision
}

fn is_used(view: &View, claim: &Value) -> bool {
    let name = text(&claim["metadata"], "name");
    let mut pods = view.within("pods", text(&claim["metadata"], "namespace"));
    let uses = |volume: &Value| text(&volume["persistentVolumeClaim"], "claimName") == name;
    pods.any(|pod| items(&pod["spec"], "volumes").iter().any(uses))
}

/// Lets an object go that was only protected.
fn release(place: &Place, object: &Value, finalizer: &str) -> Decision {
    let mut decision = Decision::nothing();
    decision.free(place, object, finalizer);
    decision
}
