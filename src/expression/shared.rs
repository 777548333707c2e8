//! JSON for CEL, converted once: lists and maps are shared, so that a comprehension over a transcript copies nothing.
//! Maps are walked in the order of their keys, so that the same input always gives the same output.

use cel::ExecutionError;
use cel::common::traits::{Adder, Container, Indexer, Iterable, Iterator as Walk, Sizer, Zeroer};
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelOptional, CelString,
    CelTimestamp, CelUInt, Type,
};
use cel::common::value::{Builtin, BuiltinRef, CowVal, Val};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// A JSON value as CEL reads it. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Shared(Box<dyn Val>);

impl Shared {
    /// Converts `value`. Integers stay integers (signed where they fit), every other number is a double.
    pub fn of(value: &Value) -> Self {
        Self(boxed(value))
    }

    /// A list of values that are shared already.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        let items: Vec<Box<dyn Val>> = items.into_iter().map(|item| item.0).collect();
        Self(Box::new(SharedList(Arc::new(CelList::from(items)))))
    }

    /// A map of values that are shared already.
    pub fn map(members: impl IntoIterator<Item = (String, Self)>) -> Self {
        let members: HashMap<_, _> = members.into_iter().map(|(name, value)| (key(name), value.0)).collect();
        Self(Box::new(SharedMap(Arc::new(CelMap::from(members)))))
    }

    /// Back to JSON, members in the order of their keys.
    pub fn json(&self) -> Value {
        json_of(self.0.as_ref())
    }

    pub(super) fn from_val(value: Box<dyn Val>) -> Self {
        Self(value)
    }

    pub(super) fn into_val(self) -> Box<dyn Val> {
        self.0
    }
}

fn key(name: String) -> CelMapKey<'static> {
    CelMapKey::String(CelString::from(name))
}

/// Converts JSON for CEL.
pub(super) fn boxed(value: &Value) -> Box<dyn Val> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(held) => Box::new(CelBool::from(*held)),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(signed), _) => Box::new(CelInt::from(signed)),
            (None, Some(unsigned)) => Box::new(CelUInt::from(unsigned)),
            (None, None) => Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN))),
        },
        Value::String(text) => Box::new(CelString::from(text.clone())),
        Value::Array(items) => {
            let items: Vec<Box<dyn Val>> = items.iter().map(boxed).collect();
            Box::new(SharedList(Arc::new(CelList::from(items))))
        }
        Value::Object(members) => {
            let members: HashMap<_, _> = members
                .iter()
                .map(|(name, value)| (key(name.clone()), boxed(value)))
                .collect();
            Box::new(SharedMap(Arc::new(CelMap::from(members))))
        }
    }
}

/// Any CEL value as JSON: maps in the order of their keys, timestamps as RFC 3339, durations in seconds, and what JSON
/// cannot hold (NaN, types) as null or by the name of its type.
pub(super) fn json_of(value: &dyn Val) -> Value {
    if let Some(text) = value.downcast_ref::<CelString>() {
        Value::from(text.inner())
    } else if let Some(number) = value.downcast_ref::<CelInt>() {
        Value::from(*number.inner())
    } else if let Some(number) = value.downcast_ref::<CelDouble>() {
        Value::from(*number.inner())
    } else if let Some(held) = value.downcast_ref::<CelBool>() {
        Value::from(*held.inner())
    } else if value.downcast_ref::<CelNull>().is_some() {
        Value::Null
    } else if let Some(list) = value.downcast_ref::<CelList>() {
        list.inner().iter().map(|item| json_of(item.as_ref())).collect()
    } else if let Some(map) = value.downcast_ref::<CelMap>() {
        sorted_keys(map)
            .into_iter()
            .filter_map(|key| Some((key_text(key), json_of(map.inner().get(key)?.as_ref()))))
            .collect()
    } else {
        json_of_rare(value)
    }
}

fn json_of_rare(value: &dyn Val) -> Value {
    if let Some(number) = value.downcast_ref::<CelUInt>() {
        Value::from(*number.inner())
    } else if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        Value::from(String::from_utf8_lossy(bytes.inner()).into_owned())
    } else if let Some(at) = value.downcast_ref::<CelTimestamp>() {
        Value::from(at.inner().to_rfc3339())
    } else if let Some(length) = value.downcast_ref::<CelDuration>() {
        Value::from(length.inner().as_seconds_f64())
    } else if let Some(optional) = value.downcast_ref::<CelOptional>() {
        optional.inner().map_or(Value::Null, json_of)
    } else {
        Value::from(value.get_type().name())
    }
}

fn sorted_keys<'b, 'v>(map: &'b CelMap<'v>) -> Vec<&'b CelMapKey<'v>> {
    let mut keys: Vec<_> = map.inner().keys().collect();
    keys.sort_unstable();
    keys
}

fn key_text(key: &CelMapKey<'_>) -> String {
    match key {
        CelMapKey::String(text) => text.inner().to_owned(),
        CelMapKey::Int(number) => number.inner().to_string(),
        CelMapKey::UInt(number) => number.inner().to_string(),
        CelMapKey::Bool(held) => held.inner().to_string(),
    }
}

/// A list whose clones share its items. CEL recovers its own list type through `as_builtin`, so it behaves as one.
#[derive(Clone, Debug)]
struct SharedList(Arc<CelList<'static>>);

impl Val for SharedList {
    fn get_type(&self) -> &Type {
        self.0.get_type()
    }

    fn cel_type() -> &'static Type {
        <CelList<'static> as Val>::cel_type()
    }

    fn as_adder<'b, 'v>(&'b self) -> Option<&'b (dyn Adder + 'v)>
    where
        Self: 'v,
    {
        self.0.as_adder()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.0.as_container()
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        self.0.as_indexer()
    }

    fn into_indexer<'v>(self: Box<Self>) -> Option<Box<dyn Indexer + 'v>>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        self.0.as_iterable()
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        self.0.as_sizer()
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        self.0.as_zeroer()
    }

    fn equals(&self, other: &dyn Val) -> bool {
        self.0.equals(other)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_builtin<'b, 'v>(&'b self) -> BuiltinRef<'b, 'v>
    where
        Self: 'v,
    {
        BuiltinRef::List(&self.0)
    }

    fn into_builtin<'v>(self: Box<Self>) -> Option<Builtin<'v>>
    where
        Self: 'v,
    {
        Some(Builtin::List(Arc::unwrap_or_clone(self.0)))
    }
}

impl Indexer for SharedList {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(self.0.as_ref(), index)
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(self.as_ref(), index).map(CowVal::into_owned)
    }
}

/// A map whose clones share its members, walked in the order of its keys.
#[derive(Clone, Debug)]
struct SharedMap(Arc<CelMap<'static>>);

impl Val for SharedMap {
    fn get_type(&self) -> &Type {
        self.0.get_type()
    }

    fn cel_type() -> &'static Type {
        <CelMap<'static> as Val>::cel_type()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.0.as_container()
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        self.0.as_indexer()
    }

    fn into_indexer<'v>(self: Box<Self>) -> Option<Box<dyn Indexer + 'v>>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        self.0.as_sizer()
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        self.0.as_zeroer()
    }

    fn equals(&self, other: &dyn Val) -> bool {
        self.0.equals(other)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_builtin<'b, 'v>(&'b self) -> BuiltinRef<'b, 'v>
    where
        Self: 'v,
    {
        BuiltinRef::Map(&self.0)
    }

    fn into_builtin<'v>(self: Box<Self>) -> Option<Builtin<'v>>
    where
        Self: 'v,
    {
        Some(Builtin::Map(Arc::unwrap_or_clone(self.0)))
    }
}

impl Indexer for SharedMap {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(self.0.as_ref(), index)
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(self.as_ref(), index).map(CowVal::into_owned)
    }
}

impl Iterable for SharedMap {
    fn iter<'b, 'v>(&'b self) -> Box<dyn Walk<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(SortedKeys(sorted_keys(&self.0).into_iter()))
    }
}

struct SortedKeys<'b>(std::vec::IntoIter<&'b CelMapKey<'static>>);

impl<'b, 'v> Walk<'b, 'v> for SortedKeys<'b> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|key| key.inner())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_comes_back_with_sorted_keys() {
        let value = json!({"b": [1, 2.5, null, true, "x"], "a": {"z": u64::MAX, "y": -1}});
        let back = Shared::of(&value).json();
        assert_eq!(back, value);
        let keys: Vec<_> = back.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["a", "b"]);
    }
}
