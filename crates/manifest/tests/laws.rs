//! Laws of the reader and the emitter.

use manifest::yaml;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Texts with everything that quoting and folding depend on.
fn text() -> impl Strategy<Value = String> {
    let odd = proptest::sample::select(vec![
        "yes",
        "~",
        "",
        " ",
        "\n",
        "a: b",
        "# c",
        "- ",
        "0644",
        "1:30",
        "2020-01-01",
        "<<",
        "\t",
        "'",
        "\"",
        "\\",
        "\u{85}",
        "\u{feff}",
        "\u{1f600}",
        "\u{7f}",
        "\r",
        "word word word word word word word word word word word word",
    ]);
    let any = prop_oneof![vec(odd, 0..4).prop_map(|parts| parts.concat()), any::<String>()];
    // A block with a line separator is one for go-yaml only: to the parser it is no line break.
    any.prop_filter("a line separator", |text| {
        !text.contains(['\u{2028}', '\u{2029}'])
    })
}

/// The reference prints the key `<<` without quotes, which makes it a merge key for readers.
fn key() -> impl Strategy<Value = String> {
    text().prop_filter("a merge key", |key| key != "<<")
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1_000_000_i32..1_000_000).prop_map(|n| json!(f64::from(n) + 0.5)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(key(), inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_again(value in value()) {
        let printed = yaml::emit(&value);
        let read = yaml::read(&printed, "printed").unwrap();
        prop_assert_eq!(read.len(), 1, "{}", printed);
        prop_assert_eq!(&read[0].to_json().unwrap(), &value, "{}", printed);
        prop_assert_eq!(&read[0].to_json_1_1().unwrap(), &value, "{}", printed);
    }

    #[test]
    fn printing_what_was_read_changes_nothing(value in value()) {
        let printed = yaml::emit(&value);
        let read = yaml::read(&printed, "printed").unwrap().remove(0);
        prop_assert_eq!(yaml::emit(&read.to_json().unwrap()), printed);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Ok(documents) = yaml::read(&text, "any") {
            for document in documents {
                let _ = document.to_json();
                let _ = document.to_json_1_1();
            }
        }
    }
}
