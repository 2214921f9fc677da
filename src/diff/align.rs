//! Alignment: two objects written in one order, so that only what differs shows.
//!
//! The order of keys says nothing, and neither does that of a list whose elements are known by a key. It is taken out
//! before objects are compared line by line.

use serde_json::{Map, Value};

use super::fields;

/// `after` with its keys and keyed elements in the order that they have in `before`; what is new comes last.
#[must_use]
pub fn align(before: &Value, after: &Value) -> Value {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let known = old.keys().filter(|key| new.contains_key(*key));
            let added = new.keys().filter(|key| !old.contains_key(*key));
            let pair = |key: &String| {
                (
                    key.clone(),
                    align(old.get(key).unwrap_or(&Value::Null), &new[key]),
                )
            };
            Value::Object(known.chain(added).map(pair).collect::<Map<_, _>>())
        }
        (Value::Array(old), Value::Array(new)) => Value::Array(fields::pair_up(old, new)),
        _ => after.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_and_named_elements_take_the_order_of_before() {
        let before = json!({"a": 1, "b": [{"name": "x", "v": 1}, {"name": "y", "v": 1}], "args": [1, 2]});
        let after = json!({"new": 0, "b": [{"v": 2, "name": "y"}, {"name": "z"}, {"v": 1, "name": "x"}], "a": 1, "args": [2, 1]});
        let aligned = align(&before, &after);
        assert_eq!(
            aligned.to_string(),
            r#"{"a":1,"b":[{"name":"x","v":1},{"name":"y","v":2},{"name":"z"}],"args":[2,1],"new":0}"#
        );
        assert_eq!(
            aligned["args"],
            json!([2, 1]),
            "an order that means something stays"
        );
    }
}
