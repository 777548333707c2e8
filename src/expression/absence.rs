//! Whether an expression can hold because there was nothing: an absence, or a statement about every item of a list that
//! may be empty. Such an expectation needs a witness.

use super::written::{negated, operands, statement, text};
use super::{Expression, Functions};
use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

/// Configured functions are looked into this deep; they cannot form circles, but the analysis must end in any case.
const DEPTH_MAX: u8 = 16;

/// Our functions that are statements about every item of a list: true of an empty one.
const STATEMENTS: &[&str] = &["non_decreasing"];

impl Expression {
    /// Whether it can hold because there was nothing: `!x.exists(…)`, `x.all(…)`, a size that may be 0, `x == []`,
    /// `!(… in x)`, also behind a configured function. Not so where the same conjunction proves the list non-empty
    /// (`size(x) > 0 && x.all(…)`), or where the list is written out.
    pub fn is_absence(&self, functions: &Functions) -> bool {
        Analysis {
            functions,
            depth: 0,
            proven: &[],
        }
        .of(&self.written, Polarity::Asserted)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Polarity {
    Asserted,
    Denied,
}

impl Polarity {
    fn flipped(self) -> Self {
        match self {
            Self::Asserted => Self::Denied,
            Self::Denied => Self::Asserted,
        }
    }
}

struct Analysis<'a> {
    functions: &'a Functions,
    depth: u8,
    /// Lists that a neighbour in the conjunction proves non-empty, as text.
    proven: &'a [String],
}

impl Analysis<'_> {
    fn of(&self, node: &IdedExpr, polarity: Polarity) -> bool {
        if let Some(inner) = negated(node) {
            return self.of(inner, polarity.flipped());
        }
        let mut conjuncts = Vec::new();
        collect_conjuncts(node, polarity, &mut conjuncts);
        if conjuncts.len() > 1 {
            let mut proven = self.proven.to_vec();
            proven.extend(conjuncts.iter().filter_map(|(part, polarity)| proof(part, *polarity)));
            let inner = Analysis {
                proven: &proven,
                ..*self
            };
            return conjuncts.iter().any(|(part, polarity)| inner.of(part, *polarity));
        }
        for disjunction in [operators::LOGICAL_OR, operators::LOGICAL_AND] {
            if let Some(sides) = operands(node, disjunction) {
                return sides.iter().any(|side| self.of(side, polarity));
            }
        }
        if let Expr::Call(call) = &node.expr
            && let (operators::CONDITIONAL, [_, yes, no]) = (call.func_name.as_str(), call.args.as_slice())
        {
            return self.of(yes, polarity) || self.of(no, polarity);
        }
        self.leaf(node, polarity)
    }

    fn leaf(&self, node: &IdedExpr, polarity: Polarity) -> bool {
        let about_all = match polarity {
            Polarity::Asserted => statement(node, "all"),
            Polarity::Denied => statement(node, "exists").or_else(|| statement(node, "exists_one")),
        };
        if let Some(statement) = about_all {
            return self.may_be_empty(statement.list);
        }
        if polarity == Polarity::Denied
            && let Some([_, list]) = operands(node, operators::IN)
        {
            return self.may_be_empty(list);
        }
        if let Some((list, zero_allowed)) = size_statement(node, polarity) {
            return zero_allowed && self.may_be_empty(list);
        }
        let Expr::Call(call) = &node.expr else { return false };
        let Some(argument) = call.target.as_deref().or(call.args.first()) else {
            return false;
        };
        if polarity == Polarity::Asserted && STATEMENTS.contains(&call.func_name.as_str()) {
            return self.may_be_empty(argument);
        }
        match self.functions.get(&call.func_name) {
            Some(function) if self.depth < DEPTH_MAX => Analysis {
                functions: self.functions,
                depth: self.depth + 1,
                proven: &[],
            }
            .of(&function.is.written, polarity),
            _ => false,
        }
    }

    fn may_be_empty(&self, list: &IdedExpr) -> bool {
        let written_out = match &list.expr {
            Expr::List(list) => !list.elements.is_empty(),
            Expr::Map(map) => !map.entries.is_empty(),
            Expr::Call(call) if call.func_name == "range" => {
                matches!(call.args.as_slice(), [count] if literal_int(count).is_some_and(|count| count > 0))
            }
            _ => false,
        };
        !written_out && !self.proven.contains(&text(list))
    }
}

/// The parts that must all be as said: of `a && b` asserted, or of `a || b` denied.
fn collect_conjuncts<'a>(node: &'a IdedExpr, polarity: Polarity, found: &mut Vec<(&'a IdedExpr, Polarity)>) {
    let joins = match polarity {
        Polarity::Asserted => operators::LOGICAL_AND,
        Polarity::Denied => operators::LOGICAL_OR,
    };
    if let Some(inner) = negated(node) {
        collect_conjuncts(inner, polarity.flipped(), found);
    } else if let Some(sides) = operands(node, joins) {
        for side in sides {
            collect_conjuncts(side, polarity, found);
        }
    } else {
        found.push((node, polarity));
    }
}

/// The list that a conjunct proves non-empty.
fn proof(node: &IdedExpr, polarity: Polarity) -> Option<String> {
    let something = match polarity {
        Polarity::Asserted => statement(node, "exists").or_else(|| statement(node, "exists_one")),
        Polarity::Denied => statement(node, "all"),
    };
    if let Some(statement) = something {
        return Some(text(statement.list));
    }
    if polarity == Polarity::Asserted
        && let Some([_, list]) = operands(node, operators::IN)
    {
        return Some(text(list));
    }
    match size_statement(node, polarity) {
        Some((list, false)) => Some(text(list)),
        _ => None,
    }
}

/// A comparison of the size of a list with a literal, or of a list with an empty literal: the list, and whether the
/// statement is true of an empty one.
fn size_statement(node: &IdedExpr, polarity: Polarity) -> Option<(&IdedExpr, bool)> {
    type Compare = fn(&i64, &i64) -> bool;
    let comparisons: [(&str, Compare); 6] = [
        (operators::EQUALS, i64::eq),
        (operators::NOT_EQUALS, i64::ne),
        (operators::LESS, i64::lt),
        (operators::LESS_EQUALS, i64::le),
        (operators::GREATER, i64::gt),
        (operators::GREATER_EQUALS, i64::ge),
    ];
    for (operator, compare) in comparisons {
        let Some([left, right]) = operands(node, operator) else {
            continue;
        };
        let of_empty = if let (Some(list), Some(bound)) = (sized(left), literal_int(right)) {
            Some((list, compare(&0, &bound)))
        } else if let (Some(bound), Some(list)) = (literal_int(left), sized(right)) {
            Some((list, compare(&bound, &0)))
        } else if is_empty_literal(right) && !is_empty_literal(left) {
            Some((left, operator == operators::EQUALS))
        } else if is_empty_literal(left) {
            Some((right, operator == operators::EQUALS))
        } else {
            None
        };
        return of_empty.map(|(list, held)| (list, held == (polarity == Polarity::Asserted)));
    }
    None
}

/// The list of `size(list)` or `list.size()`.
fn sized(node: &IdedExpr) -> Option<&IdedExpr> {
    match &node.expr {
        Expr::Call(call) if call.func_name == "size" => call.target.as_deref().or(call.args.first()),
        _ => None,
    }
}

fn literal_int(node: &IdedExpr) -> Option<i64> {
    match &node.expr {
        Expr::Literal(LiteralValue::Int(number)) => Some(*number.inner()),
        Expr::Literal(LiteralValue::UInt(number)) => i64::try_from(*number.inner()).ok(),
        _ => None,
    }
}

fn is_empty_literal(node: &IdedExpr) -> bool {
    match &node.expr {
        Expr::List(list) => list.elements.is_empty(),
        Expr::Map(map) => map.entries.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use crate::expression::ConfiguredFunction;

    #[test]
    fn the_forms_that_need_a_witness() {
        let functions: Functions = [
            ("clean", "!f.exists(x, x.bad)"),
            ("refused", "size(f.frames) > 0 && f.frames.all(x, x.bad)"),
            ("wrong", "f.exists(x, x.bad)"),
        ]
        .into_iter()
        .map(|(name, is)| {
            let function = ConfiguredFunction {
                of: "f".to_owned(),
                is: Expression::compile(is).unwrap(),
            };
            (name.to_owned(), function)
        })
        .collect();
        let rows = [
            ("!x.exists(f, f.bad)", true),
            ("x.all(f, f.good)", true),
            ("size(x) == 0", true),
            ("0 == x.size()", true),
            ("size(x) < 1", true),
            ("size(x) <= 3", true),
            ("size(x) != 2", true),
            ("!(size(x) > 0)", true),
            ("x == []", true),
            ("[] == x", true),
            ("!(x != [])", true),
            ("!('a' in x)", true),
            ("a.status == 200 && x.all(f, f.good)", true),
            ("a.status == 200 || x.all(f, f.good)", true),
            ("a ? b : x.all(f, f.good)", true),
            ("!(a || x.exists(f, f.bad))", true),
            ("size(y) > 0 && x.all(f, f.good)", true),
            ("clean(x)", true),
            ("!wrong(x)", true),
            ("non_decreasing(x.map(f, f.at))", true),
            ("x.exists(f, f.good)", false),
            ("!x.all(f, f.good)", false),
            ("size(x) == 3", false),
            ("size(x) >= 1 && x.all(f, f.good)", false),
            ("3 == size(x) && !x.exists(f, f.bad)", false),
            ("x.all(f, f.good) && x.exists(f, f.last)", false),
            ("x != [] && x.all(f, f.good)", false),
            ("!(x == [] || x.exists(f, f.bad))", false),
            ("!(a.status in [401, 403])", false),
            ("['a', 'b'].all(k, k in x)", false),
            ("range(3).all(i, x[i].good)", false),
            ("a.status == 200", false),
            ("!a.flag", false),
            ("!wrong(x) && size(x) > 0", true),
            ("refused(x)", false),
            ("!refused(x)", true),
            ("wrong(x)", false),
        ];
        for (source, expected) in rows {
            let expression = Expression::compile(source).unwrap();
            assert_eq!(expression.is_absence(&functions), expected, "{source}");
        }
    }
}
