//! The variables that an expression can read, and the functions that the configuration adds.

use super::configured::{self, Functions};
use super::shared::{self, Shared};
use super::{ENV, EvaluationError, evaluation_error};
use cel::common::ast::IdedExpr;
use cel::common::value::{CowVal, Val};
use cel::{Context, ExecutionError, FunctionContext};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

/// The variables an expression can read. Our functions stand in one environment for all, so that only those of the
/// configuration are bound anew in each root scope; a [`Scope::child`] sees its parent and costs next to nothing.
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

    /// A scope in which the configured `functions` can be called.
    pub fn with_functions(functions: &Functions) -> Self {
        let mut scope = Self::new();
        scope.bind(functions);
        scope
    }

    /// Makes the configured `functions` callable.
    pub fn bind(&mut self, functions: &Functions) {
        configured::bind(&mut self.context, functions);
    }

    /// A scope in which `random(lo, hi)` can be called: whole numbers from `lo` to `hi`, both included, the same ones for
    /// the same `seed`. Only `vars` may call it, which the configuration sees to.
    pub fn with_random(seed: u64) -> Self {
        let mut scope = Self::new();
        let generator = Mutex::new(StdRng::seed_from_u64(seed));
        let random: configured::Body = configured::body(move |call| {
            let [low, high] = whole_numbers(call)?;
            if low > high {
                return Err(call.error("the first number must not be above the second"));
            }
            let mut generator = generator.lock().unwrap_or_else(PoisonError::into_inner);
            let number = generator.random_range(low..=high);
            Ok(CowVal::owned(cel::common::types::CelInt::from(number)))
        });
        // Nothing else is called `random`, so the addition cannot clash.
        let _ = scope.context.add_function("random", random);
        scope
    }
}

fn whole_numbers(call: &FunctionContext<'_, '_>) -> Result<[i64; 2], ExecutionError> {
    let number = |at: usize| {
        let argument = call.args.get(at)?;
        argument
            .downcast_ref::<cel::common::types::CelInt>()
            .map(|n| *n.inner())
    };
    match (number(0), number(1), call.args.len()) {
        (Some(low), Some(high), 2) => Ok([low, high]),
        _ => Err(call.error("takes two whole numbers")),
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
        self.context.add_variable_as_val(name, shared::boxed(value));
    }

    /// Sets a variable to a value that was converted before; costs the same whatever its size.
    pub fn set_shared(&mut self, name: &str, value: &Shared) {
        self.context.add_variable_as_val(name, value.clone().into_val());
    }

    /// Whether a variable is set, here or in a parent.
    pub fn has(&self, name: &str) -> bool {
        self.context.get_variable(name).is_some()
    }

    pub(super) fn context(&self) -> &Context<'parent, 'static> {
        &self.context
    }

    pub(super) fn set_val(&mut self, name: &str, value: Box<dyn Val>) {
        self.context.add_variable_as_val(name, value);
    }

    pub(super) fn evaluate(&self, node: &IdedExpr) -> Result<Box<dyn Val>, EvaluationError> {
        cel::Value::resolve_val(node, &self.context)
            .map(CowVal::into_owned)
            .map_err(|error| evaluation_error(&error))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use crate::expression::Expression;
    use serde_json::json;

    #[test]
    fn random_is_seeded_and_only_where_allowed() {
        let expression = Expression::compile("random(100, 999)").unwrap();
        let draw = |seed| expression.evaluate(&Scope::with_random(seed)).unwrap();
        assert_eq!(draw(7), draw(7));
        assert!((0..50).map(draw).all(|n| (100..=999).contains(&n.as_i64().unwrap())));
        assert!((0..50).any(|seed| draw(seed) != draw(0)));
        assert_eq!(
            expression.evaluate(&Scope::new()),
            Err(EvaluationError::Missing("random".to_owned()))
        );
        let wrong = Expression::compile("random(3, 1)").unwrap();
        assert!(wrong.evaluate(&Scope::with_random(1)).is_err());
    }

    #[test]
    fn children_see_their_parents() {
        let mut outer = Scope::new();
        outer.set("a", &json!(1));
        let mut inner = outer.child();
        inner.set("b", &json!(2));
        assert!(inner.has("a") && inner.has("b") && !outer.has("b"));
        assert_eq!(Expression::compile("a + b == 3").unwrap().holds(&inner), Ok(true));
    }
}
