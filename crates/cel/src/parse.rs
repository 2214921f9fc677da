//! Parser: from a text to an expression, by precedence, as the language's grammar has it.

use crate::{ParseError, Value};

/// How deep an expression may be nested. Each level is a few calls of this parser and of the evaluator.
const DEPTH: usize = 100;

/// How long a text may be; the API server has the same order of magnitude.
const LENGTH: usize = 64 * 1024;

/// Words that are no names.
const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// What is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    Literal(Value),
    Name(String),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    /// `of.field`; a test only asks whether it is there.
    Field {
        of: Box<Self>,
        field: String,
        test: bool,
    },
    Index(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Negative(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    If(Box<[Self; 3]>),
    /// A function, of a target or by itself.
    Call {
        target: Option<Box<Self>>,
        name: String,
        arguments: Vec<Self>,
    },
    /// A macro over a list or the keys of a map, with a name for each element.
    Each {
        how: Each,
        over: Box<Self>,
        name: String,
        bodies: Vec<Self>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Each {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
}

/// Binary operators, the loosest first; those of one row bind alike.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("||", Operator::Or)],
    &[("&&", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessEqual),
        (">=", Operator::GreaterEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
        ("in", Operator::In),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[
        ("*", Operator::Multiply),
        ("/", Operator::Divide),
        ("%", Operator::Remainder),
    ],
];

pub(crate) fn parse(text: &str) -> Result<Expression, ParseError> {
    let mut parser = Parser {
        characters: text.chars().collect(),
        at: 0,
        depth: 0,
    };
    if text.len() > LENGTH {
        return Err(parser.wrong("the expression is too long"));
    }
    let expression = parser.expression()?;
    parser.blanks();
    match parser.peek() {
        None => Ok(expression),
        Some(c) => Err(parser.wrong(format!("`{c}` is not expected here"))),
    }
}

struct Parser {
    characters: Vec<char>,
    at: usize,
    depth: usize,
}

// === impl Parser ===

impl Parser {
    fn expression(&mut self) -> Result<Expression, ParseError> {
        self.deeper()?;
        let condition = self.level(0)?;
        let expression = if self.eat("?") {
            let yes = self.level(0)?;
            self.expect(":")?;
            let no = self.expression()?;
            Expression::If(Box::new([condition, yes, no]))
        } else {
            condition
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn level(&mut self, level: usize) -> Result<Expression, ParseError> {
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.level(level + 1)?;
        let mut chain = Vec::new();
        let outside = self.depth;
        while let Some((_, operator)) = operators.iter().find(|(mark, _)| self.eat_operator(mark)) {
            let right = self.level(level + 1)?;
            if matches!(operator, Operator::Or | Operator::And) {
                chain.push(right);
                continue;
            }
            // What stands to the left is one level deeper with each link.
            self.deeper()?;
            left = Expression::Binary(*operator, Box::new(left), Box::new(right));
        }
        self.depth = outside;
        chain.insert(0, left);
        Ok(balanced(chain, operators[0].1))
    }

    fn deeper(&mut self) -> Result<(), ParseError> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(self.wrong("the expression is nested too deeply"));
        }
        Ok(())
    }

    fn unary(&mut self) -> Result<Expression, ParseError> {
        self.deeper()?;
        self.blanks();
        let expression = match self.peek() {
            Some('!') if self.peek_at(1) != Some('=') => {
                self.at += 1;
                Expression::Not(Box::new(self.unary()?))
            }
            Some('-') if !self.peek_at(1).is_some_and(|c| c.is_ascii_digit()) => {
                self.at += 1;
                Expression::Negative(Box::new(self.unary()?))
            }
            _ => self.member()?,
        };
        self.depth -= 1;
        Ok(expression)
    }

    fn member(&mut self) -> Result<Expression, ParseError> {
        let mut of = self.primary()?;
        loop {
            if self.eat("[") {
                if self.eat("?") {
                    return Err(self.wrong("optional values are not known here"));
                }
                let index = self.expression()?;
                self.expect("]")?;
                of = Expression::Index(Box::new(of), Box::new(index));
            } else if self.eat(".") {
                if self.eat("?") {
                    return Err(self.wrong("optional values are not known here"));
                }
                let name = self.name()?;
                of = if self.eat("(") {
                    self.call(Some(of), name)?
                } else {
                    Expression::Field {
                        of: Box::new(of),
                        field: unescaped(&name),
                        test: false,
                    }
                };
            } else {
                return Ok(of);
            }
        }
    }

    fn primary(&mut self) -> Result<Expression, ParseError> {
        self.blanks();
        match self.peek() {
            Some('(') => {
                self.at += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Some('[') => {
                self.at += 1;
                Ok(Expression::List(self.arguments("]")?))
            }
            Some('{') => {
                self.at += 1;
                self.map()
            }
            Some('\'' | '"') => self.text(false),
            Some('r' | 'R') if matches!(self.peek_at(1), Some('\'' | '"')) => {
                self.at += 1;
                self.text(true)
            }
            Some('b' | 'B') if matches!(self.peek_at(1), Some('\'' | '"')) => {
                Err(self.wrong("bytes are not known here"))
            }
            Some(c) if c.is_ascii_digit() || c == '-' || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => {
                let start = self.at;
                let name = self.name()?;
                if RESERVED.contains(&name.as_str()) {
                    self.at = start;
                    return Err(self.wrong(format!("`{name}` is a reserved word")));
                }
                Ok(match name.as_str() {
                    "true" => Expression::Literal(Value::Bool(true)),
                    "false" => Expression::Literal(Value::Bool(false)),
                    "null" => Expression::Literal(Value::Null),
                    _ if self.eat("(") => self.call(None, name)?,
                    _ => Expression::Name(name),
                })
            }
            Some(c) => Err(self.wrong(format!("`{c}` is not expected here"))),
            None => Err(self.wrong("the expression ends too early")),
        }
    }

    fn call(&mut self, target: Option<Expression>, name: String) -> Result<Expression, ParseError> {
        let arguments = self.arguments(")")?;
        if target.is_none() && name == "has" {
            return match <[Expression; 1]>::try_from(arguments) {
                Ok([Expression::Field { of, field, .. }]) => Ok(Expression::Field {
                    of,
                    field,
                    test: true,
                }),
                _ => Err(self.wrong("has() takes a field, as in has(object.spec)")),
            };
        }
        let how = match name.as_str() {
            "all" => Some((Each::All, 2..=2)),
            "exists" => Some((Each::Exists, 2..=2)),
            "exists_one" | "existsOne" => Some((Each::ExistsOne, 2..=2)),
            "map" => Some((Each::Map, 2..=3)),
            "filter" => Some((Each::Filter, 2..=2)),
            _ => None,
        };
        let Some(((how, count), over)) = how.zip(target.clone()) else {
            return Ok(Expression::Call {
                target: target.map(Box::new),
                name,
                arguments,
            });
        };
        let mut arguments = arguments.into_iter();
        let first = arguments.next();
        let bodies: Vec<Expression> = arguments.collect();
        match first {
            Some(Expression::Name(variable)) if count.contains(&(bodies.len() + 1)) => Ok(Expression::Each {
                how,
                over: Box::new(over),
                name: variable,
                bodies,
            }),
            _ => Err(self.wrong(format!("{name}() takes a name and an expression"))),
        }
    }

    /// Expressions with commas between them, up to `end`; a comma before it is allowed.
    fn arguments(&mut self, end: &str) -> Result<Vec<Expression>, ParseError> {
        let mut arguments = Vec::new();
        while !self.eat(end) {
            if !arguments.is_empty() {
                self.expect(",")?;
                if self.eat(end) {
                    break;
                }
            }
            arguments.push(self.expression()?);
        }
        Ok(arguments)
    }

    fn map(&mut self) -> Result<Expression, ParseError> {
        let mut pairs = Vec::new();
        while !self.eat("}") {
            if !pairs.is_empty() {
                self.expect(",")?;
                if self.eat("}") {
                    break;
                }
            }
            let key = self.expression()?;
            self.expect(":")?;
            pairs.push((key, self.expression()?));
        }
        Ok(Expression::Map(pairs))
    }

    fn number(&mut self) -> Result<Expression, ParseError> {
        let start = self.at;
        let negative = self.peek() == Some('-');
        self.at += usize::from(negative);
        let hexadecimal = self.peek() == Some('0') && matches!(self.peek_at(1), Some('x' | 'X'));
        if hexadecimal {
            self.at += 2;
        }
        let digits = self.at;
        while let Some(c) = self.peek() {
            let exponent = !hexadecimal && matches!(c, 'e' | 'E');
            let fraction = c == '.' && !hexadecimal && self.peek_at(1).is_some_and(|c| c.is_ascii_digit());
            let digit = if hexadecimal {
                c.is_ascii_hexdigit()
            } else {
                c.is_ascii_digit()
            };
            if !digit && !exponent && !fraction {
                break;
            }
            self.at += 1;
            if exponent && matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
        }
        let text: String = self.characters[digits..self.at].iter().collect();
        let sign = if negative { "-" } else { "" };
        let radix = if hexadecimal { 16 } else { 10 };
        let unsigned = !negative && matches!(self.peek(), Some('u' | 'U'));
        let value = if unsigned {
            self.at += 1;
            u64::from_str_radix(&text, radix).ok().map(Value::Uint)
        } else if hexadecimal || text.chars().all(|c| c.is_ascii_digit()) {
            i64::from_str_radix(&format!("{sign}{text}"), radix)
                .ok()
                .map(Value::Int)
        } else {
            format!("{sign}{text}").parse().ok().map(Value::Double)
        };
        value.map(Expression::Literal).ok_or_else(|| {
            self.at = start;
            self.wrong("this is no number of 64 bits")
        })
    }

    fn text(&mut self, raw: bool) -> Result<Expression, ParseError> {
        let quote = self.characters[self.at];
        let triple = self.peek_at(1) == Some(quote) && self.peek_at(2) == Some(quote);
        let quotes = if triple { 3 } else { 1 };
        let start = self.at;
        self.at += quotes;
        let mut text = String::new();
        loop {
            let ends = (0..quotes).all(|ahead| self.peek_at(ahead) == Some(quote));
            if ends {
                self.at += quotes;
                return Ok(Expression::Literal(Value::text(text)));
            }
            match self.peek() {
                None => {
                    self.at = start;
                    return Err(self.wrong("this text has no end"));
                }
                Some('\\') if !raw => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(c) => {
                    self.at += 1;
                    text.push(c);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        let c = self.peek().ok_or_else(|| self.wrong("this text has no end"))?;
        self.at += 1;
        let simple = match c {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            '\\' | '\'' | '"' | '`' | '?' => c,
            'x' | 'X' => return self.code(2, 16),
            'u' => return self.code(4, 16),
            'U' => return self.code(8, 16),
            '0'..='3' => {
                self.at -= 1;
                return self.code(3, 8);
            }
            _ => return Err(self.wrong(format!("`\\{c}` is no escape"))),
        };
        Ok(simple)
    }

    fn code(&mut self, digits: usize, radix: u32) -> Result<char, ParseError> {
        let end = (self.at + digits).min(self.characters.len());
        let text: String = self.characters[self.at..end].iter().collect();
        let code = u32::from_str_radix(&text, radix).ok().and_then(char::from_u32);
        self.at = end;
        code.filter(|_| text.chars().count() == digits)
            .ok_or_else(|| self.wrong("this is the number of no character"))
    }

    fn name(&mut self) -> Result<String, ParseError> {
        self.blanks();
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.at += 1;
        }
        if self.at == start || self.characters[start].is_ascii_digit() {
            return Err(self.wrong("a name is expected here"));
        }
        Ok(self.characters[start..self.at].iter().collect())
    }

    fn eat_operator(&mut self, mark: &str) -> bool {
        let start = self.at;
        let word = mark.chars().all(char::is_alphabetic);
        let eaten = self.eat(mark);
        if eaten && word && self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            self.at = start;
            return false;
        }
        eaten
    }

    fn eat(&mut self, mark: &str) -> bool {
        self.blanks();
        let found = mark
            .chars()
            .enumerate()
            .all(|(ahead, c)| self.peek_at(ahead) == Some(c));
        if found {
            self.at += mark.chars().count();
        }
        found
    }

    fn expect(&mut self, mark: &str) -> Result<(), ParseError> {
        if self.eat(mark) {
            return Ok(());
        }
        Err(self.wrong(format!("`{mark}` is expected here")))
    }

    fn blanks(&mut self) {
        loop {
            while self.peek().is_some_and(char::is_whitespace) {
                self.at += 1;
            }
            if self.peek() != Some('/') || self.peek_at(1) != Some('/') {
                return;
            }
            while self.peek().is_some_and(|c| c != '\n') {
                self.at += 1;
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn wrong(&self, message: impl Into<String>) -> ParseError {
        ParseError {
            at: self.at + 1,
            message: message.into(),
        }
    }
}

/// A chain of one operator, of which it makes no difference where the brackets are, as a tree that is not deep.
fn balanced(mut chain: Vec<Expression>, operator: Operator) -> Expression {
    if chain.len() == 1 {
        return chain.remove(0);
    }
    let right = chain.split_off(chain.len() / 2);
    Expression::Binary(
        operator,
        Box::new(balanced(chain, operator)),
        Box::new(balanced(right, operator)),
    )
}

/// A field's name as objects have it: Kubernetes writes those that are no names of the language in a form of its own.
fn unescaped(name: &str) -> String {
    if let Some(word) = name.strip_prefix("__").and_then(|name| name.strip_suffix("__"))
        && (RESERVED.contains(&word) || ["true", "false", "null", "in"].contains(&word))
    {
        return word.to_owned();
    }
    name.replace("__dot__", ".")
        .replace("__dash__", "-")
        .replace("__slash__", "/")
        .replace("__underscores__", "__")
}
