//! Table: how `data/schema.txt` is read. `tools/schema.py` writes it and tells its format.

use serde_json::Value;

use super::{Definition, Field, ListKind, Scalar, Schema, Strategy, Type, Zero};

/// Reads the table.
pub(super) fn parse(text: &str) -> Schema {
    let mut schema = Schema::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let first = words.next().unwrap_or_default();
        match first {
            "V" => schema.version = words.collect(),
            "K" => {
                let mut next = || words.next().unwrap_or_default().to_owned();
                let (group, version, kind) = (next().replace('-', ""), next(), next());
                let number = next().parse().unwrap_or_default();
                schema.kinds.insert((group, version, kind), number);
            }
            "D" => schema.definitions.push(Definition {
                name: words.next().unwrap_or_default().to_owned(),
                atomic: words.next().is_some(),
                ..Definition::default()
            }),
            _ => {
                if let (Some(name), Some(definition)) =
                    (first.strip_prefix('.'), schema.definitions.last_mut())
                {
                    definition.fields.insert(name.into(), field(words));
                }
            }
        }
    }
    schema
}

fn field<'a>(mut words: impl Iterator<Item = &'a str>) -> Field {
    let mut field = Field {
        of: type_of(words.next().unwrap_or_default()),
        merge: None,
        retain_keys: false,
        atomic: false,
        default: None,
        required: false,
        zero: Zero::Kept,
        numbers: Vec::new(),
    };
    for word in words {
        let (name, text) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "k" => set_list(
                &mut field.of,
                ListKind::Map(text.split(',').map(Into::into).collect()),
            ),
            "set" => set_list(&mut field.of, ListKind::Set),
            "p" => {
                field.merge = Some(Strategy {
                    key: (!text.is_empty()).then(|| text.into()),
                });
            }
            "retain" => field.retain_keys = true,
            "atomic" => field.atomic = true,
            "d" => field.default = serde_json::from_str::<Value>(text).ok(),
            "*" => field.required = true,
            "z" => field.zero = Zero::Dropped,
            "e" => field.zero = Zero::Always,
            _ => {
                let numbers = word
                    .strip_prefix('#')
                    .into_iter()
                    .flat_map(|text| text.split('/'));
                field
                    .numbers
                    .extend(numbers.filter_map(|number| number.parse::<u32>().ok()));
            }
        }
    }
    field
}

fn set_list(of: &mut Type, kind: ListKind) {
    if let Type::List(_, old) = of {
        *old = kind;
    }
}

fn type_of(text: &str) -> Type {
    let scalar = |scalar| Type::Scalar(scalar);
    if let Some(items) = text.strip_prefix('[') {
        return Type::List(Box::new(type_of(items)), ListKind::Atomic);
    }
    if let Some(values) = text.strip_prefix('{') {
        return Type::Map(Box::new(type_of(values)), false);
    }
    match text {
        "s" => scalar(Scalar::String),
        "i" => scalar(Scalar::Int32),
        "l" => scalar(Scalar::Int64),
        "b" => scalar(Scalar::Boolean),
        "n" => scalar(Scalar::Number),
        "q" => scalar(Scalar::Quantity),
        "x" => scalar(Scalar::IntOrString),
        "t" => scalar(Scalar::Time),
        "u" => scalar(Scalar::MicroTime),
        "y" => scalar(Scalar::Bytes),
        _ => text.parse().map_or(Type::Any, Type::Defined),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ListKind, Schema, Type};

    #[test]
    fn the_table_knows_how_a_pod_merges() {
        let schema = Schema::builtin();
        let pod = schema
            .number_of("PodSpec")
            .map(|number| &schema.definitions[number])
            .unwrap();
        let containers = &pod.fields["containers"];
        assert!(matches!(&containers.of, Type::List(_, ListKind::Map(keys)) if **keys == ["name".into()]));
        assert!(containers.required);
        assert!(schema.type_of("apps", "v1", "Deployment").is_some());
        assert!(schema.type_of("", "v1", "Pod").is_some());
    }
}
