//! Verbs: what a person may ask, as it is read from a form or a body, and what the daemon makes of it.
//!
//! `sync` and `verify` make it do sooner what it would do by itself. The others are orders: commits on the branch.

use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Site;
use crate::promote::orders::{LONGEST_REASON, until};
use crate::reconcile::hub::Ask;
use crate::reconcile::orders::{Order, OrderError};
use crate::report::board::ActionView;

/// How long a person waits for an order; it is carried out all the same.
const ORDER_TIMEOUT: Duration = Duration::from_secs(90);

/// The longest name of a person, in characters.
const LONGEST_NAME: usize = 64;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Sync,
    Verify,
    Approve,
    Rollback,
    Suspend,
    Resume,
}

/// The body of `sync`, `verify` and `resume`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PlainRequest {
    /// Who asks; it stands in the log and in the commit.
    #[serde(default)]
    by: Option<String>,
}

/// The body of `approve`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ApproveRequest {
    /// The name of what was proved, as the board's `waits` have it; anything else that was proved since is refused.
    evidence: String,
    /// Who asks; it stands in the log and in the commit.
    #[serde(default)]
    by: Option<String>,
}

/// The body of `rollback`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RollbackRequest {
    /// Why; it stands in the commit and in the quarantine.
    reason: String,
    /// The beginning of the id of the commit to go back to; by default the promotion before the last.
    #[serde(default)]
    to: Option<String>,
    /// Who asks; it stands in the log and in the commit.
    #[serde(default)]
    by: Option<String>,
}

/// The body of `suspend`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SuspendRequest {
    /// Why, for whoever finds it suspended.
    reason: String,
    /// When it ends by itself: a time (RFC 3339) or a duration from now, as `2h`.
    #[serde(default)]
    until: Option<String>,
    /// Who asks; it stands in the log and in the commit.
    #[serde(default)]
    by: Option<String>,
}

/// Who asks, and from where.
#[derive(Debug, Clone, Copy)]
pub(super) enum Via<'a> {
    /// Somebody who signed in on the page, perhaps with a name.
    Page(Option<&'a str>),
    /// A program.
    Api,
}

/// What was asked came to this.
#[derive(Debug)]
pub(super) struct Performed {
    /// Whether it is done, or only begun.
    pub(super) done: bool,
    /// The commit that it made.
    pub(super) revision: Option<String>,
    /// One sentence.
    pub(super) message: String,
}

/// Why something was not done.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) why: String,
    pub(super) hint: Option<String>,
}

/// What a body asks for.
struct Asked {
    what: What,
    by: Option<String>,
}

enum What {
    Ask(Ask),
    Order(Order),
}

// === impl Verb ===

impl Verb {
    /// The word in paths, in the log and on the board.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Verify => "verify",
            Self::Approve => "approve",
            Self::Rollback => "rollback",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
        }
    }

    /// Does what a body asks for, and writes down who asked and what came of it.
    pub(super) async fn perform(
        self,
        site: &Site,
        name: &str,
        fields: Map<String, Value>,
        via: Via<'_>,
    ) -> Result<Performed, Refused> {
        let asked = self.read(fields, Timestamp::now())?;
        let by = match via {
            Via::Page(person) => signature(person, "dashboard"),
            Via::Api => signature(person(asked.by.as_deref())?.as_deref(), "API"),
        };
        let performed = match asked.what {
            What::Ask(ask) => self.wake(site, name, ask),
            What::Order(order) => order_of(site, name, order, by.clone()).await,
        };
        if performed
            .as_ref()
            .is_err_and(|refused| refused.status == StatusCode::NOT_FOUND)
        {
            return performed;
        }
        let (done, message, revision) = match &performed {
            Ok(performed) => (true, performed.message.clone(), performed.revision.clone()),
            Err(refused) => (false, refused.why.clone(), None),
        };
        if done {
            tracing::info!(env = name, action = self.word(), by, "a person asked: {message}");
        } else {
            tracing::warn!(env = name, action = self.word(), by, "a person asked: {message}");
        }
        site.hub.note(ActionView {
            time: crate::reconcile::orders::now().to_string(),
            by,
            action: self.word().to_owned(),
            environment: name.to_owned(),
            done,
            message,
            revision,
        });
        performed
    }

    fn wake(self, site: &Site, name: &str, ask: Ask) -> Result<Performed, Refused> {
        if !site.hub.ask(name, ask) {
            return Err(nobody());
        }
        site.feed.poke();
        let message = match self {
            Self::Verify => "what failed is verified again",
            _ => "git and the cluster are looked at now",
        };
        Ok(Performed {
            done: false,
            revision: None,
            message: message.to_owned(),
        })
    }

    fn read(self, fields: Map<String, Value>, now: Timestamp) -> Result<Asked, Refused> {
        let (what, by) = match self {
            Self::Sync | Self::Verify | Self::Resume => {
                let request: PlainRequest = parsed(fields)?;
                let what = match self {
                    Self::Sync => What::Ask(Ask::Sync),
                    Self::Verify => What::Ask(Ask::Verify),
                    _ => What::Order(Order::Resume),
                };
                (what, request.by)
            }
            Self::Approve => {
                let request: ApproveRequest = parsed(fields)?;
                let evidence = request.evidence;
                (What::Order(Order::Approve { evidence }), request.by)
            }
            Self::Rollback => {
                let request: RollbackRequest = parsed(fields)?;
                let order = Order::Rollback {
                    to: request.to,
                    reason: reason(&request.reason)?,
                };
                (What::Order(order), request.by)
            }
            Self::Suspend => {
                let request: SuspendRequest = parsed(fields)?;
                let until = request.until.map(|text| until(&text, now)).transpose();
                let until = until.map_err(|why| bad(format!("until: {why}")))?;
                if until.is_some_and(|until| until <= now) {
                    return Err(bad("until: this is in the past".to_owned()));
                }
                let order = Order::Suspend {
                    reason: reason(&request.reason)?,
                    until,
                };
                (What::Order(order), request.by)
            }
        };
        Ok(Asked { what, by })
    }
}

async fn order_of(site: &Site, name: &str, order: Order, by: String) -> Result<Performed, Refused> {
    let carried = tokio::time::timeout(ORDER_TIMEOUT, site.hub.order(name, order, by)).await;
    let Ok(carried) = carried else {
        return Err(Refused {
            status: StatusCode::GATEWAY_TIMEOUT,
            why: "it takes long; look at git whether it was done".to_owned(),
            hint: None,
        });
    };
    let carried = carried.ok_or_else(nobody)?.map_err(refused)?;
    Ok(Performed {
        done: true,
        revision: carried.revision.map(|revision| revision.to_string()),
        message: carried.said,
    })
}

fn refused(error: OrderError) -> Refused {
    let status = match &error {
        OrderError::Refused(_) | OrderError::Wrong(_) => StatusCode::CONFLICT,
        error if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    };
    Refused {
        status,
        hint: error.hint(),
        why: crate::problem::chain(&error),
    }
}

/// Who asked, as the log, the board and the commit's author have it. The name is the person's own word.
fn signature(person: Option<&str>, from: &str) -> String {
    match person {
        Some(person) => format!("{person} (gitsync {from})"),
        None => format!("gitsync {from}"),
    }
}

/// A person's name, as it may stand in a commit; `None` for an empty one.
pub(super) fn person(text: Option<&str>) -> Result<Option<String>, Refused> {
    let text = text.map(str::trim).unwrap_or_default();
    let is_odd = |c: char| c.is_control() || matches!(c, '<' | '>');
    if text.chars().count() > LONGEST_NAME || text.contains(is_odd) {
        let why = format!("a name has at most {LONGEST_NAME} characters, none of them `<` or `>`");
        return Err(bad(why));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// A reason, as it may stand in a commit: one line.
fn reason(text: &str) -> Result<String, Refused> {
    let text = text.trim();
    if text.is_empty() {
        return Err(bad("reason: say why; it stands in the commit".to_owned()));
    }
    if text.chars().count() > LONGEST_REASON || text.contains(char::is_control) {
        let why = format!("reason: one line of at most {LONGEST_REASON} characters");
        return Err(bad(why));
    }
    Ok(text.to_owned())
}

fn parsed<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, Refused> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| bad(error.to_string()))
}

/// A request that cannot be understood.
pub(super) fn bad(why: String) -> Refused {
    Refused {
        status: StatusCode::BAD_REQUEST,
        why,
        hint: None,
    }
}

fn nobody() -> Refused {
    Refused {
        status: StatusCode::NOT_FOUND,
        why: "there is no such environment".to_owned(),
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(verb: Verb, fields: Value) -> Result<Asked, Refused> {
        let Value::Object(fields) = fields else {
            panic!("not an object")
        };
        verb.read(fields, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_cannot_stand_in_a_commit_is_refused() {
        let long = "x".repeat(LONGEST_REASON + 1);
        for (name, verb, fields, good) in [
            ("plain", Verb::Sync, json!({}), true),
            ("no reason", Verb::Suspend, json!({}), false),
            ("an empty reason", Verb::Suspend, json!({"reason": " "}), false),
            (
                "a reason of two lines",
                Verb::Rollback,
                json!({"reason": "a\nGitsync-Evidence: b"}),
                false,
            ),
            ("a long reason", Verb::Rollback, json!({"reason": long}), false),
            ("a reason", Verb::Rollback, json!({"reason": "slow"}), true),
            (
                "a duration",
                Verb::Suspend,
                json!({"reason": "a", "until": "2h"}),
                true,
            ),
            (
                "no time",
                Verb::Suspend,
                json!({"reason": "a", "until": "soon"}),
                false,
            ),
            (
                "the past",
                Verb::Suspend,
                json!({"reason": "a", "until": "1969-01-01T00:00:00Z"}),
                false,
            ),
            ("no evidence", Verb::Approve, json!({}), false),
            ("evidence", Verb::Approve, json!({"evidence": "a-b"}), true),
            ("an unknown field", Verb::Resume, json!({"force": true}), false),
        ] {
            assert_eq!(read(verb, fields).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn a_name_cannot_pretend_to_be_an_address() {
        assert_eq!(person(Some(" Ann ")).unwrap().as_deref(), Some("Ann"));
        assert_eq!(person(Some("")).unwrap(), None);
        for odd in ["a <b@c>", "a\nb", &"x".repeat(65)] {
            assert!(person(Some(odd)).is_err(), "{odd}");
        }
    }
}
