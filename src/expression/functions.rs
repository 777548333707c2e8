//! The functions of the check language beside CEL's own: their table, and what is needed to refuse unknown ones at load.
//! All are pure; `docs/language.md` describes each, and a test holds the two together.

use super::written::{self, function_name};
use super::{Functions, shared};
use crate::limits::REGEX_BYTES_MAX;
use cel::common::ast::{Expr, IdedExpr, LiteralValue};
use cel::common::types::DYN_TYPE;
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use serde_json::Value;

mod ledger;
mod lists;
mod numbers;
mod texts;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod values;

type Arguments<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;
type Call = for<'b, 'v> fn(Arguments<'b, 'v>) -> Answer<'b, 'v>;

/// Name, number of parameters, what it does.
const OURS: &[(&str, usize, Call)] = &[
    ("first", 2, lists::first),
    ("get", 3, lists::get),
    ("distinct", 1, lists::distinct),
    ("sorted", 1, lists::sorted),
    ("same_set", 2, lists::same_set),
    ("index_of", 2, lists::index_of),
    ("non_decreasing", 1, lists::non_decreasing),
    ("flatten", 1, lists::flatten),
    ("pairs", 1, lists::pairs),
    ("range", 1, lists::range),
    ("keys", 1, lists::keys),
    ("without", 2, lists::without),
    ("percentile", 2, numbers::percentile),
    ("avg", 1, numbers::avg),
    ("sum", 1, numbers::sum),
    ("max", 1, numbers::max),
    ("min", 1, numbers::min),
    ("abs", 1, numbers::abs),
    ("ratio", 2, numbers::ratio),
    ("time", 1, numbers::time),
    ("re", 2, texts::re),
    ("contains_any", 2, texts::contains_any),
    ("host", 1, texts::host),
    ("parse", 1, texts::parse),
    ("text", 1, texts::text),
    ("lower", 1, texts::lower),
    ("digits", 1, texts::digits),
    ("holds_number", 2, texts::holds_number),
    ("incidents", 1, ledger::incidents),
    ("restarts", 1, ledger::restarts),
];

/// CEL's own functions and macros, and those of its strings extension.
const STANDARD: &[&str] = &[
    "all",
    "bool",
    "bytes",
    "charAt",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
    "exists",
    "existsOne",
    "exists_one",
    "filter",
    "format",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "has",
    "hasValue",
    "indexOf",
    "int",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "map",
    "matches",
    "optMap",
    "optional.none",
    "optional.of",
    "optional.ofNonZeroValue",
    "or",
    "orValue",
    "replace",
    "reverse",
    "size",
    "split",
    "startsWith",
    "string",
    "substring",
    "timestamp",
    "trim",
    "type",
    "uint",
    "upperAscii",
    "value",
];

/// Declares our functions; each takes values of any kind and says itself what it cannot use.
pub(super) fn add_to(env: &mut Env) -> Result<(), DeclarationError> {
    for (name, parameters, call) in OURS {
        env.add_overload(
            name,
            &format!("stagewatch_{name}"),
            (0..*parameters).map(|_| DYN_TYPE).collect(),
            *call,
        )?;
    }
    Ok(())
}

/// Whether every expression may call `name`. `random` is not among them: only `vars` may call it.
pub fn is_known(name: &str) -> bool {
    STANDARD.contains(&name) || OURS.iter().any(|(ours, ..)| *ours == name)
}

/// Names of our own functions, in the order of the documentation.
pub fn ours() -> impl Iterator<Item = &'static str> {
    OURS.iter().map(|(name, ..)| *name)
}

/// The known or configured function whose name is closest to `name`, if one is close.
pub fn closest<'a>(name: &str, configured: &'a Functions) -> Option<&'a str> {
    let known = STANDARD.iter().copied().chain(ours()).map(|name| -> &'a str { name });
    let candidates = known.chain(configured.keys().map(String::as_str));
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(far, _)| *far <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, upper and lower case being equal.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, character) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(character != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

/// Literal patterns that do not compile: pattern and what is wrong.
pub(super) fn bad_patterns(written: &IdedExpr) -> Vec<(String, String)> {
    let mut bad = Vec::new();
    written::visit(written, &mut |node| {
        let Expr::Call(call) = &node.expr else { return };
        let takes_pattern = matches!(function_name(call).as_deref(), Some("re" | "matches"));
        let Some(Expr::Literal(LiteralValue::String(pattern))) = call.args.last().map(|argument| &argument.expr) else {
            return;
        };
        if takes_pattern && let Err(error) = texts::compile(pattern.inner()) {
            let said = match error {
                regex::Error::CompiledTooBig(_) => format!("larger than {REGEX_BYTES_MAX} bytes when compiled"),
                other => other.to_string().lines().last().unwrap_or_default().to_owned(),
            };
            bad.push((pattern.inner().to_owned(), said));
        }
    });
    bad
}

/// The arguments as an array; overloads are only called with as many as they declare.
fn take<'b, 'v, const N: usize>(arguments: Arguments<'b, 'v>) -> Result<[CowVal<'b, 'v>; N], ExecutionError> {
    let got = arguments.len();
    arguments
        .try_into()
        .map_err(|_| ExecutionError::invalid_argument_count(N, got))
}

/// A JSON value as an answer.
fn answer<'b, 'v>(value: &Value) -> Answer<'b, 'v> {
    Ok(CowVal::Owned(shared::boxed(value)))
}

/// "`name`: takes …".
fn refuse<T>(name: &str, takes: &str) -> Result<T, ExecutionError> {
    Err(ExecutionError::function_error(name, format!("takes {takes}")))
}

/// The items of a list (or the keys of a map).
fn items<'a, 'v>(name: &str, list: &'a (dyn Val + 'v)) -> Result<Vec<&'a (dyn Val + 'v)>, ExecutionError> {
    let Some(list) = list.as_iterable() else {
        return refuse(name, "a list");
    };
    let mut walk = list.iter();
    let mut found = Vec::new();
    while let Some(item) = walk.next() {
        found.push(item);
    }
    Ok(found)
}

/// A text under which equal values are equal: numbers of different kinds too, maps whatever their order.
fn identity(value: &dyn Val) -> String {
    fn plain(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(plain),
            Value::Object(members) => members.values_mut().for_each(plain),
            Value::Number(number) => {
                if let Some(double) = number.as_f64() {
                    *value = Value::from(double);
                }
            }
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
    let mut json = shared::json_of(value);
    plain(&mut json);
    json.to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use crate::expression::{EvaluationError, Expression, Scope};

    #[test]
    fn every_name_can_be_called() {
        let scope = Scope::new();
        for name in ours() {
            let calls = ["(1)", "(1, 2)", "(1, 2, 3)"].map(|arguments| {
                let expression = Expression::compile(&format!("{name}{arguments}")).unwrap();
                expression.evaluate(&scope)
            });
            let undeclared = Err(EvaluationError::Missing(name.to_owned()));
            assert!(calls.iter().all(|answer| *answer != undeclared), "{name}: {calls:?}");
        }
    }

    #[test]
    fn every_standard_name_exists() {
        let scope = Scope::new();
        for name in STANDARD {
            let forms = [
                format!("{name}(1)"),
                format!("'a'.{name}()"),
                format!("'a'.{name}(1)"),
                format!("[true].{name}(x, x)"),
                format!("optional.of(1).{name}()"),
                format!("optional.of(1).{name}(2)"),
                format!("optional.of(1).{name}(x, x)"),
                format!("timestamp('2026-01-01T00:00:00Z').{name}()"),
            ];
            let undeclared = Err(EvaluationError::Missing((*name).to_owned()));
            let known = forms.iter().any(|form| match Expression::compile(form) {
                Ok(expression) => expression.evaluate(&scope) != undeclared,
                // A macro with the wrong arguments is refused when it is parsed.
                Err(_) => true,
            });
            assert!(known, "{name}");
        }
    }

    #[test]
    fn the_documentation_names_every_function() {
        let documentation = include_str!("../../docs/language.md");
        for name in ours() {
            assert!(
                documentation.contains(&format!("`{name}(")),
                "docs/language.md lacks {name}"
            );
        }
    }

    #[test]
    fn a_misspelt_name_has_a_neighbour() {
        let configured = Functions::new();
        assert_eq!(closest("percentil", &configured), Some("percentile"));
        assert_eq!(closest("startswith", &configured), Some("startsWith"));
        assert_eq!(closest("nothing_like_it", &configured), None);
    }

    #[test]
    fn bad_patterns_are_found_before_they_run() {
        let bad = |source: &str| Expression::compile(source).unwrap().bad_patterns();
        assert_eq!(bad("re(x, '^a+$') && x.matches('b')"), []);
        assert_eq!(bad("x.matches('(')")[0].0, "(");
        assert!(bad("re(x, '[a-z]{1000}{1000}')")[0].1.contains("larger than"));
    }
}
