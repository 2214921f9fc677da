//! Check expression: a condition on one response, for example `status == 200 && duration < 600`.
//!
//! ```text
//! any        = all { "||" all }
//! all        = factor { "&&" factor }
//! factor     = "!" factor | "(" any ")" | comparison
//! comparison = number-field ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) number
//!            | text-field ( "==" | "!=" | "contains" | "startsWith" | "endsWith" ) string
//! ```
//!
//! Number fields are `status`, `size` (bytes of the body), `duration` and `timings.…` (milliseconds); text fields
//! are `body` and `headers["Name"]`. `===` and `!==` are accepted as JavaScript writes them.

use std::str::FromStr;

use super::threshold::Operator;

/// A condition on one response.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// Both hold.
    All(Box<Self>, Box<Self>),
    /// At least one holds.
    Any(Box<Self>, Box<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// A number of the response compares so with a constant.
    Number(NumberField, Operator, f64),
    /// A text of the response relates so to a constant.
    Text(TextField, TextOperator, String),
}

/// A number of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberField {
    /// The status code.
    Status,
    /// The bytes of the body.
    Size,
    /// Sending, waiting and receiving, in milliseconds.
    Duration,
    /// Before sending could begin, in milliseconds.
    Blocked,
    /// The TCP connect, in milliseconds.
    Connecting,
    /// The TLS handshake, in milliseconds.
    TlsHandshaking,
    /// Writing the request, in milliseconds.
    Sending,
    /// Until the first byte of the answer, in milliseconds.
    Waiting,
    /// Reading the answer, in milliseconds.
    Receiving,
}

/// A text of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextField {
    /// The body.
    Body,
    /// The header of that name, in lower case; empty when the response lacks it.
    Header(String),
}

/// How two texts relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextOperator {
    /// They are the same.
    Equal,
    /// They differ.
    NotEqual,
    /// The first has the second in it.
    Contains,
    /// The first begins with the second.
    StartsWith,
    /// The first ends with the second.
    EndsWith,
}

/// A text that is no check expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at line {line}, column {column}")]
pub struct ExpressionError {
    /// What is wrong.
    pub problem: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// The line inside the expression, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// Deeper nesting than this is refused, so that no input exhausts the stack.
const MAX_DEPTH: usize = 64;

/// Longer expressions than this many bytes are refused, for the same reason: a chain of `&&` nests too.
const MAX_LENGTH: usize = 4096;

const NUMBER_FIELDS: [(&str, NumberField); 10] = [
    ("status", NumberField::Status),
    ("size", NumberField::Size),
    ("duration", NumberField::Duration),
    ("timings.duration", NumberField::Duration),
    ("timings.blocked", NumberField::Blocked),
    ("timings.connecting", NumberField::Connecting),
    ("timings.tls_handshaking", NumberField::TlsHandshaking),
    ("timings.sending", NumberField::Sending),
    ("timings.waiting", NumberField::Waiting),
    ("timings.receiving", NumberField::Receiving),
];

// === impl Expression ===

impl Expression {
    /// Whether the body's bytes are needed to decide.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.reads(|field| *field == TextField::Body)
    }

    /// Whether headers are needed to decide.
    #[must_use]
    pub fn reads_headers(&self) -> bool {
        self.reads(|field| matches!(field, TextField::Header(_)))
    }

    /// Whether a field of the kind is in any part.
    fn reads(&self, kind: fn(&TextField) -> bool) -> bool {
        match self {
            Self::All(a, b) | Self::Any(a, b) => a.reads(kind) || b.reads(kind),
            Self::Not(inner) => inner.reads(kind),
            Self::Number(..) => false,
            Self::Text(field, ..) => kind(field),
        }
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > MAX_LENGTH {
            return Err(fail(
                text,
                0,
                "the expression is too long".to_owned(),
                "split it into several checks",
            ));
        }
        let tokens = tokens(text)?;
        let mut parser = Parser {
            text,
            tokens: &tokens,
            next: 0,
            depth: 0,
        };
        let expression = parser.any()?;
        match parser.peek() {
            None => Ok(expression),
            Some(token) => Err(fail(
                text,
                token.at,
                format!("unexpected {}", token.kind),
                "join conditions with && or ||",
            )),
        }
    }
}

// === tokens ===

#[derive(Debug, Clone, PartialEq)]
enum Lexeme {
    Word(String),
    Number(f64),
    Text(String),
    Symbol(&'static str),
}

#[derive(Debug, Clone, PartialEq)]
struct Token {
    kind: Lexeme,
    at: usize,
}

impl std::fmt::Display for Lexeme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Text(text) => write!(f, "the text {text:?}"),
            Self::Symbol(symbol) => write!(f, "`{symbol}`"),
        }
    }
}

/// Symbols; a longer one stands before its own beginning.
const SYMBOLS: [&str; 15] = [
    "===", "!==", "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "(", ")", "[", "]",
];

fn tokens(text: &str) -> Result<Vec<Token>, ExpressionError> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (kind, length) = if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol))
        {
            (Lexeme::Symbol(symbol), symbol.len())
        } else if first == '"' || first == '\'' {
            quoted(text, at, first)?
        } else if first.is_ascii_digit() || first == '-' || first == '.' {
            number(text, at)?
        } else if first.is_ascii_alphabetic() || first == '_' {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
            (Lexeme::Word(rest[..length].to_owned()), length)
        } else {
            return Err(fail(text, at, format!("unexpected `{first}`"), hint_for(first)));
        };
        found.push(Token { kind, at });
        at += length;
    }
    Ok(found)
}

fn hint_for(symbol: char) -> &'static str {
    match symbol {
        '&' => "write && to join conditions",
        '|' => "write || for either of two conditions",
        '=' => "write == to compare",
        _ => "a condition is a field, an operator and a value, for example status == 200",
    }
}

fn number(text: &str, at: usize) -> Result<(Lexeme, usize), ExpressionError> {
    let rest = &text[at..];
    let length = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+')))
        .unwrap_or(rest.len());
    let written = &rest[..length];
    match written.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((Lexeme::Number(number), length)),
        _ => Err(fail(
            text,
            at,
            format!("`{written}` is not a number"),
            "durations are plain numbers of milliseconds, for example duration < 600",
        )),
    }
}

fn quoted(text: &str, at: usize, quote: char) -> Result<(Lexeme, usize), ExpressionError> {
    let mut value = String::new();
    let mut chars = text[at + 1..].char_indices();
    while let Some((offset, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((Lexeme::Text(value), offset + 2)),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, c @ ('\\' | '"' | '\''))) => value.push(c),
                _ => {
                    let known = r#"the escapes are \\ \" \' \n \r and \t"#;
                    return Err(fail(text, at + 1 + offset, "unknown escape".to_owned(), known));
                }
            },
            c => value.push(c),
        }
    }
    Err(fail(
        text,
        at,
        "the text is not closed".to_owned(),
        "end it with the quote that began it",
    ))
}

// === parser ===

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    next: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.next += 1;
        token
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let here = matches!(self.peek(), Some(Token { kind: Lexeme::Symbol(found), .. }) if *found == symbol);
        self.next += usize::from(here);
        here
    }

    fn any(&mut self) -> Result<Expression, ExpressionError> {
        let mut left = self.all()?;
        while self.take_symbol("||") {
            left = Expression::Any(Box::new(left), Box::new(self.all()?));
        }
        Ok(left)
    }

    fn all(&mut self) -> Result<Expression, ExpressionError> {
        let mut left = self.factor()?;
        while self.take_symbol("&&") {
            left = Expression::All(Box::new(left), Box::new(self.factor()?));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Expression, ExpressionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.fail(
                "the expression is nested too deeply",
                "split it into several checks",
            ));
        }
        let expression = if self.take_symbol("!") {
            Expression::Not(Box::new(self.factor()?))
        } else if self.take_symbol("(") {
            let inner = self.any()?;
            if !self.take_symbol(")") {
                return Err(self.fail("a closing parenthesis is missing", "close what ( opened"));
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn comparison(&mut self) -> Result<Expression, ExpressionError> {
        let fields = "the fields are status, duration, size, timings.…, body and headers[\"Name\"]";
        let at = self.at();
        let Some(Token {
            kind: Lexeme::Word(word),
            ..
        }) = self.take()
        else {
            self.next = self.next.saturating_sub(1);
            return Err(self.fail("a field is expected", fields));
        };
        // `r.status` is how a k6 script names its response.
        let name = word.strip_prefix("r.").unwrap_or(word);
        if let Some((_, field)) = NUMBER_FIELDS.into_iter().find(|(known, _)| *known == name) {
            return self.compare_number(name, field);
        }
        match name {
            "body" => self.compare_text(name, TextField::Body),
            "headers" => {
                let header = self.header_name()?;
                self.compare_text("headers", TextField::Header(header))
            }
            _ => Err(fail(
                self.text,
                at,
                format!("`{word}` is not a field of a response"),
                fields,
            )),
        }
    }

    fn header_name(&mut self) -> Result<String, ExpressionError> {
        let how = "write headers[\"Content-Type\"]";
        if !self.take_symbol("[") {
            return Err(self.fail("the header's name is missing", how));
        }
        let name = match self.peek().map(|token| &token.kind) {
            Some(Lexeme::Text(name)) if !name.is_empty() => name.to_ascii_lowercase(),
            _ => return Err(self.fail("the header's name is missing", how)),
        };
        self.next += 1;
        if !self.take_symbol("]") {
            return Err(self.fail("a closing bracket is missing", how));
        }
        Ok(name)
    }

    fn compare_number(&mut self, name: &str, field: NumberField) -> Result<Expression, ExpressionError> {
        let how = format!("compare {name} with a number by == != < <= > or >=");
        let operator = match self.peek().map(|token| &token.kind) {
            Some(Lexeme::Symbol("==" | "===")) => Operator::Equal,
            Some(Lexeme::Symbol("!=" | "!==")) => Operator::NotEqual,
            Some(Lexeme::Symbol("<")) => Operator::Less,
            Some(Lexeme::Symbol("<=")) => Operator::LessOrEqual,
            Some(Lexeme::Symbol(">")) => Operator::Greater,
            Some(Lexeme::Symbol(">=")) => Operator::GreaterOrEqual,
            _ => return Err(self.fail("an operator is expected", &how)),
        };
        self.next += 1;
        match self.peek().map(|token| &token.kind) {
            Some(Lexeme::Number(number)) => {
                self.next += 1;
                Ok(Expression::Number(field, operator, *number))
            }
            _ => Err(self.fail("a number is expected", &how)),
        }
    }

    fn compare_text(&mut self, name: &str, field: TextField) -> Result<Expression, ExpressionError> {
        let how = format!("compare {name} with a quoted text by == != contains startsWith or endsWith");
        let operator = match self.peek().map(|token| &token.kind) {
            Some(Lexeme::Symbol("==" | "===")) => TextOperator::Equal,
            Some(Lexeme::Symbol("!=" | "!==")) => TextOperator::NotEqual,
            Some(Lexeme::Word(word)) if word == "contains" => TextOperator::Contains,
            Some(Lexeme::Word(word)) if word == "startsWith" => TextOperator::StartsWith,
            Some(Lexeme::Word(word)) if word == "endsWith" => TextOperator::EndsWith,
            _ => return Err(self.fail("an operator is expected", &how)),
        };
        self.next += 1;
        match self.peek().map(|token| &token.kind) {
            Some(Lexeme::Text(value)) => {
                self.next += 1;
                Ok(Expression::Text(field, operator, value.clone()))
            }
            _ => Err(self.fail("a quoted text is expected", &how)),
        }
    }

    /// Where the next token stands, or the end.
    fn at(&self) -> usize {
        self.peek().map_or(self.text.len(), |token| token.at)
    }

    fn fail(&self, expected: &str, hint: &str) -> ExpressionError {
        let problem = match self.peek() {
            Some(token) => format!("{expected}, found {}", token.kind),
            None => format!("{expected}, found the end"),
        };
        fail(self.text, self.at(), problem, hint)
    }
}

fn fail(text: &str, at: usize, problem: String, hint: &str) -> ExpressionError {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    ExpressionError {
        problem,
        hint: Some(hint.to_owned()),
        line,
        column,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_number(field: NumberField, operator: Operator, value: f64) -> Expression {
        Expression::Number(field, operator, value)
    }

    fn mk_text(field: TextField, operator: TextOperator, value: &str) -> Expression {
        Expression::Text(field, operator, value.to_owned())
    }

    #[test]
    fn expressions_read_with_the_usual_precedence() {
        let status = || mk_number(NumberField::Status, Operator::Equal, 200.0);
        let fast = || mk_number(NumberField::Duration, Operator::Less, 600.0);
        let body = || mk_text(TextField::Body, TextOperator::Contains, "a \"b\"");
        let all = |a, b| Expression::All(Box::new(a), Box::new(b));
        let any = |a, b| Expression::Any(Box::new(a), Box::new(b));
        for (text, want) in [
            ("status == 200", status()),
            ("status===200", status()),
            ("r.status == 200", status()),
            ("duration < 600", fast()),
            ("timings.duration<6e2", fast()),
            (r#"body contains "a \"b\"""#, body()),
            (r#"body contains 'a "b"'"#, body()),
            ("status == 200 && duration < 600", all(status(), fast())),
            (
                r#"status == 200 || duration < 600 && body contains 'a "b"'"#,
                any(status(), all(fast(), body())),
            ),
            (
                r#"(status == 200 || duration < 600) && body contains 'a "b"'"#,
                all(any(status(), fast()), body()),
            ),
            ("!(status == 200)", Expression::Not(Box::new(status()))),
            (
                "headers['Content-Type'] startsWith 'text/'",
                mk_text(
                    TextField::Header("content-type".into()),
                    TextOperator::StartsWith,
                    "text/",
                ),
            ),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
    }

    #[test]
    fn a_mistaken_expression_says_where_and_what_to_write() {
        for (text, line, column, says) in [
            ("", 1, 1, "found the end"),
            ("status", 1, 7, "an operator is expected, found the end"),
            ("status =", 1, 8, "unexpected `=`"),
            ("status = 200", 1, 8, "unexpected `=`"),
            ("status == ", 1, 11, "a number is expected"),
            ("status == '200'", 1, 11, "a number is expected"),
            ("status == 200 &&", 1, 17, "a field is expected"),
            ("status == 200 & duration < 3", 1, 15, "unexpected `&`"),
            ("status == 200 duration < 3", 1, 15, "unexpected `duration`"),
            ("latency < 3", 1, 1, "not a field"),
            ("status == 200 &&\n  durations < 3", 2, 3, "not a field"),
            ("duration < 600ms", 1, 12, "not a number"),
            ("body contains hello", 1, 15, "a quoted text"),
            ("body < 'a'", 1, 6, "an operator"),
            ("body contains 'a", 1, 15, "not closed"),
            (r"body contains 'a\q'", 1, 17, "unknown escape"),
            ("headers contains 'a'", 1, 9, "name is missing"),
            ("(status == 200", 1, 15, "closing parenthesis"),
            ("200 == status", 1, 1, "a field is expected"),
            ("é", 1, 1, "unexpected `é`"),
        ] {
            let error = text.parse::<Expression>().unwrap_err();
            assert!(error.problem.contains(says), "{text}: {error}");
            assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
            assert!(error.hint.is_some(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}status == 200{}", "(".repeat(1_000), ")".repeat(1_000));
        assert!(deep.parse::<Expression>().unwrap_err().problem.contains("nested"));
        assert!(
            format!("{}status == 200", "!".repeat(1_000))
                .parse::<Expression>()
                .is_err()
        );
        let long = vec!["status == 200"; 1_000].join(" && ");
        assert!(
            long.parse::<Expression>()
                .unwrap_err()
                .problem
                .contains("too long")
        );
    }
}
