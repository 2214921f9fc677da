//! Threshold: a bound on a metric that decides whether a load check passes, for example `p(90)<600`.
//!
//! The grammar is k6's: a method, an operator and a number. Where k6 reads a likely mistake as something else (a
//! bare `p` as the minimum, for one), this reader refuses it.

use std::fmt;
use std::str::FromStr;

use super::metric::{Kind, Metric};

/// Which figure of a metric is compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// The sum of a counter.
    Count,
    /// A counter per second, or the share of a rate.
    Rate,
    /// The last value of a gauge.
    Value,
    /// The mean.
    Avg,
    /// The smallest value.
    Min,
    /// The median.
    Med,
    /// The largest value.
    Max,
    /// A percentile, 0 to 100.
    P(f64),
}

/// How the figure is compared with the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `==` or `===`
    Equal,
    /// `!=`
    NotEqual,
}

/// A threshold's expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// The figure.
    pub method: Method,
    /// The comparison.
    pub operator: Operator,
    /// The bound: milliseconds for durations, a share between 0 and 1 for rates.
    pub bound: f64,
    /// Whether the bound is a multiple of the baseline's figure, as in `p(90)<1.10*baseline`.
    pub relative: bool,
}

/// A metric, narrowed to the samples whose tags have these values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selection {
    /// The metric.
    pub metric: Metric,
    /// Tag and value pairs that must all hold; empty for the whole metric.
    pub tags: Vec<(String, String)>,
}

/// A text that is no threshold, or no metric to set one on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ThresholdError {
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub hint: Option<String>,
}

// === impl Method ===

impl Method {
    /// Whether metrics of `kind` have this figure.
    #[must_use]
    pub fn fits(self, kind: Kind) -> bool {
        match kind {
            Kind::Counter => matches!(self, Self::Count | Self::Rate),
            Kind::Gauge => matches!(self, Self::Value),
            Kind::Rate => matches!(self, Self::Rate),
            Kind::Trend => matches!(self, Self::Avg | Self::Min | Self::Med | Self::Max | Self::P(_)),
        }
    }

    /// The methods that metrics of `kind` have, as a sentence names them.
    #[must_use]
    pub fn of(kind: Kind) -> &'static str {
        match kind {
            Kind::Counter => "count and rate",
            Kind::Gauge => "value",
            Kind::Rate => "rate",
            Kind::Trend => "p(N), avg, min, med and max",
        }
    }
}

impl FromStr for Method {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let plain = match text {
            "count" => Some(Self::Count),
            "rate" => Some(Self::Rate),
            "value" => Some(Self::Value),
            "avg" => Some(Self::Avg),
            "min" => Some(Self::Min),
            "med" => Some(Self::Med),
            "max" => Some(Self::Max),
            _ => None,
        };
        if let Some(method) = plain {
            return Ok(method);
        }
        if let Some(rank) = text.strip_prefix("p(").and_then(|rest| rest.strip_suffix(')')) {
            return match rank.trim().parse::<f64>() {
                Ok(rank) if (0.0..=100.0).contains(&rank) => Ok(Self::P(rank)),
                _ => Err(error(
                    format!("`{text}` is not a percentile"),
                    "write for example p(90), between 0 and 100",
                )),
            };
        }
        let rank = text.strip_prefix('p').and_then(|rank| rank.parse::<f64>().ok());
        let hint = match rank {
            Some(rank) => format!("write p({rank})"),
            None if text == "p" => "write for example p(90)".to_owned(),
            None => "the methods are p(N), avg, min, med, max, rate, count and value".to_owned(),
        };
        Err(error(format!("`{text}` is not a threshold method"), hint))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => f.write_str("count"),
            Self::Rate => f.write_str("rate"),
            Self::Value => f.write_str("value"),
            Self::Avg => f.write_str("avg"),
            Self::Min => f.write_str("min"),
            Self::Med => f.write_str("med"),
            Self::Max => f.write_str("max"),
            Self::P(rank) => write!(f, "p({rank})"),
        }
    }
}

// === impl Operator ===

/// Operators as written; a longer one stands before its own beginning.
const OPERATORS: [(&str, Operator); 7] = [
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("===", Operator::Equal),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Operator {
    /// Whether `figure` compares so with `bound`.
    #[must_use]
    pub fn holds(self, figure: f64, bound: f64) -> bool {
        match self {
            Self::Less => figure < bound,
            Self::LessOrEqual => figure <= bound,
            Self::Greater => figure > bound,
            Self::GreaterOrEqual => figure >= bound,
            Self::Equal => figure == bound,
            Self::NotEqual => figure != bound,
        }
    }

    /// The operator as written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
        }
    }
}

// === impl Threshold ===

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let at = text.find(['<', '>', '=', '!']).ok_or_else(|| {
            error(
                format!("`{text}` compares nothing"),
                "write a method, an operator and a number, for example p(90)<600",
            )
        })?;
        let (method, rest) = text.split_at(at);
        let (symbol, operator) = OPERATORS
            .into_iter()
            .find(|(symbol, _)| rest.starts_with(symbol))
            .ok_or_else(|| {
                error(
                    format!("`{text}` has no operator"),
                    "the operators are < <= > >= == ===",
                )
            })?;
        let right = rest[symbol.len()..].trim();
        let factor = right
            .strip_suffix("baseline")
            .map(|left| left.trim_end().strip_suffix('*').unwrap_or(left).trim());
        let (bound, relative) = match factor {
            // `p(90)<=baseline`
            Some("") => (1.0, true),
            Some(factor) => (bound(factor)?, true),
            None => (bound(right)?, false),
        };
        Ok(Self {
            method: method.trim().parse()?,
            operator,
            bound,
            relative,
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.method, self.operator.symbol(), self.bound)?;
        f.write_str(if self.relative { "*baseline" } else { "" })
    }
}

impl Threshold {
    /// Whether the threshold could have two outcomes on `metric`; says why not.
    ///
    /// # Errors
    ///
    /// When the metric lacks the method, or the bound is outside what the figure can be.
    pub fn check(&self, metric: Metric) -> Result<(), ThresholdError> {
        let kind = metric.kind();
        if !self.method.fits(kind) {
            return Err(error(
                format!("{metric} has no {}", self.method),
                format!("its methods are {}", Method::of(kind)),
            ));
        }
        if self.relative {
            return self.check_relative(metric);
        }
        let share = kind == Kind::Rate && !(0.0..=1.0).contains(&self.bound);
        if share {
            return Err(error(
                format!("{metric} is a share between 0 and 1, {} is outside", self.bound),
                format!(
                    "one per cent is 0.01, so write for example {}{}0.01",
                    self.method,
                    self.operator.symbol()
                ),
            ));
        }
        Ok(())
    }
}

impl Threshold {
    /// Percentiles of a time are compared with a baseline: that is where a confidence can be told.
    fn check_relative(&self, metric: Metric) -> Result<(), ThresholdError> {
        let percentile = matches!(self.method, Method::Med)
            || matches!(self.method, Method::P(rank) if rank > 0.0 && rank < 100.0);
        let below = matches!(self.operator, Operator::Less | Operator::LessOrEqual);
        if metric.kind() != Kind::Trend || metric == Metric::IterationDuration || !percentile || !below {
            return Err(error(
                format!("{metric}: {self} cannot be compared with a baseline"),
                "write a percentile of a time of requests, for example http_req_duration: p(90)<1.10*baseline",
            ));
        }
        if self.bound <= 0.0 {
            return Err(error(
                format!(
                    "{} times the baseline is nothing that can be measured",
                    self.bound
                ),
                "ten per cent more than the baseline are 1.10*baseline",
            ));
        }
        Ok(())
    }
}

fn bound(text: &str) -> Result<f64, ThresholdError> {
    if text.is_empty() {
        return Err(error(
            "the number is missing".to_owned(),
            "write for example p(90)<600",
        ));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) => Err(error(
            format!("`{text}` is not a finite number"),
            "a bound that nothing can reach decides nothing",
        )),
        Err(_) => Err(error(format!("`{text}` is not a number"), unit_hint(text))),
    }
}

/// What to say about a number with something behind it.
fn unit_hint(text: &str) -> String {
    if let Some(percent) = text
        .strip_suffix('%')
        .and_then(|number| number.trim().parse::<f64>().ok())
    {
        return format!("rates are shares: write {}", percent / 100.0);
    }
    match text.parse::<crate::config::duration::Duration>() {
        Ok(duration) => format!(
            "durations are in milliseconds: write {}",
            duration.get().as_secs_f64() * 1e3
        ),
        Err(_) => "write a plain number; durations are in milliseconds".to_owned(),
    }
}

// === impl Selection ===

impl FromStr for Selection {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let (name, selector) = match text.split_once('{') {
            None => (text, None),
            Some((name, rest)) => {
                let inner = rest.trim_end().strip_suffix('}');
                let inner = inner.ok_or_else(|| {
                    error(
                        format!("`{text}` has no closing brace"),
                        "write metric{tag:value}",
                    )
                })?;
                (name, Some(inner))
            }
        };
        let name = name.trim();
        let metric = Metric::by_name(name).ok_or_else(|| unknown_metric(name))?;
        let mut tags = selector.map_or(Ok(Vec::new()), |selector| read_tags(metric, selector))?;
        tags.sort();
        Ok(Self { metric, tags })
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.metric)?;
        if self.tags.is_empty() {
            return Ok(());
        }
        let tags: Vec<_> = self
            .tags
            .iter()
            .map(|(tag, value)| format!("{tag}:{value}"))
            .collect();
        write!(f, "{{{}}}", tags.join(","))
    }
}

fn read_tags(metric: Metric, selector: &str) -> Result<Vec<(String, String)>, ThresholdError> {
    let bare = |text: &str| {
        text.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'')
            .to_owned()
    };
    let mut tags: Vec<(String, String)> = Vec::new();
    for pair in selector.split(',') {
        let (tag, value) = pair
            .split_once(':')
            .map(|(tag, value)| (bare(tag), bare(value)))
            .unwrap_or_default();
        if tag.is_empty() || value.is_empty() {
            return Err(error(
                format!("`{}` is not a tag and a value", pair.trim()),
                "write metric{tag:value}",
            ));
        }
        if !metric.tags().contains(&tag.as_str()) {
            let hint = match metric.tags() {
                [] => "write the metric without braces".to_owned(),
                known => format!("its tags are {}", known.join(", ")),
            };
            return Err(error(format!("{metric} has no tag `{tag}`"), hint));
        }
        if tags.iter().any(|(seen, _)| *seen == tag) {
            return Err(error(
                format!("the tag `{tag}` is selected twice"),
                "set one threshold for each value",
            ));
        }
        tags.push((tag, value));
    }
    Ok(tags)
}

fn unknown_metric(name: &str) -> ThresholdError {
    let distance = |metric: &Metric| edit_distance(name, metric.name());
    let nearest = Metric::ALL
        .into_iter()
        .min_by_key(distance)
        .filter(|metric| distance(metric) <= 4);
    let hint = match nearest {
        Some(metric) => format!("did you mean {metric}?"),
        None => format!("the metrics are {}", Metric::ALL.map(Metric::name).join(", ")),
    };
    error(format!("`{name}` is not a metric"), hint)
}

/// The Levenshtein distance of two short names.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn error(problem: String, hint: impl Into<String>) -> ThresholdError {
    ThresholdError {
        problem,
        hint: Some(hint.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_read_as_k6_reads_them() {
        use {Method as M, Operator as O};
        for (text, method, operator, bound) in [
            ("p(90)<600", M::P(90.0), O::Less, 600.0),
            ("p(99.9) <= 1e3", M::P(99.9), O::LessOrEqual, 1000.0),
            ("avg>=0.5", M::Avg, O::GreaterOrEqual, 0.5),
            ("med>-1", M::Med, O::Greater, -1.0),
            ("rate==1", M::Rate, O::Equal, 1.0),
            ("rate===1", M::Rate, O::Equal, 1.0),
            ("count!=0", M::Count, O::NotEqual, 0.0),
            (" max < 5 ", M::Max, O::Less, 5.0),
            ("min<.5", M::Min, O::Less, 0.5),
            ("value<10", M::Value, O::Less, 10.0),
            ("p(0)<1", M::P(0.0), O::Less, 1.0),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Threshold {
                    method,
                    operator,
                    bound,
                    relative: false,
                }),
                "{text}"
            );
        }
    }

    #[test]
    fn a_bound_can_be_a_multiple_of_the_baseline() {
        for (text, bound, shown) in [
            ("p(90)<1.10*baseline", 1.1, "p(90)<1.1*baseline"),
            ("p(90) < 1.1 * baseline", 1.1, "p(90)<1.1*baseline"),
            ("med<=baseline", 1.0, "med<=1*baseline"),
        ] {
            let threshold: Threshold = text.parse().unwrap();
            assert!(
                threshold.relative && threshold.bound == bound,
                "{text}: {threshold:?}"
            );
            assert_eq!(threshold.to_string(), shown);
            assert_eq!(threshold.check(Metric::HttpReqDuration), Ok(()));
        }
        for (text, metric) in [
            ("avg<1.1*baseline", Metric::HttpReqDuration),
            ("p(90)>1.1*baseline", Metric::HttpReqDuration),
            ("p(100)<1.1*baseline", Metric::HttpReqDuration),
            ("p(90)<0*baseline", Metric::HttpReqDuration),
            ("p(90)<1.1*baseline", Metric::IterationDuration),
            ("rate<1.1*baseline", Metric::HttpReqFailed),
        ] {
            let threshold: Threshold = text.parse().unwrap();
            assert!(threshold.check(metric).is_err(), "{metric} {text}");
        }
        assert!("p(90)<x*baseline".parse::<Threshold>().is_err());
    }

    #[test]
    fn a_mistaken_threshold_says_what_to_write() {
        for (text, hint) in [
            ("p90<600", "p(90)"),
            ("p<600", "p(90)"),
            ("p(101)<600", "between 0 and 100"),
            ("p(x)<600", "between 0 and 100"),
            ("p(90)<600ms", "write 600"),
            ("p(90)<1.5s", "write 1500"),
            ("rate<1%", "write 0.01"),
            ("p(90)", "an operator"),
            ("p(90)<", "p(90)<600"),
            ("mean<3", "avg"),
            ("avg<inf", "decides nothing"),
            ("avg<NaN", "decides nothing"),
            ("avg=3", "operators"),
            ("avg<3<4", "plain number"),
            ("", "an operator"),
        ] {
            let error = text.parse::<Threshold>().unwrap_err();
            assert!(
                error.hint.as_deref().unwrap_or_default().contains(hint),
                "{text}: {error:?}"
            );
        }
    }

    #[test]
    fn a_method_must_fit_its_metric() {
        for (metric, text, fits) in [
            ("http_req_duration", "p(90)<600", true),
            ("http_req_duration", "rate<600", false),
            ("http_req_duration", "count<600", false),
            ("http_req_failed", "rate<0.01", true),
            ("http_req_failed", "rate<1.5", false),
            ("http_req_failed", "avg<1", false),
            ("http_reqs", "count>100", true),
            ("http_reqs", "rate>10", true),
            ("vus", "value>=1", true),
            ("vus", "max>=1", false),
        ] {
            let selection: Selection = metric.parse().unwrap();
            let threshold: Threshold = text.parse().unwrap();
            assert_eq!(
                threshold.check(selection.metric).is_ok(),
                fits,
                "{metric}: {text}"
            );
        }
    }

    #[test]
    fn a_selection_narrows_a_metric_by_tags() {
        let selection: Selection = "http_req_duration{status:200, name: 'a:b'}".parse().unwrap();
        assert_eq!(selection.metric, Metric::HttpReqDuration);
        assert_eq!(
            selection.tags,
            [("name".into(), "a:b".into()), ("status".into(), "200".into())]
        );
        assert_eq!(selection.to_string(), "http_req_duration{name:a:b,status:200}");
        for (text, says) in [
            ("http_req_durations", "did you mean http_req_duration?"),
            ("latency", "the metrics are"),
            ("http_req_duration{status}", "metric{tag:value}"),
            ("http_req_duration{status:}", "metric{tag:value}"),
            ("http_req_duration{}", "metric{tag:value}"),
            ("http_req_duration{status:200", "metric{tag:value}"),
            ("http_req_duration{vu:1}", "its tags are"),
            (
                "http_req_duration{status:200,status:201}",
                "one threshold for each",
            ),
            ("vus{scenario:a}", "without braces"),
        ] {
            let error = text.parse::<Selection>().unwrap_err();
            assert!(
                error.hint.as_deref().unwrap_or_default().contains(says),
                "{text}: {error:?}"
            );
        }
    }
}
