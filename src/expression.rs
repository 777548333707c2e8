//! CEL: compile, say what an expression reads, evaluate, explain why it is false. No IO, no clock.
//!
//! The language is CEL with its strings extension, the functions of [`functions`], and two widenings, both because a
//! target's JSON is not ours: arithmetic on numbers of different kinds gives a double (`5` today, `5.2` tomorrow), and an
//! item on which the predicate of `all`, `exists`, `exists_one` or `filter` cannot be evaluated does not satisfy it
//! (frames of one socket differ in shape).

use crate::limits::EXPRESSION_BYTES_MAX;
use cel::common::ast::{Expr, IdedExpr};
use cel::common::value::Val;
use cel::{Env, ExecutionError};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

mod absence;
mod arithmetic;
mod compared;
mod configured;
pub mod functions;
mod reads;
mod scope;
mod shared;
mod template;
mod widen;
mod written;

pub use compared::{Compared, Explanation};
pub use configured::{ConfiguredFunction, FunctionError, Functions, check_functions};
pub use reads::ReadPath;
pub use scope::Scope;
pub use shared::Shared;
pub use template::Template;

/// The standard environment with everything that every expression may call.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    // Our names are none of CEL's own: a clash would leave a function out, which the tests of `functions` would show.
    let _ = env.add_extension(cel::extensions::strings);
    let _ = arithmetic::add_to(&mut env);
    let _ = functions::add_to(&mut env);
    Arc::new(env)
});

/// Parses without macros: the expression as it was written.
static AS_WRITTEN: LazyLock<Env> = LazyLock::new(Env::default);

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {
    source: Arc<str>,
    /// With macros expanded: what is evaluated.
    executed: Arc<IdedExpr>,
    /// Without: what is analysed and shown.
    written: Arc<IdedExpr>,
    reads: Arc<BTreeSet<ReadPath>>,
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
        let parse = |env: &Env| {
            env.parser()
                .parse(source)
                .map_err(|errors| syntax_error(source, &errors))
        };
        let mut executed = parse(&ENV)?;
        let written = parse(&AS_WRITTEN)?;
        let mut reads = BTreeSet::new();
        reads::collect(&executed, &mut Vec::new(), &mut reads);
        widen::widen(&mut executed);
        Ok(Self {
            source: source.into(),
            executed: Arc::new(executed),
            written: Arc::new(written),
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

    /// Names of the functions and macros it calls; operators left out.
    pub fn functions(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        written::visit(&self.written, &mut |node| {
            if let Expr::Call(call) = &node.expr
                && let Some(name) = written::function_name(call)
            {
                found.insert(name);
            }
        });
        found
    }

    /// The literal patterns in it that are no regular expression, or too large a one: pattern and what is wrong.
    pub fn bad_patterns(&self) -> Vec<(String, String)> {
        functions::bad_patterns(&self.written)
    }

    /// Evaluates in `scope`.
    ///
    /// # Errors
    /// A missing field, or whatever else CEL objects to.
    pub fn evaluate(&self, scope: &Scope) -> Result<Value, EvaluationError> {
        self.evaluate_val(scope).map(|value| shared::json_of(value.as_ref()))
    }

    /// As [`Self::evaluate`], for use as a variable of another scope.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn evaluate_shared(&self, scope: &Scope) -> Result<Shared, EvaluationError> {
        self.evaluate_val(scope).map(Shared::from_val)
    }

    fn evaluate_val(&self, scope: &Scope) -> Result<Box<dyn Val>, EvaluationError> {
        cel::Value::resolve_val(&self.executed, scope.context())
            .map(cel::common::value::CowVal::into_owned)
            .map_err(|error| evaluation_error(&error))
    }

    /// Evaluates to a truth value.
    ///
    /// # Errors
    /// As [`Self::evaluate`]; also when the value is no boolean.
    pub fn holds(&self, scope: &Scope) -> Result<bool, EvaluationError> {
        match self.evaluate(scope)? {
            Value::Bool(held) => Ok(held),
            other => Err(EvaluationError::Other(format!(
                "gives {}, not true or false",
                compared::bounded(&other)
            ))),
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

/// Says what CEL objects to without printing whole values: they may be large, and maps print in no particular order.
fn evaluation_error(error: &ExecutionError) -> EvaluationError {
    use EvaluationError::{Missing, Other};
    let kind = |value: &cel::Value| value.type_of().to_string();
    match error {
        ExecutionError::NoSuchKey(key) => Missing(key.to_string()),
        ExecutionError::UndeclaredReference(name) => Missing(name.to_string()),
        ExecutionError::IndexOutOfBounds(index) => Missing(format!("[{}]", index.json().unwrap_or(Value::Null))),
        ExecutionError::FunctionError { function, message } => Other(format!("{function}: {message}")),
        ExecutionError::ValuesNotComparable(left, right) => {
            Other(format!("{} and {} cannot be compared", kind(left), kind(right)))
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            Other(format!("cannot {operator} {} and {}", kind(left), kind(right)))
        }
        ExecutionError::UnsupportedIndex(index, list) => {
            Other(format!("{} is no index of {}", kind(index), kind(list)))
        }
        ExecutionError::Overflow(operator, ..) => Other(format!("cannot {operator}: the number is too large")),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => Other("division by zero".to_owned()),
        ExecutionError::UnsupportedKeyType(key) => Other(format!("{} is no key", kind(key))),
        ExecutionError::DuplicateKey(_) => Other("a key stands twice in a map".to_owned()),
        ExecutionError::UnexpectedType { want, .. } => Other(format!("a value is not {want}")),
        ExecutionError::NoSuchOverload(overload) => match (overload.function(), overload.argument_types()) {
            ("_._", [kind, _]) => Other(format!("a {kind} has no fields")),
            ("_[_]", [kind, index]) => Other(format!("a {kind} has no {index} index")),
            (function, kinds) => Other(format!(
                "cannot apply `{}` to {}",
                written::operator_text(function),
                kinds.join(" and ")
            )),
        },
        _ => Other("cannot be evaluated".to_owned()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
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
        assert_eq!(
            reads("has(welcome.json.data)"),
            ["welcome:json"],
            "a test reads what is tested on"
        );
        assert_eq!(reads("x.matches(pattern)"), ["pattern:", "x:"]);
    }

    #[test]
    fn a_missing_key_names_itself() {
        let mut scope = Scope::new();
        scope.set("a", &json!({"list": []}));
        let error = |source: &str| Expression::compile(source).unwrap().holds(&scope).unwrap_err();
        assert_eq!(error("a.b == 1"), EvaluationError::Missing("b".to_owned()));
        assert_eq!(error("a.list[3] == 1"), EvaluationError::Missing("[3]".to_owned()));
        assert_eq!(error("q == 1"), EvaluationError::Missing("q".to_owned()));
        assert_eq!(
            error("a < 1").to_string(),
            "cannot apply `<` to map and int",
            "values are never printed"
        );
        assert_eq!(error("a.list").to_string(), "gives [], not true or false");
    }

    #[test]
    fn numbers_of_different_kinds_compare_and_add() {
        let mut scope = Scope::new();
        scope.set("n", &json!({"int": 3, "double": 3.0, "half": 0.5, "big": u64::MAX}));
        for held in [
            "n.int == n.double",
            "n.double == 3",
            "n.int + n.half == 3.5",
            "n.half * n.int < 2",
            "n.half - n.int == -2.5",
            "7 / 2 == 3",
            "n.int / 2.0 == 1.5",
            "n.big > n.int",
            "n.int in [1.0, 3.0]",
            "[3] == [n.double]",
            "n.big + 0.5 > 1",
            "'a' + 'b' == 'ab'",
            "[1] + [2] == [1, 2]",
        ] {
            assert_eq!(Expression::compile(held).unwrap().holds(&scope), Ok(true), "{held}");
        }
    }

    #[test]
    fn lists_from_json_equal_literals_on_either_side() {
        let mut scope = Scope::new();
        scope.set("x", &json!({"list": ["a"], "empty": [], "map": {"k": 1}}));
        for held in [
            "x.list == ['a']",
            "['a'] == x.list",
            "[] == x.empty",
            "x.map == {'k': 1}",
            "{'k': 1} == x.map",
            "[{'k': 1}] == [x.map]",
            "x.map in [{'k': 1}]",
            "x.list + ['b'] == ['a', 'b']",
            "size(x.list) == 1 && x.map.size() == 1",
            "'k' in x.map && x.map.all(k, k == 'k')",
            "(x.list + [])[0] == 'a' && (true ? x.map : x.map).k == 1",
        ] {
            assert_eq!(Expression::compile(held).unwrap().holds(&scope), Ok(true), "{held}");
        }
    }

    #[test]
    fn functions_are_named_without_operators() {
        let expression = Expression::compile("!xs.all(x, first(x, ['a']) == 1) && size(xs) > 0").unwrap();
        assert_eq!(
            expression.functions().into_iter().collect::<Vec<_>>(),
            ["all", "first", "size"]
        );
    }
}
