//! What expressions may read and call in one place of the configuration, and the mistakes of those that read or call
//! something else. Compiles expressions, templates and JSON with templates.

use super::error::At;
use super::known::{is_function, is_type, suggest_function};
use super::words::suggest;
use crate::catalog::JsonTemplate;
use crate::expression::{Expression, ReadPath, SyntaxError, Template};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What a variable is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// Something that was observed: an expectation may rest on it.
    Evidence,
    /// Something that we made or configured.
    Context,
    /// As `Context`, with nothing in it but these fields.
    Fields(BTreeSet<String>),
    /// As `Evidence`, with nothing in it but these fields.
    EvidenceFields(BTreeSet<String>),
    /// A whole scenario: its members.
    Scenario(BTreeMap<String, Root>),
    /// Several scenarios have it: the ways to say which one.
    Ambiguous(Vec<String>),
}

impl Root {
    /// A context with these fields.
    pub fn fields<'names>(names: impl IntoIterator<Item = &'names str>) -> Self {
        Self::Fields(names.into_iter().map(str::to_owned).collect())
    }
}

/// Whether `random(lo, hi)` may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Random {
    /// In `vars`.
    Allowed,
    /// Everywhere else: an expression gives the same value twice.
    Refused,
}

/// The variables and functions of one place.
#[derive(Clone, Debug)]
pub struct Lexicon {
    functions: Rc<BTreeSet<String>>,
    random: Random,
    roots: BTreeMap<String, Root>,
    unknown: Unknown,
}

/// What is said of a variable that is not in a lexicon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    /// It is a mistake.
    Refused,
    /// Nothing: what would define it could not be read, which has been said.
    Excused,
}

/// An expression inside a scalar: where the scalar is, its value, and how far in the expression starts.
#[derive(Clone, Copy)]
struct Site<'load> {
    at: At<'load>,
    value: &'load str,
    offset: usize,
}

impl Site<'_> {
    /// Says what is wrong with the first occurrence of `word` in the expression.
    fn wrong_word(self, expression: &str, word: &str, message: String, help: String) {
        let (offset, length) = position(expression, word).unwrap_or((0, expression.chars().count()));
        self.at
            .wrong_inside(self.value, (self.offset + offset, length), message, help);
    }
}

impl Lexicon {
    /// One that knows `functions` and no variable.
    pub fn new(functions: Rc<BTreeSet<String>>) -> Self {
        Self {
            functions,
            random: Random::Refused,
            roots: BTreeMap::new(),
            unknown: Unknown::Refused,
        }
    }

    /// Says nothing of unknown variables from here on: what would define them is missing, and that was said.
    pub fn excuse_unknown(&mut self) {
        self.unknown = Unknown::Excused;
    }

    /// With a variable more.
    #[must_use]
    pub fn with(mut self, name: &str, root: Root) -> Self {
        self.add(name, root);
        self
    }

    /// With `random`.
    #[must_use]
    pub fn with_random(mut self) -> Self {
        self.random = Random::Allowed;
        self
    }

    /// Adds a variable.
    pub fn add(&mut self, name: &str, root: Root) {
        self.roots.insert(name.to_owned(), root);
    }

    /// Takes a variable away.
    pub fn remove(&mut self, name: &str) {
        self.roots.remove(name);
    }

    /// What a variable is.
    pub fn root(&self, name: &str) -> Option<&Root> {
        self.roots.get(name)
    }

    /// Takes over the variables that another one has beside.
    pub fn join(&mut self, other: &Self) {
        for (name, root) in &other.roots {
            self.roots.entry(name.clone()).or_insert_with(|| root.clone());
        }
    }

    /// Compiles an expression; says what is wrong with it.
    pub fn expression(&self, source: &str, at: At) -> Option<Expression> {
        match Expression::compile(source) {
            Ok(expression) => {
                let site = Site {
                    at,
                    value: source,
                    offset: 0,
                };
                self.check(&expression, site);
                Some(expression)
            }
            Err(error) => {
                syntax(&error, source, at);
                None
            }
        }
    }

    /// As [`Self::expression`]; an expression that nobody will see instead of a wrong one.
    pub fn expression_or_placeholder(&self, source: &str, at: At) -> Expression {
        self.expression(source, at).unwrap_or_else(placeholder)
    }

    /// An optional expression.
    pub fn optional(&self, source: Option<&String>, at: At) -> Option<Expression> {
        source.and_then(|source| self.expression(source, at))
    }

    /// Compiles a template; says what is wrong with it.
    pub fn template(&self, source: &str, at: At) -> Option<Template> {
        let template = match Template::compile(source) {
            Ok(template) => template,
            Err(error) => {
                syntax(&error, source, at);
                return None;
            }
        };
        let mut from = 0;
        for hole in template.holes() {
            let written = format!("${{{}}}", hole.source());
            let start = source[from..].find(&written).map_or(from, |found| from + found);
            let site = Site {
                at,
                value: source,
                offset: source[..start].chars().count() + 2,
            };
            self.check(hole, site);
            from = start + 2;
        }
        Some(template)
    }

    /// As [`Self::template`]; a template that nobody will see instead of a wrong one.
    pub fn template_or_placeholder(&self, source: &str, at: At) -> Template {
        self.template(source, at)
            .or_else(|| Template::compile("").ok())
            .unwrap_or_else(|| unreachable!("the empty template has no syntax to be wrong"))
    }

    /// Compiles JSON whose strings may be templates.
    pub fn json(&self, value: &Value, at: At) -> JsonTemplate {
        match value {
            Value::String(text) if text.contains("${") => JsonTemplate::Text(self.template_or_placeholder(text, at)),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                JsonTemplate::List(items.map(|(place, item)| self.json(item, at.item(place))).collect())
            }
            Value::Object(members) => {
                let members = members.iter();
                JsonTemplate::Object(
                    members
                        .map(|(name, value)| (name.clone(), self.json(value, at.key(name))))
                        .collect(),
                )
            }
            plain => JsonTemplate::Plain(plain.clone()),
        }
    }

    fn check(&self, expression: &Expression, site: Site) {
        let source = expression.source();
        for function in expression.functions() {
            let is_random = function == "random";
            if is_function(&function, &self.functions) || (is_random && self.random == Random::Allowed) {
                continue;
            }
            let (message, help) = if is_random {
                (
                    "`random` is only allowed in `vars`".to_owned(),
                    "compute it once in the scenario's `vars`, and read the variable here".to_owned(),
                )
            } else {
                (
                    format!("unknown function `{function}`"),
                    suggest_function(&function, &self.functions),
                )
            };
            site.wrong_word(source, &function, message, help);
        }
        for path in expression.reads() {
            self.check_read(source, path, site);
        }
        for (pattern, why) in expression.bad_patterns() {
            let why = why.trim_start_matches("error: ");
            let help = "write a smaller one, of what docs.rs/regex knows: no look-around, no backreferences".to_owned();
            site.wrong_word(
                source,
                &pattern,
                format!("the regular expression `{pattern}` does not compile: {why}"),
                help,
            );
        }
    }

    fn check_read(&self, source: &str, path: &ReadPath, site: Site) {
        let root = path.root.as_str();
        match self.roots.get(root) {
            None if is_type(root) || self.unknown == Unknown::Excused => {}
            None => {
                let help = suggest(root, self.roots.keys().map(String::as_str).collect::<Vec<_>>());
                site.wrong_word(source, root, format!("unknown variable `{root}`"), help);
            }
            Some(found) => {
                if let Err((message, help)) = found.follow(root, &path.fields) {
                    site.wrong_word(source, root, message, help);
                }
            }
        }
    }

    /// Whether everything that an expression reads is there.
    pub fn knows_all(&self, expression: &Expression) -> bool {
        expression.reads().iter().all(|path| {
            let found = self.roots.get(&path.root);
            found.is_some_and(|root| root.follow(&path.root, &path.fields).is_ok())
        })
    }

    /// Whether an expression reads something that was observed.
    pub fn reads_evidence(&self, expression: &Expression) -> bool {
        expression.reads().iter().any(|path| {
            let found = self.roots.get(&path.root);
            let excused = self.unknown == Unknown::Excused && found.is_none();
            excused || found.is_some_and(|root| root.follow(&path.root, &path.fields).is_ok_and(Root::is_evidence))
        })
    }
}

impl Root {
    fn is_evidence(&self) -> bool {
        matches!(self, Self::Evidence | Self::EvidenceFields(_))
    }

    /// What the fields of a read lead to; message and help when they lead nowhere.
    fn follow(&self, name: &str, fields: &[String]) -> Result<&Self, (String, String)> {
        match (self, fields) {
            (Self::Ambiguous(ways), _) => Err((
                format!("`{name}` is in several of the needed scenarios"),
                format!("write {}", ways.join(" or ")),
            )),
            (Self::Fields(known) | Self::EvidenceFields(known), [field, ..]) if !known.contains(field) => Err((
                format!("there is no `{field}` in `{name}` here"),
                suggest(field, known.iter().map(String::as_str).collect::<Vec<_>>()),
            )),
            (Self::Scenario(members), [field, rest @ ..]) => match members.get(field) {
                Some(member) => member.follow(&format!("{name}.{field}"), rest),
                None => Err((
                    format!("there is no `{field}` in the scenario `{name}`"),
                    suggest(field, members.keys().map(String::as_str).collect::<Vec<_>>()),
                )),
            },
            _ => Ok(self),
        }
    }
}

/// An expression for a place whose own is wrong; the load fails, so nobody evaluates it.
fn placeholder() -> Expression {
    Expression::compile("false").unwrap_or_else(|_| unreachable!("`false` is an expression"))
}

fn syntax(error: &SyntaxError, value: &str, at: At) {
    let message = match error.message.strip_prefix("Syntax error: ") {
        None if error.message.starts_with('`') => error.message.clone(),
        None => format!("the expression is {}", error.message),
        Some(message) => {
            let message = message.split(" expecting {").next().unwrap_or(message);
            match message.strip_suffix(" expecting <EOF>") {
                Some(what) => format!("the expression should have ended here: {what}"),
                None if message.contains("'<EOF>'") => "the expression ends too early".to_owned(),
                None => format!("the expression cannot be parsed: {message}"),
            }
        }
    };
    let last = value.chars().count().saturating_sub(1);
    let place = (error.offset.min(last), 1);
    at.wrong_inside(value, place, message, "expressions are CEL; see docs/language.md");
}

/// Where a word stands in an expression, in characters, with its length: not inside a longer word, nor behind a dot.
fn position(source: &str, word: &str) -> Option<(usize, usize)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    source
        .match_indices(word)
        .find(|(start, _)| {
            let before = source[..*start].chars().next_back();
            let after = source[start + word.len()..].chars().next();
            let free = before.is_none_or(|c| !is_word(c) && c != '.');
            let called = before == Some('.') && after == Some('(');
            (free || called || !word.starts_with(is_word)) && after.is_none_or(|c| !is_word(c))
        })
        .map(|(start, _)| (source[..start].chars().count(), word.chars().count()))
}
