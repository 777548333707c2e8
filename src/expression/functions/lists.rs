//! Functions on lists and maps.

use super::{Answer, Arguments, answer, identity, items, refuse, take};
use crate::expression::arithmetic::as_double;
use crate::expression::shared;
use crate::limits::RANGE_MAX;
use cel::ExecutionError;
use cel::common::types::{CelInt, CelList, CelNull, CelString};
use cel::common::value::{CowVal, Val};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashSet};

/// What stands under a dotted path, lists by number; nothing where a part is missing or the value is null.
fn at_path<'b, 'v>(root: &'b (dyn Val + 'v), path: &str) -> Option<&'b (dyn Val + 'v)> {
    let mut found = root;
    for part in path.split('.') {
        let indexer = found.as_indexer()?;
        let next = match part.parse::<i64>() {
            Ok(place) if found.downcast_ref::<CelList>().is_some() => indexer.get(&CelInt::from(place)),
            _ => indexer.get(&CelString::from(part)),
        };
        match next {
            Ok(CowVal::Borrowed(value)) => found = value,
            // Maps and lists lend their members; nothing else is selected on here.
            _ => return None,
        }
    }
    match found.downcast_ref::<CelNull>() {
        Some(_) => None,
        None => Some(found),
    }
}

fn path_text<'a>(name: &str, path: &'a dyn Val) -> Result<&'a str, ExecutionError> {
    match path.downcast_ref::<CelString>() {
        Some(path) => Ok(path.inner()),
        None => refuse(name, "a path such as 'data.event'"),
    }
}

/// `first(x, paths)`: what stands under the first path that is there, else null.
pub(super) fn first<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [root, paths] = take(arguments)?;
    for path in items("first", paths.as_ref())? {
        if let Some(found) = at_path(root.as_ref(), path_text("first", path)?) {
            return Ok(CowVal::Owned(found.clone_as_boxed()));
        }
    }
    Ok(CowVal::owned(CelNull))
}

/// `get(x, path, default)`.
pub(super) fn get<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [root, path, default] = take(arguments)?;
    match at_path(root.as_ref(), path_text("get", path.as_ref())?) {
        Some(found) => Ok(CowVal::Owned(found.clone_as_boxed())),
        None => Ok(default),
    }
}

fn list<'b, 'v>(items: Vec<Box<dyn Val + 'v>>) -> CowVal<'b, 'v> {
    CowVal::owned(CelList::from(items))
}

/// `distinct(list)`: each value once, in the order of first appearance.
pub(super) fn distinct<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [values] = take(arguments)?;
    let mut seen = HashSet::new();
    let kept = items("distinct", values.as_ref())?
        .into_iter()
        .filter(|item| seen.insert(identity(*item)))
        .map(Val::clone_as_boxed)
        .collect();
    Ok(list(kept))
}

/// Numbers by size, texts by code point; nothing else has an order.
fn order(left: &dyn Val, right: &dyn Val) -> Option<Ordering> {
    match (as_double(left), as_double(right)) {
        (Some(left), Some(right)) => left.partial_cmp(&right),
        _ => Some(
            left.downcast_ref::<CelString>()?
                .inner()
                .cmp(right.downcast_ref::<CelString>()?.inner()),
        ),
    }
}

/// `sorted(list)`: numbers or texts, ascending.
pub(super) fn sorted<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [values] = take(arguments)?;
    let mut values = items("sorted", values.as_ref())?;
    let comparable = values.windows(2).all(|pair| order(pair[0], pair[1]).is_some());
    if !comparable {
        return refuse("sorted", "a list of numbers or a list of texts");
    }
    values.sort_by(|left, right| order(*left, *right).unwrap_or(Ordering::Equal));
    Ok(list(values.into_iter().map(Val::clone_as_boxed).collect()))
}

/// `same_set(a, b)`: the same values, whatever their order and number.
pub(super) fn same_set<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [left, right] = take(arguments)?;
    let set = |values: &dyn Val| -> Result<BTreeSet<String>, ExecutionError> {
        Ok(items("same_set", values)?.into_iter().map(identity).collect())
    };
    answer(&Value::from(set(left.as_ref())? == set(right.as_ref())?))
}

/// `index_of(list, x)`: place of the first equal value from 0, else -1.
pub(super) fn index_of<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [values, wanted] = take(arguments)?;
    let found = items("index_of", values.as_ref())?
        .into_iter()
        .position(|item| item.equals(wanted.as_ref()));
    answer(&found.map_or_else(|| Value::from(-1), Value::from))
}

/// `non_decreasing(list)`: numbers or texts; false as soon as one has no order (null).
pub(super) fn non_decreasing<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [values] = take(arguments)?;
    let values = items("non_decreasing", values.as_ref())?;
    let ordered = values.iter().all(|value| order(*value, *value).is_some())
        && values
            .windows(2)
            .all(|pair| matches!(order(pair[0], pair[1]), Some(Ordering::Less | Ordering::Equal)));
    answer(&Value::from(ordered))
}

/// `flatten(lists)`: one level; what is no list stays.
pub(super) fn flatten<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [lists] = take(arguments)?;
    let mut flat = Vec::new();
    for inner in items("flatten", lists.as_ref())? {
        match inner.downcast_ref::<CelList>() {
            Some(inner) => flat.extend(inner.inner().iter().map(|item| item.clone_as_boxed())),
            None => flat.push(inner.clone_as_boxed()),
        }
    }
    Ok(list(flat))
}

/// `pairs(list)`: each value with the one after it.
pub(super) fn pairs<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [values] = take(arguments)?;
    let pairs = items("pairs", values.as_ref())?
        .windows(2)
        .map(|pair| -> Box<dyn Val + 'v> {
            let pair: Vec<Box<dyn Val + 'v>> = pair.iter().map(|item| item.clone_as_boxed()).collect();
            Box::new(CelList::from(pair))
        })
        .collect();
    Ok(list(pairs))
}

/// `range(n)`: 0 to n - 1.
pub(super) fn range<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [count] = take(arguments)?;
    let count = count.downcast_ref::<CelInt>().map(|count| *count.inner());
    match count.and_then(|count| usize::try_from(count).ok()) {
        Some(count) if count <= RANGE_MAX => answer(&(0..count).map(Value::from).collect()),
        _ => refuse("range", &format!("a whole number from 0 to {RANGE_MAX}")),
    }
}

/// `keys(map)`: the keys of a map, in order.
pub(super) fn keys<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [map] = take(arguments)?;
    match shared::json_of(map.as_ref()) {
        Value::Object(members) => answer(&members.keys().map(|key| Value::from(key.as_str())).collect()),
        _ => refuse("keys", "a map"),
    }
}

/// `without(map, keys)`: the map without some of its keys.
pub(super) fn without<'b, 'v>(arguments: Arguments<'b, 'v>) -> Answer<'b, 'v> {
    let [map, keys] = take(arguments)?;
    let Value::Object(mut members) = shared::json_of(map.as_ref()) else {
        return refuse("without", "a map and a list of keys");
    };
    for key in items("without", keys.as_ref())? {
        members.shift_remove(path_text("without", key)?);
    }
    answer(&Value::Object(members))
}
