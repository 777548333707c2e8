//! CEL: compile, say what an expression reads, evaluate, show what was compared. No IO, no clock.

use crate::limits::EXPRESSION_BYTES_MAX;
use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Env, Program};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {
    source: Arc<str>,
    program: Arc<Program>,
    reads: Arc<BTreeSet<ReadPath>>,
}

/// One thing that an expression reads: a variable and the fields selected on it, as far as they are written out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadPath {
    /// The variable.
    pub root: String,
    /// The fields, outermost first; empty when the variable is used whole.
    pub fields: Vec<String>,
}

/// Why an expression does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// Character offset in the expression, from 0.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
}

/// Why an expression could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// A field or key is missing.
    #[error("there is no `{0}`")]
    Missing(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Expression {
    /// Compiles `source`.
    ///
    /// # Errors
    /// A syntax error with its place, or an expression above `EXPRESSION_BYTES_MAX`.
    pub fn compile(source: &str) -> Result<Self, SyntaxError> {
        if source.len() > EXPRESSION_BYTES_MAX {
            return Err(SyntaxError {
                offset: 0,
                message: format!("longer than {EXPRESSION_BYTES_MAX} bytes"),
            });
        }
        let program = ENV.compile(source).map_err(|errors| syntax_error(source, &errors))?;
        let mut reads = BTreeSet::new();
        collect_reads(program.expression(), &mut Vec::new(), &mut reads);
        Ok(Self {
            source: source.into(),
            program: Arc::new(program),
            reads: Arc::new(reads),
        })
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it reads: variables of comprehensions left out.
    pub fn reads(&self) -> &BTreeSet<ReadPath> {
        &self.reads
    }

    /// Names of the functions it calls, operators and macros included.
    pub fn functions(&self) -> BTreeSet<String> {
        self.program
            .references()
            .functions()
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    /// Evaluates in `scope`.
    ///
    /// # Errors
    /// A missing field, or whatever else CEL objects to.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, EvaluationError> {
        let value = self
            .program
            .execute(&scope.context)
            .map_err(|error| evaluation_error(&error))?;
        value.json().map_err(|error| EvaluationError::Other(error.to_string()))
    }

    /// Evaluates to a truth value.
    ///
    /// # Errors
    /// As [`Self::evaluate`]; also when the value is no boolean.
    pub fn holds(&self, scope: &Scope) -> Result<bool, EvaluationError> {
        match self.evaluate(scope)? {
            Value::Bool(held) => Ok(held),
            other => Err(EvaluationError::Other(format!("gives {other}, not true or false"))),
        }
    }
}

fn syntax_error(source: &str, errors: &cel::ParseErrors) -> SyntaxError {
    let Some(first) = errors.errors.first() else {
        return SyntaxError {
            offset: 0,
            message: "cannot be parsed".to_owned(),
        };
    };
    let line = usize::try_from(first.pos.0 - 1).unwrap_or(0);
    let column = usize::try_from(first.pos.1 - 1).unwrap_or(0);
    let before: usize = source
        .split_inclusive('\n')
        .take(line)
        .map(|text| text.chars().count())
        .sum();
    SyntaxError {
        offset: before + column,
        message: first.msg.clone(),
    }
}

fn evaluation_error(error: &cel::ExecutionError) -> EvaluationError {
    match error {
        cel::ExecutionError::NoSuchKey(key) => EvaluationError::Missing(key.to_string()),
        cel::ExecutionError::UndeclaredReference(name) => EvaluationError::Missing(name.to_string()),
        other => EvaluationError::Other(other.to_string()),
    }
}

/// Collects maximal selections on free variables; `bound` holds the variables of the enclosing comprehensions.
fn collect_reads(node: &IdedExpr, bound: &mut Vec<String>, reads: &mut BTreeSet<ReadPath>) {
    if let Some(path) = path_of(node) {
        if !bound.contains(&path.root) {
            reads.insert(path);
        }
        return;
    }
    match &node.expr {
        Expr::Call(call) => {
            for child in call.target.iter().map(AsRef::as_ref).chain(&call.args) {
                collect_reads(child, bound, reads);
            }
        }
        Expr::Comprehension(loop_) => {
            collect_reads(&loop_.iter_range, bound, reads);
            collect_reads(&loop_.accu_init, bound, reads);
            let depth = bound.len();
            bound.push(loop_.iter_var.clone());
            bound.extend(loop_.iter_var2.clone());
            bound.push(loop_.accu_var.clone());
            for child in [&loop_.loop_cond, &loop_.loop_step, &loop_.result] {
                collect_reads(child, bound, reads);
            }
            bound.truncate(depth);
        }
        Expr::List(list) => list
            .elements
            .iter()
            .for_each(|child| collect_reads(child, bound, reads)),
        Expr::Map(map) => map
            .entries
            .iter()
            .for_each(|entry| collect_entry(&entry.expr, bound, reads)),
        Expr::Struct(made) => made
            .entries
            .iter()
            .for_each(|entry| collect_entry(&entry.expr, bound, reads)),
        Expr::Select(select) => collect_reads(&select.operand, bound, reads),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn collect_entry(entry: &EntryExpr, bound: &mut Vec<String>, reads: &mut BTreeSet<ReadPath>) {
    match entry {
        EntryExpr::StructField(field) => collect_reads(&field.value, bound, reads),
        EntryExpr::MapEntry(entry) => {
            collect_reads(&entry.key, bound, reads);
            collect_reads(&entry.value, bound, reads);
        }
    }
}

fn path_of(node: &IdedExpr) -> Option<ReadPath> {
    match &node.expr {
        Expr::Ident(name) => Some(ReadPath {
            root: name.clone(),
            fields: Vec::new(),
        }),
        Expr::Select(select) => {
            let mut path = path_of(&select.operand)?;
            path.fields.push(select.field.clone());
            Some(path)
        }
        _ => None,
    }
}

/// The variables an expression can read.
pub struct Scope<'parent> {
    context: Context<'parent, 'static>,
}

impl Scope<'static> {
    /// An empty scope.
    pub fn new() -> Self {
        Self {
            context: Context::with_env(Arc::clone(&ENV)),
        }
    }

    /// An empty scope in which `random(lo, hi)` gives integers from a generator seeded with `seed`, both ends included.
    pub fn with_random(seed: u64) -> Self {
        let mut scope = Self::new();
        let generator = Mutex::new(StdRng::seed_from_u64(seed));
        // The name is not in the standard library, so it cannot be refused.
        let _ = scope.context.add_function("random", move |lo: i64, hi: i64| {
            let mut generator = generator.lock().unwrap_or_else(PoisonError::into_inner);
            generator.random_range(lo.min(hi)..=lo.max(hi))
        });
        scope
    }
}

impl Default for Scope<'static> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'parent> Scope<'parent> {
    /// A scope inside this one.
    pub fn child(&self) -> Scope<'_> {
        Scope {
            context: self.context.new_inner_scope(),
        }
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &Value) {
        // serde_json values always convert; a failure would leave the variable undeclared, which evaluation reports.
        if let Ok(value) = cel::to_value(value) {
            self.context.add_variable_from_value(name, value);
        }
    }
}

/// A string with `${expression}` holes. `$${` writes a literal `${`.
#[derive(Clone, Debug)]
pub struct Template {
    source: Arc<str>,
    pieces: Arc<[Piece]>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Hole(Expression),
}

impl Template {
    /// Compiles `source`.
    ///
    /// # Errors
    /// An unclosed hole, or a syntax error inside one; offsets count in the template.
    pub fn compile(source: &str) -> Result<Self, SyntaxError> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                text.push_str(&rest[..at]);
                text.push('{');
                rest = &rest[at + 2..];
                continue;
            }
            text.push_str(&rest[..at]);
            let start = source.len() - rest.len() + at + 2;
            let offset = source[..start].chars().count();
            let Some(end) = hole_end(&source[start..]) else {
                return Err(SyntaxError {
                    offset: offset - 2,
                    message: "`${` is never closed by `}`".to_owned(),
                });
            };
            let hole = Expression::compile(&source[start..start + end]).map_err(|error| SyntaxError {
                offset: offset + error.offset,
                ..error
            })?;
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Hole(hole));
            rest = &source[start + end + 1..];
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self {
            source: source.into(),
            pieces: pieces.into(),
        })
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The expressions in its holes.
    pub fn holes(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Text(_) => None,
        })
    }

    /// The value: the text with its holes filled; a template that is one hole and nothing else keeps the type of its value.
    ///
    /// # Errors
    /// The first hole that cannot be evaluated.
    pub fn fill(&self, scope: &Scope) -> Result<Value, EvaluationError> {
        if let [Piece::Hole(hole)] = self.pieces.as_ref() {
            return hole.evaluate(scope);
        }
        let mut filled = String::new();
        for piece in self.pieces.iter() {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Hole(hole) => match hole.evaluate(scope)? {
                    Value::String(text) => filled.push_str(&text),
                    other => filled.push_str(&other.to_string()),
                },
            }
        }
        Ok(Value::String(filled))
    }

    /// As [`Self::fill`], as text.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn fill_text(&self, scope: &Scope) -> Result<String, EvaluationError> {
        Ok(match self.fill(scope)? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }
}

/// Byte offset of the `}` that closes a hole; braces inside strings and map literals are skipped.
fn hole_end(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reads(source: &str) -> Vec<String> {
        let expression = Expression::compile(source).unwrap();
        expression
            .reads()
            .iter()
            .map(|path| format!("{}:{}", path.root, path.fields.join(".")))
            .collect()
    }

    #[test]
    fn reads_are_maximal_and_free() {
        assert_eq!(reads("upgrade.status == 101"), ["upgrade:status"]);
        assert_eq!(reads("frames.all(f, f.json.id == nonce)"), ["frames:", "nonce:"]);
        assert_eq!(reads("1 == 1"), Vec::<String>::new());
        assert_eq!(reads("has(welcome.json.data)"), ["welcome:json.data"]);
    }

    #[test]
    fn templates_keep_types_and_fill_text() {
        let mut scope = Scope::new();
        scope.set("n", &json!(3));
        assert_eq!(Template::compile("${n}").unwrap().fill(&scope).unwrap(), json!(3));
        assert_eq!(
            Template::compile("a-${n}-$${x}").unwrap().fill(&scope).unwrap(),
            json!("a-3-${x}")
        );
        assert_eq!(Template::compile("x ${n").unwrap_err().offset, 2);
    }

    #[test]
    fn a_missing_key_names_itself() {
        let mut scope = Scope::new();
        scope.set("a", &json!({}));
        let error = Expression::compile("a.b == 1").unwrap().holds(&scope).unwrap_err();
        assert_eq!(error, EvaluationError::Missing("b".to_owned()));
    }
}
