//! What the language's definition says of expressions, as a table; and laws that hold for any.

use cel::{Error, Program, Scope, Value};
use proptest::prelude::*;
use serde_json::json;

fn scope() -> Scope {
    let mut scope = Scope::default();
    scope.set(
        "object",
        Value::from(&json!({
            "metadata": {"name": "web", "namespace": "shop", "labels": {"a.b/c": "x"}},
            "spec": {"replicas": 3, "ratio": 0.5, "containers": [
                {"name": "a", "image": "r/a:1"}, {"name": "b", "image": "r/b@sha256:2", "limits": {"cpu": "1"}},
            ]},
        })),
    );
    scope.set("nothing", Value::Null);
    scope.set_unknown("request");
    scope.set_open_fields(|field| field == "strategy");
    scope
}

fn evaluate(text: &str) -> Result<Value, Error> {
    let program = Program::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    program.evaluate(&scope())
}

#[test]
fn expressions_are_true() {
    for text in [
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "7 / 2 == 3 && -7 / 2 == -3 && -7 % 2 == -1",
        "10 - 2 - 3 == 5",
        "0x1F == 31 && 5u == 5 && 1 < 1.5 && 2.0 == 2",
        "!false && !(1 > 2)",
        "false ? false : true ? true : false",
        "'a' + \"b\" == 'ab' && 'a' < 'b'",
        r#"'\n\x41\u00e9\101' == "\nA\u00e9A" && r'\n' == '\\n'"#,
        "'''it's''' == \"it's\"",
        "[1, 2,] + [3] == [1, 2, 3] && [1, [2]][1][0] == 2",
        "{'a': 1}.a == 1 && {'a': 1}['a'] == 1 && {'a': {'b': 2}}.a.b == 2",
        "2 in [1, 2] && !(3 in [1, 2]) && 'a' in {'a': 1}",
        "null == null && nothing == null && 1 != null",
        "object.spec.replicas == 3 && object.spec['ratio'] == 0.5",
        "object.metadata.__namespace__ == 'shop' && object.metadata.namespace == 'shop'",
        "object.metadata.labels['a.b/c'] == 'x' && object.metadata.labels.a__dot__b__slash__c == 'x'",
        "has(object.spec) && !has(object.status) && !has(object.spec.containers[0].limits)",
        "object.spec.containers.all(c, c.image.contains('@') || c.image.matches(':[^/]+$'))",
        "object.spec.containers.exists(c, c.name == 'b') && object.spec.containers.exists_one(c, c.name == 'a')",
        "object.spec.containers.filter(c, has(c.limits)).map(c, c.name) == ['b']",
        "object.spec.containers.map(c, c.name != 'a', c.name) == ['b']",
        "{'b': 1, 'a': 2}.all(key, key in ['a', 'b'])",
        "[[1], [2, 3]].all(outer, outer.all(inner, inner > 0 && outer.size() > 0))",
        "size('äb') == 2 && 'äb'.size() == 2 && size([1]) == 1 && {'a': 1}.size() == 1",
        "'a,b'.split(',') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b'",
        "'tacocat'.substring(1, 3) == 'ac' && 'äbc'.indexOf('c') == 2 && 'abc'.charAt(1) == 'b'",
        "'AbC'.lowerAscii() == 'abc' && ' a '.trim() == 'a' && 'aa'.replace('a', 'b') == 'bb'",
        "int('3') == 3 && string(3) == '3' && double('1.5') == 1.5 && bool('true')",
        "[3, 1, 2].max() == 3 && [3, 1].min() == 1 && [1, 2].sum() == 3 && [1, 2].isSorted()",
        "request.x || true",
        "!(false && request.x)",
        "[1, 2].exists(x, x == 2 || request.y) ",
        "!([1, 0].all(x, 1 / x > 0 && x != 0 && false) )",
        "1 / 0 == 1 || true",
        "true // a comment\n && true",
    ] {
        assert_eq!(evaluate(text), Ok(Value::Bool(true)), "{text}");
    }
}

#[test]
fn what_has_no_value_says_why() {
    for (text, part) in [
        ("object.spec.paused", "no such key: paused"),
        ("object.spec.containers[2]", "index out of bounds: 2"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "too large"),
        ("1 + 'a'", "between int and string"),
        ("1 && true", "int is neither true nor false"),
        ("'a'.b", "string has no field `b`"),
        ("[1, 0].all(x, 1 / x > 0)", "division by zero"),
    ] {
        let error = evaluate(text).unwrap_err();
        assert!(
            matches!(&error, Error::Failed(why) if why.contains(part)),
            "{text}: {error:?}"
        );
    }
    for (text, part) in [
        ("request.userInfo.username == 'x'", "`request` is not known here"),
        ("false || request.x", "`request` is not known here"),
        ("1 / 0 == 1 || request.x", "`request` is not known here"),
        (
            "authorizer.group('').check('get')",
            "`authorizer` is not known here",
        ),
        ("quantity('1Gi')", "`quantity()` is not evaluated here"),
        ("has(object.spec.strategy)", "decided by the cluster"),
        (
            "object.spec.strategy.type == 'Recreate'",
            "decided by the cluster",
        ),
        ("'strategy' in object.spec", "decided by the cluster"),
    ] {
        let error = evaluate(text).unwrap_err();
        assert!(
            matches!(&error, Error::Unknown(why) if why.contains(part)),
            "{text}: {error:?}"
        );
    }
}

#[test]
fn what_is_no_expression_is_refused_with_its_place() {
    for (text, at, part) in [
        ("", 1, "ends too early"),
        ("1 +", 4, "ends too early"),
        ("(1", 3, "`)` is expected"),
        ("'abc", 1, "no end"),
        ("a b", 3, "`b` is not expected"),
        ("has(a)", 7, "takes a field"),
        ("a.all(1, true)", 15, "takes a name"),
        ("99999999999999999999", 1, "64 bits"),
        ("for + 1", 1, "reserved"),
        ("a.?b", 4, "optional"),
    ] {
        let error = Program::parse(text).unwrap_err();
        assert!(error.at == at && error.message.contains(part), "{text}: {error}");
    }
}

#[test]
fn nothing_runs_for_ever_fills_the_memory_or_the_stack() {
    let deep = format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000));
    assert!(Program::parse(&deep).unwrap_err().message.contains("too deeply"));
    assert!(Program::parse(&"!".repeat(10_000)).is_err());
    let list = format!("[{}]", vec!["0"; 100].join(","));
    let nested = format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, true))))");
    assert!(matches!(evaluate(&nested), Err(Error::Failed(why)) if why.contains("too long")));
    let doubling = (0..40).fold("'x'".to_owned(), |text, n| {
        format!("[{text}].map(v{n}, v{n} + v{n})[0]")
    });
    assert!(
        Program::parse(&doubling).is_ok_and(|program| program.evaluate(&scope()).is_err())
            || Program::parse(&doubling).is_err()
    );
    assert_eq!(evaluate(&vec!["1"; 80].join(" + ")), Ok(Value::Int(80)));
    assert!(Program::parse(&vec!["1"; 10_000].join(" + ")).is_err());
    assert_eq!(
        evaluate(&vec!["1 == 1"; 2000].join(" && ")),
        Ok(Value::Bool(true))
    );
}

proptest! {
    #[test]
    fn arithmetic_is_that_of_whole_numbers(a in -1000_i64..1000, b in -1000_i64..1000, c in 1_i64..1000) {
        prop_assert_eq!(evaluate(&format!("({a}) + ({b}) * ({c})")), Ok(Value::Int(a + b * c)));
        prop_assert_eq!(evaluate(&format!("({a}) / ({c}) * ({c}) + ({a}) % ({c})")), Ok(Value::Int(a)));
        prop_assert_eq!(evaluate(&format!("({a}) < ({b})")), Ok(Value::Bool(a < b)));
    }

    #[test]
    fn texts_come_back_as_they_were(text in ".{0,40}") {
        let quoted = format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        prop_assert_eq!(evaluate(&quoted), Ok(Value::from(&json!(text))));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[a-z0-9 .()\\[\\]{}?:&|!<>=+*/%'\",-]{0,60}") {
        let _ = Program::parse(&text).map(|program| program.evaluate(&scope()));
    }
}
