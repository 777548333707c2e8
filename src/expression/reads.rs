//! What an expression reads: the maximal selections on its free variables.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use std::collections::BTreeSet;

/// One thing that an expression reads: a variable and the fields selected on it, as far as they are written out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadPath {
    /// The variable.
    pub root: String,
    /// The fields, outermost first; empty when the variable is used whole.
    pub fields: Vec<String>,
}

/// Collects maximal selections on free variables of an expression with its macros expanded; `bound` holds the variables
/// of the enclosing comprehensions.
pub(super) fn collect(node: &IdedExpr, bound: &mut Vec<String>, reads: &mut BTreeSet<ReadPath>) {
    if let Some(path) = path_of(node) {
        if !bound.contains(&path.root) {
            reads.insert(path);
        }
        return;
    }
    match &node.expr {
        Expr::Call(call) => {
            for child in call.target.iter().map(AsRef::as_ref).chain(&call.args) {
                collect(child, bound, reads);
            }
        }
        Expr::Comprehension(loop_) => {
            collect(&loop_.iter_range, bound, reads);
            collect(&loop_.accu_init, bound, reads);
            let depth = bound.len();
            bound.push(loop_.iter_var.clone());
            bound.extend(loop_.iter_var2.clone());
            bound.push(loop_.accu_var.clone());
            for child in [&loop_.loop_cond, &loop_.loop_step, &loop_.result] {
                collect(child, bound, reads);
            }
            bound.truncate(depth);
        }
        Expr::List(list) => list.elements.iter().for_each(|child| collect(child, bound, reads)),
        Expr::Map(map) => map
            .entries
            .iter()
            .for_each(|entry| collect_entry(&entry.expr, bound, reads)),
        Expr::Struct(made) => made
            .entries
            .iter()
            .for_each(|entry| collect_entry(&entry.expr, bound, reads)),
        // `has(a.b)` reads `a`: that there is no `b` is an answer.
        Expr::Select(select) => collect(&select.operand, bound, reads),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn collect_entry(entry: &EntryExpr, bound: &mut Vec<String>, reads: &mut BTreeSet<ReadPath>) {
    match entry {
        EntryExpr::StructField(field) => collect(&field.value, bound, reads),
        EntryExpr::MapEntry(entry) => {
            collect(&entry.key, bound, reads);
            collect(&entry.value, bound, reads);
        }
    }
}

/// The path that `node` spells, if it is a variable or a selection on one.
pub(super) fn path_of(node: &IdedExpr) -> Option<ReadPath> {
    match &node.expr {
        Expr::Ident(name) => Some(ReadPath {
            root: name.clone(),
            fields: Vec::new(),
        }),
        Expr::Select(select) if !select.test => {
            let mut path = path_of(&select.operand)?;
            path.fields.push(select.field.clone());
            Some(path)
        }
        _ => None,
    }
}
