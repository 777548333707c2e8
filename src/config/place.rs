//! Where things stand in a file: a tree of places beside the typed shapes, so that a mistake found while compiling can
//! point at its line and column. Knows YAML's ways of writing a scalar, nothing of what the configuration means.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A stretch of text: line and column from 1, offset and length in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Offset of the start in the file.
    pub offset: usize,
    /// Length; 0 where YAML gives none.
    pub length: usize,
}

impl From<serde_saphyr::Location> for Mark {
    fn from(location: serde_saphyr::Location) -> Self {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            line: number(location.line()),
            column: number(location.column()),
            offset: number(location.span().offset()),
            length: number(location.span().len()),
        }
    }
}

/// A node of a YAML document, without its value.
#[derive(Debug)]
pub struct Node {
    /// Where it stands.
    pub mark: Mark,
    /// What it holds.
    pub kind: Kind,
    /// Place of its file among the files.
    pub file: usize,
}

/// What a node holds.
#[derive(Debug)]
pub enum Kind {
    /// Text, number, truth value or nothing.
    Scalar,
    /// A list.
    List(Vec<Node>),
    /// A mapping: key, where the key stands, value.
    Map(Vec<(String, Mark, Node)>),
}

impl Node {
    /// A node that stands nowhere in particular, for files that could not be parsed.
    pub fn nowhere() -> Self {
        let mark = Mark {
            line: 1,
            column: 1,
            ..Mark::default()
        };
        Self {
            mark,
            kind: Kind::Scalar,
            file: 0,
        }
    }

    /// Says that it, and all in it, stands in this file.
    fn set_file(&mut self, file: usize) {
        self.file = file;
        match &mut self.kind {
            Kind::Scalar => {}
            Kind::List(items) => items.iter_mut().for_each(|item| item.set_file(file)),
            Kind::Map(members) => members.iter_mut().for_each(|(_, _, value)| value.set_file(file)),
        }
    }

    /// Takes over what another mapping has beside.
    pub fn absorb(&mut self, other: Self) {
        if let (Kind::Map(members), Kind::Map(others)) = (&mut self.kind, other.kind) {
            for (key, mark, value) in others {
                match members.iter_mut().find(|(known, _, _)| *known == key) {
                    Some((_, _, known)) => known.absorb(value),
                    None => members.push((key, mark, value)),
                }
            }
        }
    }

    /// What to point at: the first key of a mapping without a length of its own.
    pub fn pointer(&self) -> Mark {
        match &self.kind {
            Kind::Map(members) => members.first().map_or(self.mark, |(_, key, _)| *key),
            Kind::Scalar | Kind::List(_) => self.mark,
        }
    }
}

struct Placed(Node);

impl<'de> Deserialize<'de> for Placed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<PlacedKind>::deserialize(deserializer)?;
        Ok(Self(Node {
            mark: spanned.defined.into(),
            kind: spanned.value.0,
            file: 0,
        }))
    }
}

struct PlacedKind(Kind);

impl<'de> Deserialize<'de> for PlacedKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor).map(Self)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("YAML")
    }

    fn visit_str<E>(self, _: &str) -> Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(Placed(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut members = Vec::new();
        while let Some((key, Placed(value))) = map.next_entry::<Spanned<String>, Placed>()? {
            members.push((key.value, key.defined.into(), value));
        }
        Ok(Kind::Map(members))
    }
}

/// The tree of a document in a file.
///
/// # Errors
/// The document is no YAML, or too large.
pub fn tree(text: &str, file: usize, options: serde_saphyr::Options) -> Result<Node, serde_saphyr::Error> {
    let Placed(mut node) = serde_saphyr::from_str_with_options(text, options)?;
    node.set_file(file);
    Ok(node)
}

/// Where the `offset`-th character of a scalar stands in its file: walks the scalar as written beside its value, so that
/// quotes, escapes, folds and the indentation of block scalars are stepped over. Falls back to the scalar's start.
pub fn inside(text: &str, scalar: Mark, value: &str, offset: usize) -> Mark {
    let written: Vec<char> = text.chars().skip(scalar.offset).take(scalar.length.max(1)).collect();
    let value: Vec<char> = value.chars().collect();
    let mut walk = Walk {
        written: &written,
        at: 0,
        line: scalar.line,
        column: scalar.column,
    };
    let quote = written.first().copied().filter(|first| matches!(first, '"' | '\''));
    if quote.is_some() {
        walk.step();
    }
    let mut passed = 0;
    while passed < offset.min(value.len()) {
        let Some(here) = walk.here() else { break };
        if quote == Some('"') && here == '\\' {
            passed += usize::from(walk.escape());
        } else if here == value[passed] {
            walk.step();
            if quote == Some('\'') && here == '\'' {
                walk.step();
            }
            passed += 1;
        } else if here.is_whitespace() {
            walk.step();
        } else if value[passed].is_whitespace() {
            passed += 1;
        } else {
            return Mark { length: 1, ..scalar };
        }
    }
    // Stand on the character itself, not on the indentation before it.
    while value.get(offset).is_some_and(|wanted| !wanted.is_whitespace())
        && walk.here().is_some_and(char::is_whitespace)
    {
        walk.step();
    }
    Mark {
        line: walk.line,
        column: walk.column,
        offset: scalar.offset + walk.at,
        length: 1,
    }
}

struct Walk<'text> {
    written: &'text [char],
    at: usize,
    line: usize,
    column: usize,
}

impl Walk<'_> {
    fn here(&self) -> Option<char> {
        self.written.get(self.at).copied()
    }

    fn step(&mut self) {
        if self.here() == Some('\n') {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        self.at += 1;
    }

    /// Steps over an escape of a double-quoted scalar; says whether it stands for a character.
    fn escape(&mut self) -> bool {
        self.step();
        let kind = self.here();
        let digits = match kind {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => 0,
        };
        for _ in 0..=digits {
            self.step();
        }
        kind != Some('\n')
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The line and column of the first `!` in the value of the key `v`.
    fn bang(text: &str) -> (usize, usize) {
        let value: std::collections::BTreeMap<String, String> = serde_saphyr::from_str(text).unwrap();
        let node = tree(text, 0, serde_saphyr::Options::default()).unwrap();
        let Kind::Map(members) = &node.kind else {
            panic!("no map")
        };
        let offset = value["v"].chars().take_while(|c| *c != '!').count();
        let found = inside(text, members[0].2.mark, &value["v"], offset);
        (found.line, found.column)
    }

    #[test]
    fn every_way_of_writing_a_scalar_leads_back_to_its_place() {
        assert_eq!(bang("v: abc ! d\n"), (1, 8));
        assert_eq!(bang("v: \"a\\t\\u00e9 'x' ! d\"\n"), (1, 19));
        assert_eq!(bang("v: 'it''s ! d'\n"), (1, 11));
        assert_eq!(bang("v: |\n  one\n    two\n  three ! four\n"), (4, 9));
        assert_eq!(bang("v: >-\n  one\n  two ! three\n\n  four\n"), (3, 7));
        assert_eq!(bang("v: one\n  two ! three\n"), (2, 7));
        assert_eq!(bang("v: \"one\n   two ! three\"\n"), (2, 8));
    }

    proptest! {
        #[test]
        fn no_scalar_breaks_the_walk(text in "\\PC{0,40}", offset in 0usize..60) {
            let mark = Mark { line: 1, column: 1, offset: 0, length: text.chars().count() };
            let _ = inside(&text, mark, "some value\nof ours", offset);
        }
    }
}
