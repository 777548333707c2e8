//! What the expression language knows, and what can be said of an expression without evaluating it: the functions there
//! are, the regular expressions written out in it, and whether it states an absence. Pure.

use crate::limits::REGEX_BYTES_MAX;
use cel::Program;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// Functions of CEL itself, as the `cel` crate has them.
const STANDARD: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "duration",
    "dyn",
    "endsWith",
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
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
    "type",
    "uint",
    "all",
    "exists",
    "exists_one",
    "map",
    "filter",
];

/// Functions of ours.
const OURS: &[&str] = &[
    "abs",
    "avg",
    "contains_any",
    "digits",
    "distinct",
    "first",
    "flatten",
    "get",
    "host",
    "incidents",
    "index_of",
    "lower",
    "non_decreasing",
    "parse",
    "percentile",
    "range",
    "re",
    "restarts",
    "same_set",
    "sorted",
    "sum",
    "text",
    "time",
];

/// Names of types, which CEL reads like variables.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
];

/// Every function that any expression may call.
pub fn functions() -> impl Iterator<Item = &'static str> {
    STANDARD.iter().chain(OURS).copied()
}

/// Whether a name that looks like a variable is a type.
pub fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// What is written in an expression.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Whether it holds when nothing was there: needs a witness.
    pub absence: bool,
    /// Regular expressions that do not compile, or are too large, and why.
    pub bad_regexes: Vec<(String, String)>,
}

/// Looks at an expression that compiles.
pub fn inspect(source: &str) -> Inspection {
    let Ok(program) = Program::compile(source) else {
        return Inspection::default();
    };
    let mut found = Inspection {
        absence: is_absence(program.expression(), Polarity::Holds),
        bad_regexes: Vec::new(),
    };
    visit(program.expression(), &mut |node| {
        if let Expr::Call(call) = &node.expr
            && let Some(pattern) = regex_of(call)
            && let Err(error) = compile_regex(&pattern)
        {
            found.bad_regexes.push((pattern, error));
        }
    });
    found
}

fn regex_of(call: &CallExpr) -> Option<String> {
    let argument = match (call.func_name.as_str(), &call.target) {
        ("matches", Some(_)) => call.args.first(),
        ("matches" | "re", None) => call.args.get(1),
        _ => None,
    }?;
    match &argument.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    }
}

fn compile_regex(pattern: &str) -> Result<(), String> {
    match regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build() {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => Err(format!("compiles to more than {REGEX_BYTES_MAX} bytes")),
        Err(error) => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            Err(format!("cannot be read: {}", last.trim_start_matches("error: ")))
        }
    }
}

fn visit<'tree>(node: &'tree IdedExpr, seen: &mut dyn FnMut(&'tree IdedExpr)) {
    seen(node);
    match &node.expr {
        Expr::Call(call) => {
            call.target.iter().for_each(|target| visit(target, seen));
            call.args.iter().for_each(|argument| visit(argument, seen));
        }
        Expr::Comprehension(fold) => {
            for part in [
                &fold.iter_range,
                &fold.accu_init,
                &fold.loop_cond,
                &fold.loop_step,
                &fold.result,
            ] {
                visit(part, seen);
            }
        }
        Expr::Select(select) => visit(&select.operand, seen),
        Expr::List(list) => list.elements.iter().for_each(|item| visit(item, seen)),
        Expr::Map(map) => map.entries.iter().for_each(|entry| visit_entry(&entry.expr, seen)),
        Expr::Struct(made) => made.entries.iter().for_each(|entry| visit_entry(&entry.expr, seen)),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn visit_entry<'tree>(entry: &'tree EntryExpr, seen: &mut dyn FnMut(&'tree IdedExpr)) {
    match entry {
        EntryExpr::StructField(field) => visit(&field.value, seen),
        EntryExpr::MapEntry(entry) => {
            visit(&entry.key, seen);
            visit(&entry.value, seen);
        }
    }
}

/// Whether the question is what an expression needs to be true, or to be false.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Polarity {
    Holds,
    Fails,
}

impl Polarity {
    fn turned(self) -> Self {
        match self {
            Self::Holds => Self::Fails,
            Self::Fails => Self::Holds,
        }
    }
}

fn is_absence(node: &IdedExpr, polarity: Polarity) -> bool {
    match &node.expr {
        Expr::Call(call) => is_absent_call(call, polarity),
        Expr::Comprehension(fold) => is_absent_fold(fold, polarity),
        _ => false,
    }
}

fn is_absent_call(call: &CallExpr, polarity: Polarity) -> bool {
    let holds = polarity == Polarity::Holds;
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::LOGICAL_NOT, [inner]) => is_absence(inner, polarity.turned()),
        (operators::LOGICAL_AND | operators::LOGICAL_OR, sides) => sides.iter().any(|side| is_absence(side, polarity)),
        (operators::CONDITIONAL, [_, yes, no]) => is_absence(yes, polarity) || is_absence(no, polarity),
        (operators::IN, _) => !holds,
        (operators::EQUALS, [a, b]) => holds && is_nothing(a, b),
        (operators::NOT_EQUALS, [a, b]) => !holds && is_nothing(a, b),
        (operators::LESS | operators::LESS_EQUALS, [a, _]) => holds && is_size(a),
        (operators::GREATER | operators::GREATER_EQUALS, [_, b]) => holds && is_size(b),
        _ => false,
    }
}

/// `size(x) == 0`, `x == []`, `x == {}`, either way round.
fn is_nothing(one: &IdedExpr, other: &IdedExpr) -> bool {
    let empty = |node: &IdedExpr| match &node.expr {
        Expr::List(list) => list.elements.is_empty(),
        Expr::Map(map) => map.entries.is_empty(),
        _ => false,
    };
    let zero = |node: &IdedExpr| match &node.expr {
        Expr::Literal(LiteralValue::Int(number)) => *number.inner() == 0,
        Expr::Literal(LiteralValue::UInt(number)) => *number.inner() == 0,
        _ => false,
    };
    empty(one) || empty(other) || (is_size(one) && zero(other)) || (is_size(other) && zero(one))
}

fn is_size(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Call(call) if call.func_name == "size")
}

/// `all` starts from true, `exists` from false; both are vacuous over an empty list in one direction.
fn is_absent_fold(fold: &ComprehensionExpr, polarity: Polarity) -> bool {
    match &fold.accu_init.expr {
        Expr::Literal(LiteralValue::Boolean(start)) => {
            *start.inner() == (polarity == Polarity::Holds) && !is_written_list(&fold.iter_range)
        }
        _ => false,
    }
}

/// A list written out with something in it is never empty.
fn is_written_list(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::List(list) if !list.elements.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absences_are_told_from_presences() {
        for absent in [
            "!x.exists(f, f.a == 1)",
            "x.all(f, f.a == 1)",
            "size(x) == 0",
            "0 == x.size()",
            "x == []",
            "!('server' in x.headers)",
            "upgrade.status == 101 && x.all(f, f.ok)",
            "size(x.filter(f, f.bad)) < 1",
            "!(size(x) != 0)",
        ] {
            assert!(inspect(absent).absence, "{absent}");
        }
        for present in [
            "x.exists(f, f.a == 1)",
            "!x.all(f, f.a == 1)",
            "size(x) == 3",
            "size(x) > 0",
            "'server' in x.headers",
            "[200, 204].all(s, s in x.statuses)",
            "x.status == 101",
            "x.map(f, f.id) == [1, 2]",
        ] {
            assert!(!inspect(present).absence, "{present}");
        }
    }

    #[test]
    fn regexes_are_compiled_at_load() {
        assert!(inspect("x.matches('^a+$') && re(x, 'b')").bad_regexes.is_empty());
        assert!(
            inspect("re(x, '(a{1000}){1000}')").bad_regexes[0]
                .1
                .contains("more than")
        );
        assert_eq!(inspect("x.matches('(')").bad_regexes.len(), 1);
    }
}
