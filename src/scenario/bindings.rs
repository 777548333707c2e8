//! What the expressions and templates of a running scenario can read: the target's facts, variables, captures, earlier
//! entries, and inside a repetition its own index and its own latest entries. Must not: hold a secret; secrets are passed
//! in as locals, only while a request is built.

use crate::catalog::{Catalog, JsonTemplate};
use crate::expression::{EvaluationError, Expression, Scope, Shared, Template};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Variables beside those of a layer: the frame being looked at, the secrets a request needs.
pub(super) type Locals<'a> = &'a [(&'a str, &'a Value)];

/// A scope that knows the target: its facts as `target`, and `time_scale`. `seed` is that of `random()`.
pub(super) fn target_scope(catalog: &Catalog, seed: u64) -> Scope<'static> {
    let mut scope = Scope::with_random(seed);
    scope.bind(&catalog.target.functions);
    let facts: Map<String, Value> = catalog.target.facts.clone().into_iter().collect();
    scope.set("target", &Value::Object(facts));
    scope.set("time_scale", &Value::from(catalog.time_scale));
    scope
}

/// The variables of one run. Those that hold everywhere are converted once; those of a repetition live in its [`Layer`].
pub(super) struct Bindings {
    everywhere: RwLock<Scope<'static>>,
}

/// One pass through the steps of a repetition, or the run itself.
#[derive(Default)]
pub(super) struct Layer {
    parent: Option<Arc<Layer>>,
    /// Place in each enclosing repetition, outermost first.
    pub place: Vec<u32>,
    /// Places in the enclosing concurrent repetitions alone: sockets of one name are apart there.
    pub crowd: Vec<u32>,
    names: Mutex<BTreeMap<String, Shared>>,
    seen: Mutex<BTreeMap<String, Seen>>,
}

/// What a step inside a repetition saw: once, or a list if it stands in a further repetition.
#[derive(Clone)]
enum Seen {
    Once(Shared),
    Several(Vec<Shared>),
}

impl Layer {
    /// The outermost layer.
    pub(super) fn outermost() -> Arc<Self> {
        Arc::default()
    }

    /// A pass inside this layer; `index` is the name and value of the pass.
    pub(super) fn pass(self: &Arc<Self>, index: (&str, u32), concurrency: Concurrency) -> Arc<Self> {
        let (mut place, mut crowd) = (self.place.clone(), self.crowd.clone());
        place.push(index.1);
        if concurrency == Concurrency::AtOnce {
            crowd.push(index.1);
        }
        let names = BTreeMap::from([(index.0.to_owned(), Shared::of(&Value::from(index.1)))]);
        Arc::new(Self {
            parent: Some(Arc::clone(self)),
            place,
            crowd,
            names: Mutex::new(names),
            seen: Mutex::default(),
        })
    }

    /// Sets a variable of this layer alone.
    pub(super) fn set(&self, name: &str, value: Shared) {
        lock(&self.names).insert(name.to_owned(), value);
    }

    /// The value of `name` in this layer or the ones around it, the outermost excepted.
    fn find(&self, name: &str) -> Option<Shared> {
        let parent = self.parent.as_ref()?;
        if let Some(value) = lock(&self.names).get(name) {
            return Some(value.clone());
        }
        let seen = lock(&self.seen).get(name).cloned();
        match seen {
            Some(Seen::Once(view)) => Some(view),
            Some(Seen::Several(views)) => Some(Shared::list(views)),
            None => parent.find(name),
        }
    }

    fn is_outermost(&self) -> bool {
        self.parent.is_none()
    }
}

/// Whether the passes of a repetition run one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Concurrency {
    /// One after the other.
    InTurn,
    /// All at once.
    AtOnce,
}

impl Bindings {
    pub(super) fn new(everywhere: Scope<'static>) -> Self {
        Self {
            everywhere: RwLock::new(everywhere),
        }
    }

    /// Sets a variable for the whole run.
    pub(super) fn set(&self, name: &str, value: &Value) {
        self.set_shared(name, &Shared::of(value));
    }

    fn set_shared(&self, name: &str, value: &Shared) {
        self.everywhere
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .set_shared(name, value);
    }

    /// Keeps what a step of `layer` saw.
    pub(super) fn saw(&self, layer: &Layer, id: &str, view: &Value) {
        let view = Shared::of(view);
        if layer.is_outermost() {
            self.set_shared(id, &view);
        } else {
            lock(&layer.seen).insert(id.to_owned(), Seen::Once(view));
        }
    }

    /// Keeps a capture: for `layer` and everything around it, so that the last one wins.
    pub(super) fn captured(&self, layer: &Arc<Layer>, name: &str, value: &Value) {
        let value = Shared::of(value);
        let mut at = layer;
        while let Some(parent) = &at.parent {
            at.set(name, value.clone());
            at = parent;
        }
        self.set_shared(name, &value);
    }

    /// After a repetition: what its passes saw becomes lists in the layer around it, in the order of the passes.
    pub(super) fn merge(&self, around: &Layer, passes: &[Arc<Layer>]) {
        let mut lists: BTreeMap<String, Vec<Shared>> = BTreeMap::new();
        for pass in passes {
            for (id, seen) in std::mem::take(&mut *lock(&pass.seen)) {
                let list = lists.entry(id).or_default();
                match seen {
                    Seen::Once(view) => list.push(view),
                    Seen::Several(views) => list.extend(views),
                }
            }
        }
        for (id, list) in lists {
            if around.is_outermost() {
                self.set_shared(&id, &Shared::list(list));
            } else {
                lock(&around.seen).insert(id, Seen::Several(list));
            }
        }
    }

    /// Evaluates in `layer`.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub(super) fn evaluate(
        &self,
        layer: &Layer,
        that: &Expression,
        locals: Locals<'_>,
    ) -> Result<Value, EvaluationError> {
        self.with(layer, [that], locals, |scope| that.evaluate(scope))
    }

    /// Whether `that` holds in `layer`; what cannot be evaluated (a missing field) does not hold.
    pub(super) fn holds(&self, layer: &Layer, that: &Expression, locals: Locals<'_>) -> bool {
        self.with(layer, [that], locals, |scope| that.holds(scope))
            .unwrap_or(false)
    }

    /// The text of a template.
    ///
    /// # Errors
    /// The first hole that cannot be evaluated.
    pub(super) fn fill(
        &self,
        layer: &Layer,
        template: &Template,
        locals: Locals<'_>,
    ) -> Result<String, EvaluationError> {
        self.with(layer, template.holes(), locals, |scope| template.fill_text(scope))
    }

    /// The value of a JSON template.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub(super) fn fill_json(
        &self,
        layer: &Layer,
        json: &JsonTemplate,
        locals: Locals<'_>,
    ) -> Result<Value, EvaluationError> {
        self.with(layer, json.holes(), locals, |scope| fill_json(json, scope))
    }

    /// Runs `work` in a scope with what `readers` read of `layer`, and `locals`.
    pub(super) fn with<'a, T>(
        &self,
        layer: &Layer,
        readers: impl IntoIterator<Item = &'a Expression>,
        locals: Locals<'_>,
        work: impl FnOnce(&Scope<'_>) -> T,
    ) -> T {
        let everywhere = self.everywhere.read().unwrap_or_else(PoisonError::into_inner);
        let mut scope = everywhere.child();
        if !layer.is_outermost() {
            for path in readers.into_iter().flat_map(Expression::reads) {
                if let Some(value) = layer.find(&path.root) {
                    scope.set_shared(&path.root, &value);
                }
            }
        }
        for (name, value) in locals {
            scope.set(name, value);
        }
        work(&scope)
    }
}

/// The value of a JSON template in `scope`. Its depth is bounded by the configuration file's.
pub(super) fn fill_json(json: &JsonTemplate, scope: &Scope<'_>) -> Result<Value, EvaluationError> {
    Ok(match json {
        JsonTemplate::Plain(value) => value.clone(),
        JsonTemplate::Text(template) => template.fill(scope)?,
        JsonTemplate::List(items) => items
            .iter()
            .map(|item| fill_json(item, scope))
            .collect::<Result<_, _>>()?,
        JsonTemplate::Object(members) => {
            let filled = members
                .iter()
                .map(|(name, value)| Ok((name.clone(), fill_json(value, scope)?)));
            Value::Object(filled.collect::<Result<_, EvaluationError>>()?)
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(bindings: &Bindings, layer: &Layer, source: &str) -> Value {
        let expression = Expression::compile(source).unwrap();
        bindings
            .evaluate(layer, &expression, &[])
            .unwrap_or_else(|error| json!(error.to_string()))
    }

    #[test]
    fn a_pass_sees_its_own_latest_and_the_run_sees_a_list() {
        let bindings = Bindings::new(Scope::new());
        let run = Layer::outermost();
        bindings.saw(&run, "before", &json!({ "n": 7 }));
        let mut passes = Vec::new();
        for index in 0..2 {
            let pass = run.pass(("i", index), Concurrency::InTurn);
            assert_eq!(value(&bindings, &pass, "ask.n"), json!("there is no `ask`"));
            bindings.saw(&pass, "ask", &json!({ "n": index }));
            assert_eq!(value(&bindings, &pass, "ask.n + before.n"), json!(index + 7));
            bindings.captured(&pass, "last", &json!(index * 10));
            passes.push(pass);
        }
        bindings.merge(&run, &passes);
        assert_eq!(value(&bindings, &run, "ask.map(a, a.n)"), json!([0, 1]));
        assert_eq!(value(&bindings, &run, "last"), json!(10));
    }

    #[test]
    fn nested_repetitions_flatten_in_order() {
        let bindings = Bindings::new(Scope::new());
        let run = Layer::outermost();
        let outer: Vec<_> = (0..2).map(|i| run.pass(("i", i), Concurrency::AtOnce)).collect();
        for pass in &outer {
            let inner: Vec<_> = (0..2).map(|j| pass.pass(("j", j), Concurrency::InTurn)).collect();
            for step in &inner {
                let here = value(&bindings, step, "10 * i + j");
                bindings.saw(step, "x", &json!({ "n": here }));
            }
            bindings.merge(pass, &inner);
            assert_eq!(value(&bindings, pass, "size(x)"), json!(2));
            assert_eq!((pass.place.len(), pass.crowd.len()), (1, 1));
            assert_eq!((inner[1].place.len(), inner[1].crowd.len()), (2, 1));
        }
        bindings.merge(&run, &outer);
        assert_eq!(value(&bindings, &run, "x.map(x, x.n)"), json!([0, 1, 10, 11]));
    }

    #[test]
    fn locals_hide_everything_else() {
        let bindings = Bindings::new(Scope::new());
        bindings.set("frame", &json!(1));
        let local = json!({ "json": { "type": "ping" } });
        let expression = Expression::compile("frame.json.type == 'ping'").unwrap();
        assert!(bindings.holds(&Layer::outermost(), &expression, &[("frame", &local)]));
        assert!(!bindings.holds(&Layer::outermost(), &expression, &[]));
    }
}
