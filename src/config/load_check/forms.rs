//! Forms: types of the specification that are written in two ways, a short one and a long one.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{BodySpec, PortRef, Scheme, ServiceRef, StatusSpec, ThresholdSpec};
use crate::config::duration::Duration;

/// The long form of a [`ServiceRef`].
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ServiceDetails")]
struct LongServiceRef {
    /// The Service's name.
    name: String,
    /// Its namespace; without one, that of the environment's kustomization.
    namespace: Option<String>,
    /// The Service's port, by number or name; needed when it has several.
    port: Option<PortRef>,
    /// `http` or `https`; without one, `https` for port 443 or a port named so, else `http`.
    scheme: Option<Scheme>,
}

/// The long form of a [`ThresholdSpec`].
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "ThresholdDetails")]
struct LongThreshold {
    /// The expression, for example `p(90)<600`.
    threshold: String,
    /// Whether the run ends as soon as the bound is crossed. Default false.
    #[serde(default)]
    abort_on_fail: bool,
    /// How long after the start the bound is first looked at for that, for example `5s`.
    delay_abort_eval: Option<Duration>,
}

/// A body that is sent as JSON.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JsonBody {
    /// The value.
    json: serde_json::Value,
}

impl From<JsonBody> for BodySpec {
    fn from(JsonBody { json }: JsonBody) -> Self {
        Self::Json { json }
    }
}

impl From<String> for BodySpec {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<LongServiceRef> for ServiceRef {
    fn from(
        LongServiceRef {
            name,
            namespace,
            port,
            scheme,
        }: LongServiceRef,
    ) -> Self {
        Self {
            name,
            namespace,
            port,
            scheme,
        }
    }
}

impl From<String> for ServiceRef {
    fn from(name: String) -> Self {
        Self {
            name,
            namespace: None,
            port: None,
            scheme: None,
        }
    }
}

impl From<LongThreshold> for ThresholdSpec {
    fn from(
        LongThreshold {
            threshold,
            abort_on_fail,
            delay_abort_eval,
        }: LongThreshold,
    ) -> Self {
        Self {
            threshold,
            abort_on_fail,
            delay_abort_eval,
        }
    }
}

impl From<String> for ThresholdSpec {
    fn from(threshold: String) -> Self {
        Self {
            threshold,
            abort_on_fail: false,
            delay_abort_eval: None,
        }
    }
}

/// Reads a type that has a short form (a text) and a long form (a mapping), so that errors inside the long form
/// keep their own words.
macro_rules! text_or_details {
    ($type:ident, $long:ident, $expecting:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl<'de> de::Visitor<'de> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        Ok(text.to_owned().into())
                    }

                    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        $long::deserialize(de::value::MapAccessDeserializer::new(map)).map(Into::into)
                    }
                }

                deserializer.deserialize_any(Visitor)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let details = generator.subschema_for::<$long>();
                json_schema!({ "anyOf": [{ "type": "string" }, details] })
            }
        }
    };
}

text_or_details!(BodySpec, JsonBody, "a text, or a mapping with json");
text_or_details!(
    ServiceRef,
    LongServiceRef,
    "a Service's name, or a mapping with name, namespace, port and scheme"
);
text_or_details!(
    ThresholdSpec,
    LongThreshold,
    "a threshold such as p(90)<600, or a mapping with threshold, abortOnFail and delayAbortEval"
);

/// Reads a type that is a whole number or a text.
macro_rules! number_or_text {
    ($type:ident, $expecting:literal, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl de::Visitor<'_> for Visitor {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$type, E> {
                        u16::try_from(number)
                            .ok()
                            .and_then($type::from_number)
                            .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        $type::from_text(text)
                            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
                    }
                }

                deserializer.deserialize_any(Visitor)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }

        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.to_number() {
                    Ok(number) => serializer.serialize_u16(number),
                    Err(text) => serializer.serialize_str(&text),
                }
            }
        }
    };
}

number_or_text!(PortRef, "a port's number (1 to 65535) or name", {
    "anyOf": [
        { "type": "integer", "minimum": 1, "maximum": 65535 },
        { "type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" }
    ]
});

number_or_text!(StatusSpec, "a status (100 to 599) or a range such as 200-399", {
    "anyOf": [
        { "type": "integer", "minimum": 100, "maximum": 599 },
        { "type": "string", "pattern": "^[1-5][0-9][0-9]-[1-5][0-9][0-9]$" }
    ]
});

impl PortRef {
    fn from_number(number: u16) -> Option<Self> {
        (number > 0).then_some(Self::Number(number))
    }

    fn from_text(text: &str) -> Option<Self> {
        let name = !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        name.then(|| Self::Name(text.to_owned()))
    }

    fn to_number(&self) -> Result<u16, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Name(name) => Err(name.clone()),
        }
    }
}

impl fmt::Display for PortRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl StatusSpec {
    fn from_number(number: u16) -> Option<Self> {
        (100..600).contains(&number).then_some(Self {
            min: number,
            max: number,
        })
    }

    fn from_text(text: &str) -> Option<Self> {
        let (min, max) = text.split_once('-')?;
        let (min, max) = (min.trim().parse().ok()?, max.trim().parse().ok()?);
        ((100..600).contains(&min) && (min..600).contains(&max)).then_some(Self { min, max })
    }

    fn to_number(self) -> Result<u16, String> {
        match self {
            Self { min, max } if min == max => Ok(min),
            Self { min, max } => Err(format!("{min}-{max}")),
        }
    }
}
