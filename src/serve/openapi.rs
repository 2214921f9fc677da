//! OpenAPI: what `/api/v1` answers, described from the table of routes and from the types themselves.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::route::{ROUTES, Route, To};
use crate::report::board::{Board, EnvironmentView, HistoryView};

/// The document (OpenAPI 3.1).
#[must_use]
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let board = generator.subschema_for::<Board>().to_value();
    let environment = generator.subschema_for::<EnvironmentView>().to_value();
    let history = generator.subschema_for::<Vec<HistoryView>>().to_value();
    let mut paths = Map::new();
    for route in ROUTES.iter().filter(|route| route.path.starts_with("/api/")) {
        let answer = match route.to {
            To::ApiBoard => json_content(&board),
            To::ApiEnvironment => json_content(&environment),
            To::ApiHistory => json_content(&history),
            To::ApiEvents => json!({"text/event-stream": {"schema": {"type": "string"}}}),
            _ => json_content(&json!({"type": "object"})),
        };
        let method = route.method.to_ascii_lowercase();
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[method] = operation(route, &answer);
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

fn json_content(schema: &Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

fn operation(route: &Route, content: &Value) -> Value {
    let acts = route.method == "POST";
    let status = if acts { "202" } else { "200" };
    let mut responses = json!({ status: {"description": "As asked.", "content": content} });
    let mut operation = json!({"summary": route.summary});
    if route.path.contains("{name}") {
        operation["parameters"] =
            json!([{"name": "name", "in": "path", "required": true, "schema": {"type": "string"}}]);
        responses["404"] = json!({"description": "There is no such environment."});
    }
    if acts {
        operation["security"] = json!([{"token": []}]);
        responses["401"] = json!({"description": "The token is missing or wrong."});
        responses["403"] = json!({"description": "Actions are off, or the request comes from another site."});
    }
    operation["responses"] = responses;
    operation
}
