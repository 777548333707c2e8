//! Functions of one parameter that the configuration writes in CEL: bound into a scope, and checked for cycles.

use super::{Expression, functions};
use cel::common::value::CowVal;
use cel::{Context, ExecutionError, FunctionContext};
use std::collections::BTreeMap;

/// A function of one parameter, written in the configuration.
#[derive(Clone, Debug)]
pub struct ConfiguredFunction {
    /// Name of the parameter.
    pub of: String,
    /// Its value.
    pub is: Expression,
}

/// Configured functions by name.
pub type Functions = BTreeMap<String, ConfiguredFunction>;

/// What is wrong with a configured function.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionError {
    /// Its name is one of CEL's or ours.
    #[error("the function `{name}` exists already; give it another name")]
    Taken {
        /// The function.
        name: String,
    },
    /// It calls a function that does not exist.
    #[error("`{name}` calls `{called}`, which does not exist{}", meant(.suggestion.as_deref()))]
    Unknown {
        /// The function.
        name: String,
        /// What it calls.
        called: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// It reads something other than its parameter and `target`.
    #[error("`{name}` reads `{variable}`; a function may only read its parameter `{of}` and `target`")]
    Reads {
        /// The function.
        name: String,
        /// What it reads.
        variable: String,
        /// Its parameter.
        of: String,
    },
    /// It calls itself, directly or not.
    #[error("`{name}` calls itself: {}; write it without the circle", .path.join(" → "))]
    Cycle {
        /// The function.
        name: String,
        /// The calls, from the function back to itself.
        path: Vec<String>,
    },
}

fn meant(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// Every mistake in `functions`, in the order of their names.
pub fn check_functions(functions: &Functions) -> Vec<FunctionError> {
    let mut mistakes = Vec::new();
    for (name, function) in functions {
        if functions::is_known(name) {
            mistakes.push(FunctionError::Taken { name: name.clone() });
        }
        for called in function.is.functions() {
            if !functions.contains_key(&called) && !functions::is_known(&called) {
                mistakes.push(FunctionError::Unknown {
                    name: name.clone(),
                    suggestion: functions::closest(&called, functions).map(str::to_owned),
                    called,
                });
            }
        }
        for path in function.is.reads() {
            if path.root != function.of && path.root != "target" {
                mistakes.push(FunctionError::Reads {
                    name: name.clone(),
                    variable: path.root.clone(),
                    of: function.of.clone(),
                });
            }
        }
        let mut path = vec![name.clone()];
        if leads_back(functions, name, &mut path) {
            mistakes.push(FunctionError::Cycle {
                name: name.clone(),
                path,
            });
        }
    }
    mistakes
}

/// Whether the last function of `path` calls `start`, directly or through functions not on the path yet.
fn leads_back(functions: &Functions, start: &str, path: &mut Vec<String>) -> bool {
    let Some(last) = path.last().and_then(|name| functions.get(name)) else {
        return false;
    };
    for called in last.is.functions() {
        if called == start {
            path.push(called);
            return true;
        }
        if functions.contains_key(&called) && !path.contains(&called) {
            path.push(called);
            if leads_back(functions, start, path) {
                return true;
            }
            path.pop();
        }
    }
    false
}

/// The body of a function as CEL calls it.
pub(super) type Body =
    Box<dyn for<'c, 'v> Fn(&mut FunctionContext<'c, 'v>) -> Result<CowVal<'c, 'v>, ExecutionError> + Send + Sync>;

/// Boxes a closure as a function body; exists so that the compiler infers the lifetimes.
pub(super) fn body<F>(function: F) -> Body
where
    F: for<'c, 'v> Fn(&mut FunctionContext<'c, 'v>) -> Result<CowVal<'c, 'v>, ExecutionError> + Send + Sync + 'static,
{
    Box::new(function)
}

/// Makes `functions` callable in `context`.
pub(super) fn bind(context: &mut Context<'static, 'static>, functions: &Functions) {
    for (name, function) in functions {
        let (of, is) = (function.of.clone(), function.is.clone());
        let call = body(move |call| {
            // A method call `x.f()` passes x apart from the arguments.
            let mut arguments = call.this.iter().chain(&call.args);
            let (Some(argument), None) = (arguments.next(), arguments.next()) else {
                return Err(call.error("takes one argument"));
            };
            let mut inner = call.ptx.new_inner_scope();
            inner.add_variable_as_val(of.as_str(), argument.clone().into_owned());
            let value = cel::Value::resolve_val(&is.executed, &inner)?;
            Ok(CowVal::Owned(value.into_owned()))
        });
        // A name of CEL's own is refused by `check_functions` at load; here it would only be left out.
        let _ = context.add_function(name, call);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use crate::expression::Scope;
    use serde_json::json;

    fn functions(rows: &[(&str, &str, &str)]) -> Functions {
        rows.iter()
            .map(|(name, of, is)| {
                let function = ConfiguredFunction {
                    of: (*of).to_owned(),
                    is: Expression::compile(is).unwrap(),
                };
                ((*name).to_owned(), function)
            })
            .collect()
    }

    #[test]
    fn functions_call_each_other_and_see_the_target() {
        let functions = functions(&[
            ("double_it", "x", "x * 2"),
            ("quadruple", "x", "double_it(double_it(x))"),
            ("ours", "x", "x.url == target.url"),
        ]);
        assert_eq!(check_functions(&functions), []);
        let mut scope = Scope::with_functions(&functions);
        scope.set("target", &json!({"url": "a"}));
        scope.set("answer", &json!({"url": "a", "n": 3, "list": [1, 2]}));
        for held in [
            "quadruple(answer.n) == 12",
            "answer.list.map(x, double_it(x)) == [2, 4]",
            "ours(answer)",
            "answer.ours()",
        ] {
            assert_eq!(Expression::compile(held).unwrap().holds(&scope), Ok(true), "{held}");
        }
        let wrong = Expression::compile("ours(answer, 1)").unwrap().holds(&scope);
        assert_eq!(wrong.unwrap_err().to_string(), "ours: takes one argument");
    }

    #[test]
    fn mistakes_are_named() {
        let said: Vec<_> = check_functions(&functions(&[
            ("a", "x", "b(x)"),
            ("b", "x", "a(x) || sizes(x) > 0"),
            ("c", "x", "nonce == x"),
            ("size", "x", "x"),
        ]))
        .iter()
        .map(ToString::to_string)
        .collect();
        assert_eq!(
            said,
            [
                "`a` calls itself: a → b → a; write it without the circle",
                "`b` calls `sizes`, which does not exist; did you mean `size`?",
                "`b` calls itself: b → a → b; write it without the circle",
                "`c` reads `nonce`; a function may only read its parameter `x` and `target`",
                "the function `size` exists already; give it another name",
            ]
        );
    }
}
