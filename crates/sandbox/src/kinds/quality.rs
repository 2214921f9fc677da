//! Quality of service: the class of a pod by what its containers ask for and are limited to.

use serde_json::Value;

use super::fields::{containers, entries};
use super::quantity::Quantity;

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub fn quality_of_service(spec: &Value) -> &'static str {
    let (mut is_anything, mut is_guaranteed) = (false, true);
    for (list, _, container) in containers(spec) {
        if list == "ephemeralContainers" {
            continue;
        }
        for name in ["cpu", "memory"] {
            let limit = amount(container, "limits", name);
            let request = amount(container, "requests", name).or(limit);
            is_anything |= limit.is_some() || request.is_some();
            is_guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (is_anything, is_guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn amount(container: &Value, list: &str, name: &str) -> Option<Quantity> {
    let found = entries(&container["resources"], list).find(|(key, _)| *key == name);
    let quantity = found.and_then(|(_, value)| Quantity::parse(value.as_str()?));
    quantity.filter(|quantity| !quantity.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_class_follows_the_resources() {
        for (resources, wanted) in [
            (json!({}), "BestEffort"),
            (json!({"limits": {"cpu": "1", "memory": "1Gi"}}), "Guaranteed"),
            (
                json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}),
                "Burstable",
            ),
            (json!({"requests": {"cpu": "500m"}}), "Burstable"),
            (json!({"limits": {"memory": "1Gi"}}), "Burstable"),
        ] {
            let spec = json!({"containers": [{"name": "app", "resources": resources}]});
            assert_eq!(quality_of_service(&spec), wanted, "{spec}");
        }
    }
}
