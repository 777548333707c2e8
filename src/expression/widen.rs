//! Rewrites an expression whose macros are expanded: see the two widenings in [`super`]; and `matches` becomes our cached
//! `re`.

use super::arithmetic::{ADD, DIVIDE, MULTIPLY, SUBTRACT};
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, operators};

/// Widens `node` and everything in it.
pub(super) fn widen(node: &mut IdedExpr) {
    match &mut node.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| widen(target));
            call.args.iter_mut().for_each(widen);
            widen_call(call);
        }
        Expr::Comprehension(loop_) => {
            widen(&mut loop_.iter_range);
            widen(&mut loop_.accu_init);
            widen(&mut loop_.loop_cond);
            widen(&mut loop_.loop_step);
            widen(&mut loop_.result);
            if let Some(predicate) = predicate(&mut loop_.loop_step) {
                forgive(predicate);
            }
        }
        Expr::List(list) => list.elements.iter_mut().for_each(widen),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| widen_entry(&mut entry.expr)),
        Expr::Struct(made) => made.entries.iter_mut().for_each(|entry| widen_entry(&mut entry.expr)),
        Expr::Select(select) => widen(&mut select.operand),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn widen_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => widen(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            widen(&mut entry.key);
            widen(&mut entry.value);
        }
    }
}

fn widen_call(call: &mut CallExpr) {
    if let [left, _] = call.args.as_slice() {
        // The steps of comprehensions begin with the accumulator; CEL runs those in a faster way.
        let widened = match call.func_name.as_str() {
            operators::ADD if !is_accumulator(left) => Some(ADD),
            operators::SUBSTRACT => Some(SUBTRACT),
            operators::MULTIPLY => Some(MULTIPLY),
            operators::DIVIDE => Some(DIVIDE),
            "matches" => Some("re"),
            _ => None,
        };
        if let Some(name) = widened {
            name.clone_into(&mut call.func_name);
        }
    } else if call.func_name == "matches"
        && call.args.len() == 1
        && let Some(text) = call.target.take()
    {
        "re".clone_into(&mut call.func_name);
        call.args.insert(0, *text);
    }
}

/// The accumulator of a comprehension; nobody can write its name.
fn is_accumulator(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name.starts_with('@'))
}

/// The predicate in the step of `all`, `exists` (`@result && p`, `@result || p`), `exists_one` or `filter`
/// (`p ? … : @result`).
fn predicate(step: &mut IdedExpr) -> Option<&mut IdedExpr> {
    let Expr::Call(call) = &mut step.expr else { return None };
    let place = match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::LOGICAL_AND | operators::LOGICAL_OR, [result, _]) if is_accumulator(result) => 1,
        (operators::CONDITIONAL, [_, _, result]) if is_accumulator(result) => 0,
        _ => return None,
    };
    call.args.get_mut(place)
}

/// Makes `p` false where it cannot be evaluated: `!@not_strictly_false(!p)`, CEL's own way to absorb an error.
fn forgive(predicate: &mut IdedExpr) {
    for operator in [
        operators::LOGICAL_NOT,
        operators::NOT_STRICTLY_FALSE,
        operators::LOGICAL_NOT,
    ] {
        let id = predicate.id;
        let inner = std::mem::take(predicate);
        *predicate = IdedExpr {
            id,
            expr: Expr::Call(CallExpr {
                func_name: operator.to_owned(),
                target: None,
                args: vec![inner],
            }),
        };
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use crate::expression::{Expression, Scope};
    use serde_json::json;

    #[test]
    fn an_item_of_another_shape_does_not_satisfy_a_predicate() {
        let mut scope = Scope::new();
        scope.set(
            "frames",
            &json!([{"json": {"type": "a"}}, {"text": "x"}, {"json": null}, 7]),
        );
        for held in [
            "frames.exists(f, f.json.type == 'a')",
            "!frames.exists(f, f.json.type == 'b')",
            "!frames.all(f, f.json.type == 'a')",
            "frames.exists_one(f, f.json.type == 'a')",
            "size(frames.filter(f, f.json.type != 'b')) == 1",
            "frames.filter(f, has(f.text)).map(f, f.text + '!') == ['x!']",
            "[1, 2].map(x, x > 1, x + 0.5) == [2.5]",
        ] {
            assert_eq!(Expression::compile(held).unwrap().holds(&scope), Ok(true), "{held}");
        }
        assert!(
            Expression::compile("frames.map(f, f.json.type) == []")
                .unwrap()
                .holds(&scope)
                .is_err(),
            "a value that cannot be had is an error"
        );
    }
}
