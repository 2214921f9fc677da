//! OpenAPI: what `/api/v1` answers, described from the table of routes and from the types themselves.

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::route::{ROUTES, Route, To};
use super::verbs::{ApproveRequest, PlainRequest, RollbackRequest, SuspendRequest, Verb};
use crate::report::board::{Board, EnvironmentView, HistoryView};

/// What an action by which nothing is committed answers.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is wanted")]
struct Accepted {
    /// Always true.
    accepted: bool,
    /// What happens now.
    message: String,
}

/// What an action answers that is a commit.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is wanted")]
struct Done {
    /// Whether there is a new commit; false when git already said so.
    changed: bool,
    /// The commit.
    revision: Option<String>,
    /// What was done, in one sentence.
    message: String,
}

/// Why something was refused.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is wanted")]
struct Refusal {
    /// What is wrong.
    error: String,
    /// What to do next, where that can be said.
    #[serde(default)]
    hint: Option<String>,
}

/// The document (OpenAPI 3.1).
#[must_use]
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths = Map::new();
    for route in ROUTES.iter().filter(|route| route.path.starts_with("/api/")) {
        let operation = operation(route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation;
    }
    let mut schemas = generator.take_definitions(true);
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {"title": "gitsync", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({"operationId": operation_id(route), "summary": route.summary});
    if route.path.contains("{name}") {
        operation["parameters"] = json!([{"name": "name", "in": "path", "required": true, "description": "The environment.", "schema": {"type": "string"}}]);
    }
    let To::ApiAct(verb) = route.to else {
        operation["responses"] =
            json!({"200": {"description": "As asked.", "content": content(route.to, generator)}});
        if route.path.contains("{name}") {
            operation["responses"]["404"] = refusal("There is no such environment.", generator);
        }
        return operation;
    };
    operation["security"] = json!([{"token": []}]);
    let (body, required) = match verb {
        Verb::Sync | Verb::Verify | Verb::Resume => (schema::<PlainRequest>(generator), false),
        Verb::Approve => (schema::<ApproveRequest>(generator), true),
        Verb::Rollback => (schema::<RollbackRequest>(generator), true),
        Verb::Suspend => (schema::<SuspendRequest>(generator), true),
    };
    operation["requestBody"] = json!({"required": required, "content": json_content(&body)});
    operation["responses"] = action_responses(verb, generator);
    operation
}

fn action_responses(verb: Verb, generator: &mut SchemaGenerator) -> Value {
    let begun = matches!(verb, Verb::Sync | Verb::Verify);
    let mut responses = if begun {
        let answer = json_content(&schema::<Accepted>(generator));
        json!({"202": {"description": "It begins now.", "content": answer}})
    } else {
        let answer = json_content(&schema::<Done>(generator));
        json!({"200": {"description": "It is done, or git already said so.", "content": answer}})
    };
    let refusals: &[(&str, &str)] = &[
        ("400", "The body is wrong."),
        ("401", "The token is missing or wrong."),
        ("403", "Actions are off, or the request comes from another site."),
        ("404", "There is no such environment."),
    ];
    let of_orders: &[(&str, &str)] = &[
        ("409", "It cannot be done as things are; the error says why."),
        ("503", "Git or the cluster cannot be reached; try again."),
        ("504", "It takes long; git tells whether it was done."),
    ];
    let further = if begun { &[] } else { of_orders };
    for (status, description) in refusals.iter().chain(further) {
        responses[*status] = refusal(description, generator);
    }
    responses
}

fn content(to: To, generator: &mut SchemaGenerator) -> Value {
    match to {
        To::ApiBoard => json_content(&schema::<Board>(generator)),
        To::ApiEnvironment => json_content(&schema::<EnvironmentView>(generator)),
        To::ApiHistory => json_content(&schema::<Vec<HistoryView>>(generator)),
        To::ApiEvents => json!({"text/event-stream": {"schema": {"type": "string"}}}),
        _ => json_content(&json!({"type": "object"})),
    }
}

fn refusal(description: &str, generator: &mut SchemaGenerator) -> Value {
    json!({"description": description, "content": json_content(&schema::<Refusal>(generator))})
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn json_content(schema: &Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

/// A name for generated clients: the last words of the path, and what they act on.
fn operation_id(route: &Route) -> String {
    let words = route.path.trim_start_matches("/api/v1/").split('/');
    let words: Vec<&str> = words.filter(|word| !word.starts_with('{')).collect();
    match (route.method, &words[..]) {
        ("POST", [_, verb]) => (*verb).to_owned(),
        (_, [name]) if route.path.contains("{name}") => format!("get{}", capital(name.trim_end_matches('s'))),
        _ => format!("get{}", capital(&words.join("").replace(".json", ""))),
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
