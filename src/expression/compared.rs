//! Why an expression is false: the values that were compared, bounded, and which of its reads took part.

use super::written::{Statement, binary, negated, operands, statement, text};
use super::{EvaluationError, Expression, ReadPath, Scope};
use crate::limits::{COMPARED_CHARS_MAX, COMPARED_VALUES_MAX};
use cel::common::ast::{EntryExpr, Expr, IdedExpr, operators};
use cel::common::value::Val;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// A value that an expectation read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The sub-expression.
    pub expression: String,
    /// Its value, bounded; absent when it has none.
    #[serde(
        default,
        deserialize_with = "crate::transcript::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub value: Option<Value>,
}

/// Why an expression is false.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explanation {
    /// The values that explain it, at most `COMPARED_VALUES_MAX`.
    pub values: Vec<Compared>,
    /// What the parts that are false read.
    pub reads: BTreeSet<ReadPath>,
}

impl Expression {
    /// The values that explain why it does not hold in `scope`: both sides of the comparisons that are false in a chain
    /// of `&&`, of all in a chain of `||`; for `xs.all(x, p)` the first item for which `p` is not true, and its values.
    pub fn compared(&self, scope: &Scope) -> Vec<Compared> {
        self.explain(scope).values
    }

    /// As [`Self::compared`], with what the false parts read.
    pub fn explain(&self, scope: &Scope) -> Explanation {
        let mut explanation = Explanation::default();
        explain(&self.written, true, scope, &mut explanation);
        explanation
    }
}

/// Adds to `out` why `node` is not `wanted`.
fn explain(node: &IdedExpr, wanted: bool, scope: &Scope, out: &mut Explanation) {
    if let Some(inner) = negated(node) {
        return explain(inner, !wanted, scope, out);
    }
    for (operator, all_needed_for) in [(operators::LOGICAL_AND, true), (operators::LOGICAL_OR, false)] {
        if operands(node, operator).is_some() {
            let mut chain = Vec::new();
            flatten(node, operator, &mut chain);
            // Of a conjunction only the parts that are not as wanted explain anything; of a disjunction all do.
            for part in chain {
                if wanted != all_needed_for || truth(part, scope) != Some(wanted) {
                    explain(part, wanted, scope, out);
                }
            }
            return;
        }
    }
    if let Expr::Call(call) = &node.expr
        && let (operators::CONDITIONAL, [condition, yes, no]) = (call.func_name.as_str(), call.args.as_slice())
    {
        out.add(condition, scope);
        match truth(condition, scope) {
            Some(true) => explain(yes, wanted, scope, out),
            Some(false) => explain(no, wanted, scope, out),
            None => {}
        }
        return;
    }
    if let Ok(expression) = Expression::compile(&text(node)) {
        out.reads.extend(expression.reads().iter().cloned());
    }
    leaf(node, wanted, scope, out);
}

/// The parts of a chain of one operator.
fn flatten<'a>(node: &'a IdedExpr, operator: &str, chain: &mut Vec<&'a IdedExpr>) {
    match operands(node, operator) {
        Some(sides) => sides.into_iter().for_each(|side| flatten(side, operator, chain)),
        None => chain.push(node),
    }
}

fn leaf(node: &IdedExpr, wanted: bool, scope: &Scope, out: &mut Explanation) {
    let about_all = statement(node, "all");
    // `all` is false because of one item, and so is `!exists`: the first is shown.
    let one_item = about_all.is_some() == wanted;
    if let Some(statement) = about_all.or_else(|| statement(node, "exists")) {
        if !(one_item && item(&statement, wanted, scope, out)) {
            out.add(statement.list, scope);
        }
        return;
    }
    match &node.expr {
        Expr::Call(call) if binary(&call.func_name).is_some() => {
            call.args.iter().for_each(|side| out.add(side, scope));
        }
        Expr::Call(call) => {
            for argument in call.target.iter().map(AsRef::as_ref).chain(&call.args) {
                match (&argument.expr, call.func_name.as_str()) {
                    (Expr::Select(select), "has") => out.add(&select.operand, scope),
                    _ => out.add(argument, scope),
                }
            }
        }
        _ => out.add(node, scope),
    }
}

/// Shows the first item for which the predicate is not `wanted`; false if there is none to be seen.
fn item(said: &Statement, wanted: bool, scope: &Scope, out: &mut Explanation) -> bool {
    let Ok(items) = value(said.list, scope) else {
        return false;
    };
    let Some(items) = items.as_iterable() else { return false };
    let mut items = items.iter();
    let mut place = 0_usize;
    while let Some(item) = items.next() {
        let mut inner = scope.child();
        inner.set_val(said.variable, item.clone_as_boxed());
        // An item on which the predicate cannot be evaluated does not satisfy it.
        if (truth(said.predicate, &inner) == Some(true)) != wanted {
            out.push(
                format!("{}[{place}]", text(said.list)),
                Some(super::shared::json_of(item)),
            );
            // What the predicate reads of the item is no variable of the expression.
            let mut inside = Explanation {
                values: std::mem::take(&mut out.values),
                reads: BTreeSet::new(),
            };
            explain(said.predicate, wanted, &inner, &mut inside);
            out.values = inside.values;
            return true;
        }
        place += 1;
    }
    false
}

fn value(node: &IdedExpr, scope: &Scope) -> Result<Box<dyn Val>, EvaluationError> {
    // The written form has its macros unexpanded, so it is compiled again; only false expectations come here.
    match Expression::compile(&text(node)) {
        Ok(expression) => scope.evaluate(&expression.executed),
        Err(error) => Err(EvaluationError::Other(error.message)),
    }
}

fn truth(node: &IdedExpr, scope: &Scope) -> Option<bool> {
    let value = value(node, scope).ok()?;
    value
        .downcast_ref::<cel::common::types::CelBool>()
        .map(|held| *held.inner())
}

impl Explanation {
    /// Adds the value of `node`, unless it is written out.
    fn add(&mut self, node: &IdedExpr, scope: &Scope) {
        if !written_out(node) {
            let value = value(node, scope).ok();
            self.push(text(node), value.map(|value| super::shared::json_of(value.as_ref())));
        }
    }

    fn push(&mut self, expression: String, value: Option<Value>) {
        let full = self.values.len() >= COMPARED_VALUES_MAX;
        if full || self.values.iter().any(|known| known.expression == expression) {
            return;
        }
        let value = value.map(|value| match value {
            Value::String(text) => Value::String(cut(&text)),
            other => {
                let printed = other.to_string();
                if printed.chars().count() > COMPARED_CHARS_MAX {
                    Value::String(cut(&printed))
                } else {
                    other
                }
            }
        });
        self.values.push(Compared { expression, value });
    }
}

/// Whether a node is made of literals alone.
fn written_out(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::Literal(_) => true,
        Expr::List(list) => list.elements.iter().all(written_out),
        Expr::Map(map) => map.entries.iter().all(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => written_out(&entry.key) && written_out(&entry.value),
            EntryExpr::StructField(_) => false,
        }),
        _ => false,
    }
}

/// A text of at most `COMPARED_CHARS_MAX` characters, `…` at the end if it was longer.
fn cut(text: &str) -> String {
    match text.char_indices().nth(COMPARED_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Compact JSON of a value, cut.
pub(super) fn bounded(value: &Value) -> String {
    cut(&value.to_string())
}

/// A value as people read it: text as it is, numbers rounded to three decimals, everything else as compact JSON; cut.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => cut(text),
        Value::Number(number) if number.is_f64() => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            ((number * 1000.0).round() / 1000.0).to_string()
        }
        other => bounded(other),
    }
}

impl Compared {
    /// `expression = value` for people; `expression has no value` when there is none.
    pub fn say(&self) -> String {
        match &self.value {
            Some(Value::String(text)) => format!("{} = {}", self.expression, Value::from(text.as_str())),
            Some(value) => format!("{} = {}", self.expression, shown(value)),
            None => format!("{} has no value", self.expression),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(source: &str) -> Vec<String> {
        let mut scope = Scope::new();
        scope.set(
            "upgrade",
            &json!({"status": 500, "subprotocol": "jwt", "latency_ms": 12.345_678}),
        );
        scope.set(
            "echo",
            &json!([{"matched": true, "n": 1}, {"matched": false, "n": 2}, {"matched": false}]),
        );
        scope.set("long", &json!("x".repeat(1000)));
        let expression = Expression::compile(source).unwrap();
        assert_ne!(expression.holds(&scope), Ok(true), "{source}");
        expression.compared(&scope).iter().map(Compared::say).collect()
    }

    #[test]
    fn both_sides_of_what_is_false() {
        assert_eq!(said("upgrade.status == 101"), ["upgrade.status = 500"]);
        assert_eq!(
            said("upgrade.subprotocol == 'jwt' && upgrade.status == 101"),
            ["upgrade.status = 500"]
        );
        assert_eq!(
            said("upgrade.status == 101 || upgrade.subprotocol in ['a', 'b']"),
            ["upgrade.status = 500", "upgrade.subprotocol = \"jwt\""]
        );
        assert_eq!(said("upgrade.body.text == ''"), ["upgrade.body.text has no value"]);
        assert_eq!(
            said("upgrade.latency_ms * 2 < 5.0"),
            ["upgrade.latency_ms * 2 = 24.691"]
        );
        assert_eq!(said("!(upgrade.status >= 500)"), ["upgrade.status = 500"]);
        assert_eq!(
            said("upgrade.status == 500 ? echo[1].n == 1 : true"),
            ["upgrade.status == 500 = true", "echo[1].n = 2"]
        );
        assert_eq!(
            said("has(upgrade.close) && upgrade.close.code == 1000"),
            [
                "upgrade = {\"latency_ms\":12.345678,\"status\":500,\"subprotocol\":\"jwt\"}",
                "upgrade.close.code has no value"
            ]
        );
    }

    #[test]
    fn the_first_item_that_breaks_a_statement_about_all() {
        assert_eq!(
            said("echo.all(e, e.matched && e.n < 10)"),
            ["echo[1] = {\"matched\":false,\"n\":2}", "e.matched = false"]
        );
        assert_eq!(
            said("!echo.exists(e, e.n == 2)"),
            ["echo[1] = {\"matched\":false,\"n\":2}", "e.n = 2"]
        );
        assert_eq!(said("echo.exists(e, e.n == 7)").len(), 1);
        assert_eq!(said("nobody.all(e, e.n == 7)"), ["nobody has no value"]);
    }

    #[test]
    fn values_are_bounded() {
        let long = said("long == 'y'");
        assert_eq!(long[0].chars().count(), "long = \"\"".len() + COMPARED_CHARS_MAX + 1);
        let many: Vec<_> = (0..20).map(|n| format!("upgrade.f{n} == 1")).collect();
        assert_eq!(said(&many.join(" && ")).len(), COMPARED_VALUES_MAX);
    }

    #[test]
    fn only_the_false_parts_count_as_read() {
        let mut scope = Scope::new();
        scope.set("a", &json!({"status": 200}));
        scope.set("b", &json!({"status": 500}));
        let expression = Expression::compile("a.status == 200 && [b].all(x, x.status == 200)").unwrap();
        let reads: Vec<_> = expression
            .explain(&scope)
            .reads
            .into_iter()
            .map(|path| path.root)
            .collect();
        assert_eq!(reads, ["b"]);
    }
}
