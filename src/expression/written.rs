//! The expression as it was written: walking it, and printing parts of it for people.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// Binary operators by CEL's internal name: text and how strongly they bind.
const BINARY: &[(&str, &str, u8)] = &[
    (operators::LOGICAL_OR, "||", 2),
    (operators::LOGICAL_AND, "&&", 3),
    (operators::EQUALS, "==", 4),
    (operators::NOT_EQUALS, "!=", 4),
    (operators::LESS, "<", 4),
    (operators::LESS_EQUALS, "<=", 4),
    (operators::GREATER, ">", 4),
    (operators::GREATER_EQUALS, ">=", 4),
    (operators::IN, "in", 4),
    (operators::ADD, "+", 5),
    (operators::SUBSTRACT, "-", 5),
    (operators::MULTIPLY, "*", 6),
    (operators::DIVIDE, "/", 6),
    (operators::MODULO, "%", 6),
];
const CONDITIONAL: u8 = 1;
const UNARY: u8 = 7;
const MEMBER: u8 = 8;

/// How people write an operator or function.
pub(super) fn operator_text(internal: &str) -> &str {
    match internal {
        operators::LOGICAL_NOT => "!",
        operators::NEGATE => "-",
        operators::INDEX => "[]",
        "_._" => ".",
        _ => binary(internal).map_or(internal, |(text, _)| text),
    }
}

/// Text and binding of a binary operator.
pub(super) fn binary(internal: &str) -> Option<(&'static str, u8)> {
    BINARY
        .iter()
        .find(|(name, ..)| *name == internal)
        .map(|(_, text, binds)| (*text, *binds))
}

/// The name of the function a call names; none for operators. `math.greatest(x)` is `math.greatest`.
pub(super) fn function_name(call: &CallExpr) -> Option<String> {
    let name = &call.func_name;
    if !name.starts_with(|first: char| first.is_alphabetic()) {
        return None;
    }
    match call.target.as_ref().map(|target| &target.expr) {
        Some(Expr::Ident(space)) if matches!(space.as_str(), "optional" | "math") => Some(format!("{space}.{name}")),
        _ => Some(name.clone()),
    }
}

/// A statement about the items of a list: `list.all(variable, predicate)`.
pub(super) struct Statement<'a> {
    /// The list.
    pub list: &'a IdedExpr,
    /// What an item is called.
    pub variable: &'a str,
    /// What is said of it.
    pub predicate: &'a IdedExpr,
}

/// The statement that `node` makes, if it is `list.name(variable, predicate)`.
pub(super) fn statement<'a>(node: &'a IdedExpr, name: &str) -> Option<Statement<'a>> {
    let Expr::Call(call) = &node.expr else { return None };
    let [variable, predicate] = call.args.as_slice() else {
        return None;
    };
    match (&call.target, &variable.expr) {
        (Some(list), Expr::Ident(variable)) if call.func_name == name => Some(Statement {
            list,
            variable,
            predicate,
        }),
        _ => None,
    }
}

/// The two operands of the binary operator `internal`.
pub(super) fn operands<'a>(node: &'a IdedExpr, internal: &str) -> Option<[&'a IdedExpr; 2]> {
    match &node.expr {
        Expr::Call(call) if call.func_name == internal => match call.args.as_slice() {
            [left, right] => Some([left, right]),
            _ => None,
        },
        _ => None,
    }
}

/// The operand of `!`.
pub(super) fn negated(node: &IdedExpr) -> Option<&IdedExpr> {
    match &node.expr {
        Expr::Call(call) if call.func_name == operators::LOGICAL_NOT => call.args.first(),
        _ => None,
    }
}

/// Calls `see` with every node, outermost first.
pub(super) fn visit<'a>(node: &'a IdedExpr, see: &mut impl FnMut(&'a IdedExpr)) {
    see(node);
    let mut entry = |entry: &'a EntryExpr| match entry {
        EntryExpr::StructField(field) => visit(&field.value, see),
        EntryExpr::MapEntry(entry) => {
            visit(&entry.key, see);
            visit(&entry.value, see);
        }
    };
    match &node.expr {
        Expr::Map(map) => map.entries.iter().for_each(|item| entry(&item.expr)),
        Expr::Struct(made) => made.entries.iter().for_each(|item| entry(&item.expr)),
        Expr::Call(call) => {
            for child in call.target.iter().map(AsRef::as_ref).chain(&call.args) {
                visit(child, see);
            }
        }
        Expr::List(list) => list.elements.iter().for_each(|child| visit(child, see)),
        Expr::Select(select) => visit(&select.operand, see),
        Expr::Comprehension(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

/// The text of a node, as its author could have written it.
pub(super) fn text(node: &IdedExpr) -> String {
    let mut out = String::new();
    write(node, 0, &mut out);
    out
}

fn write(node: &IdedExpr, outer: u8, out: &mut String) {
    match &node.expr {
        Expr::Ident(name) => out.push_str(name),
        Expr::Literal(value) => write_literal(value, out),
        Expr::Select(select) => {
            write(&select.operand, MEMBER, out);
            out.push('.');
            out.push_str(&select.field);
        }
        Expr::List(list) => {
            out.push('[');
            write_all(&list.elements, out);
            out.push(']');
        }
        Expr::Map(map) => {
            out.push('{');
            for (at, entry) in map.entries.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    write(&entry.key, 0, out);
                    out.push_str(": ");
                    write(&entry.value, 0, out);
                }
            }
            out.push('}');
        }
        Expr::Call(call) => write_call(call, outer, out),
        // Macros are not expanded here, and the language has no structs.
        Expr::Struct(_) | Expr::Comprehension(_) | Expr::Unspecified => out.push('…'),
    }
}

fn write_call(call: &CallExpr, outer: u8, out: &mut String) {
    let binds = match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::CONDITIONAL, [_, _, _]) => CONDITIONAL,
        (operators::LOGICAL_NOT | operators::NEGATE, [_]) => UNARY,
        (name, [_, _]) => binary(name).map_or(MEMBER, |(_, binds)| binds),
        _ => MEMBER,
    };
    if binds < outer {
        out.push('(');
    }
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::CONDITIONAL, [condition, yes, no]) => {
            write(condition, binds + 1, out);
            out.push_str(" ? ");
            write(yes, binds + 1, out);
            out.push_str(" : ");
            write(no, binds, out);
        }
        (operators::LOGICAL_NOT | operators::NEGATE, [operand]) => {
            out.push_str(operator_text(&call.func_name));
            write(operand, binds, out);
        }
        (operators::INDEX | operators::OPT_INDEX, [list, index]) => {
            write(list, MEMBER, out);
            out.push_str(if call.func_name == operators::INDEX { "[" } else { "[?" });
            write(index, 0, out);
            out.push(']');
        }
        (operators::OPT_SELECT, [operand, field]) => {
            write(operand, MEMBER, out);
            out.push_str(".?");
            match &field.expr {
                Expr::Literal(LiteralValue::String(name)) => out.push_str(name.inner()),
                _ => write(field, MEMBER, out),
            }
        }
        (name, [left, right]) if binds < MEMBER => {
            write(left, binds, out);
            out.push(' ');
            out.push_str(operator_text(name));
            out.push(' ');
            write(right, binds + 1, out);
        }
        (name, arguments) => {
            if let Some(target) = &call.target {
                write(target, MEMBER, out);
                out.push('.');
            }
            out.push_str(name);
            out.push('(');
            write_all(arguments, out);
            out.push(')');
        }
    }
    if binds < outer {
        out.push(')');
    }
}

fn write_all(nodes: &[IdedExpr], out: &mut String) {
    for (at, node) in nodes.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write(node, 0, out);
    }
}

fn write_literal(value: &LiteralValue, out: &mut String) {
    match value {
        LiteralValue::Boolean(held) => out.push_str(&held.inner().to_string()),
        LiteralValue::Int(number) => out.push_str(&number.inner().to_string()),
        LiteralValue::UInt(number) => {
            out.push_str(&number.inner().to_string());
            out.push('u');
        }
        // `{:?}` keeps the `.0` of a whole double, which makes it a double again when read.
        LiteralValue::Double(number) => out.push_str(&format!("{:?}", number.inner())),
        LiteralValue::Null => out.push_str("null"),
        LiteralValue::String(text) => write_string(text.inner(), out),
        LiteralValue::Bytes(bytes) => {
            out.push('b');
            write_string(&String::from_utf8_lossy(bytes.inner()), out);
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('\'');
    for character in text.chars() {
        match character {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out.push('\'');
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::super::Expression;

    #[test]
    fn text_reads_as_written() {
        for source in [
            "a.b == 101 && !(c in [401, 403]) || d ? x : y ? 1.0 : 2u",
            "(a || b) && c",
            "a - (b - c) - d * (e + f) / -g",
            "frames.all(f, f.json.type == 'it\\'s') && has(a.b.c)",
            "x[0].y['z'] != null && {'a': [1, 2], b: 'c'} == d",
            "size(xs.filter(x, x > 1)) > 0 && first(x, ['a.b']) == 'x'",
            "!(a && b) && !c.d",
            "xs.map(x, x.y, x.z)",
        ] {
            let expression = Expression::compile(source).unwrap();
            assert_eq!(super::text(&expression.written), source);
        }
    }
}
