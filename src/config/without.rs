//! A file without one of its entries: what was wrong with that entry has been said, and the rest is to be looked at too.
//! Everything else keeps its line and column. Knows YAML's two ways of writing a collection, nothing of what it means.

use super::place::{Kind, Mark, Node};

/// An entry that was taken out.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its key.
    pub key: String,
    /// The text that is left.
    pub text: String,
}

/// `text` without the entry whose key stands at `mark`, or whose value does; of several, the innermost. None when there is
/// no such entry.
pub fn without(text: &str, tree: &Node, mark: Mark) -> Option<Taken> {
    let entry = find(tree, mark.offset)?;
    let mut chars: Vec<char> = text.chars().collect();
    let end = end(&chars, entry.value).min(chars.len());
    for place in &mut chars[entry.key_at..end] {
        if *place != '\n' {
            *place = ' ';
        }
    }
    if entry.flow {
        // `{ a: 1, , c: 3 }` is no YAML; a comma before the end is.
        let next = (end..chars.len()).find(|place| !chars[*place].is_whitespace());
        if let Some(comma) = next.filter(|place| chars[*place] == ',') {
            chars[comma] = ' ';
        }
    } else if entry.alone {
        // A mapping of which nothing is left is an empty one, not nothing.
        let braces = chars.get_mut(entry.key_at..entry.key_at + 2)?;
        braces.copy_from_slice(&['{', '}']);
    }
    Some(Taken {
        key: entry.key.to_owned(),
        text: chars.into_iter().collect(),
    })
}

struct Entry<'tree> {
    key: &'tree str,
    key_at: usize,
    value: &'tree Node,
    /// It stands between braces.
    flow: bool,
    /// Its mapping has no other.
    alone: bool,
}

fn find(node: &Node, offset: usize) -> Option<Entry<'_>> {
    match &node.kind {
        Kind::Scalar => None,
        Kind::List(items) => items.iter().find_map(|item| find(item, offset)),
        Kind::Map(members) => members.iter().find_map(|(key, mark, value)| {
            find(value, offset).or_else(|| {
                (mark.offset == offset || value.mark.offset == offset).then_some(Entry {
                    key,
                    key_at: mark.offset,
                    value,
                    flow: members
                        .first()
                        .is_some_and(|(_, first, _)| first.offset > node.mark.offset),
                    alone: members.len() == 1,
                })
            })
        }),
    }
}

/// Where a node ends.
fn end(chars: &[char], node: &Node) -> usize {
    let start = node.mark.offset;
    let inner: Box<dyn Iterator<Item = &Node>> = match &node.kind {
        Kind::Scalar => return start + node.mark.length,
        Kind::List(items) => Box::new(items.iter()),
        Kind::Map(members) => Box::new(members.iter().map(|(_, _, value)| value)),
    };
    let last = inner.map(|child| end(chars, child)).max().unwrap_or(start);
    let closing = match chars.get(start) {
        Some('{') => '}',
        Some('[') => ']',
        _ => return last,
    };
    let closed = (last..chars.len()).find(|place| chars[*place] == closing);
    closed.map_or(last, |place| place + 1)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use crate::config::place::tree;

    /// The text without the entry whose key is the first `bad`.
    fn left(text: &str) -> String {
        let node = tree(text, 0, serde_saphyr::Options::default()).unwrap();
        let offset = text[..text.find("bad").unwrap()].chars().count();
        let mark = Mark {
            offset,
            ..Mark::default()
        };
        let taken = without(text, &node, mark).unwrap();
        assert_eq!(taken.key, "bad");
        // It is still YAML, and every line is where it was.
        tree(&taken.text, 0, serde_saphyr::Options::default()).unwrap();
        assert_eq!(taken.text.lines().count(), text.lines().count());
        let tidy = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        taken.text.lines().map(tidy).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn an_entry_goes_and_the_rest_stays_where_it_was() {
        assert_eq!(left("a: 1\nbad: 2\nc: 3\n"), "a: 1||c: 3");
        assert_eq!(left("a: { b: 1, bad: 2, c: 3 }\n"), "a: { b: 1, c: 3 }");
        assert_eq!(left("a: { bad: { x: [1, 2] }, c: 3 }\n"), "a: { c: 3 }");
        assert_eq!(left("a: { b: é, bad: 2 }\n"), "a: { b: é, }");
        assert_eq!(left("l:\n  - bad: 1\n    c: 2\n"), "l:|-|c: 2");
        assert_eq!(left("l:\n  - bad: \"two\n      lines\"\n  - c: 2\n"), "l:|- {}||- c: 2");
        assert_eq!(left("bad:\n  x:\n    - y\n    - { z: 1 }\nc: 3\n"), "||||c: 3");
    }

    #[test]
    fn a_value_leads_to_its_entry() {
        let text = "number: two\ntitle: T\n";
        let node = tree(text, 0, serde_saphyr::Options::default()).unwrap();
        let mark = Mark {
            offset: 8,
            ..Mark::default()
        };
        assert_eq!(without(text, &node, mark).unwrap().key, "number");
        let nowhere = Mark {
            offset: 500,
            ..Mark::default()
        };
        assert_eq!(without(text, &node, nowhere), None);
    }
}
