//! Names: what is one, which known one was probably meant, and how a choice is written in a help line.

use std::collections::BTreeSet;

/// Names listed in a help line before it is cut.
const LISTED_MAX: usize = 12;
/// Characters of an identifier.
pub const IDENTIFIER_CHARS_MAX: usize = 64;

/// Whether a text matches `^[a-z][a-z0-9_]{0,63}$`.
pub fn is_identifier(text: &str) -> bool {
    text.len() <= IDENTIFIER_CHARS_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// `write one of: a, b, c`.
pub fn one_of<'names>(names: impl IntoIterator<Item = &'names str>) -> String {
    let names: Vec<&str> = names.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    match names.len() {
        0 => "there is none to choose from yet".to_owned(),
        1 => format!("write {}", names[0]),
        count if count > LISTED_MAX => format!("write one of: {}, … ({count} in all)", names[..LISTED_MAX].join(", ")),
        _ => format!("write one of: {}", names.join(", ")),
    }
}

/// `did you mean …?`, when a known name is near.
pub fn did_you_mean<'names>(word: &str, names: impl IntoIterator<Item = &'names str>) -> Option<String> {
    nearest(word, names).map(|name| format!("did you mean `{name}`?"))
}

/// `did you mean …?`, or the whole choice.
pub fn suggest<'names>(word: &str, names: impl IntoIterator<Item = &'names str> + Clone) -> String {
    did_you_mean(word, names.clone()).unwrap_or_else(|| one_of(names))
}

/// The known name nearest to `word`, if no more than a third of it differs.
fn nearest<'names>(word: &str, names: impl IntoIterator<Item = &'names str>) -> Option<&'names str> {
    let reach = (word.chars().count() / 3).clamp(1, 3);
    names
        .into_iter()
        .map(|name| (distance(word, name), name))
        .filter(|(far, _)| *far <= reach)
        .min()
        .map(|(_, name)| name)
}

/// Edit distance with transpositions of neighbours (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.to_lowercase().chars().take(IDENTIFIER_CHARS_MAX).collect();
    let other: Vec<char> = other.to_lowercase().chars().take(IDENTIFIER_CHARS_MAX).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, a) in one.iter().enumerate() {
        let mut now = vec![row + 1];
        for (column, b) in other.iter().enumerate() {
            let changed = last[column] + usize::from(a != b);
            let mut best = changed.min(last[column + 1] + 1).min(now[column] + 1);
            if row > 0 && column > 0 && *a == other[column - 1] && one[row - 1] == *b {
                best = best.min(before[column - 1] + 1);
            }
            now.push(best);
        }
        before = std::mem::replace(&mut last, now);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        assert_eq!(nearest("mian", ["main", "other"]), Some("main"));
        assert_eq!(nearest("welcom", ["upgrade", "welcome"]), Some("welcome"));
        assert_eq!(nearest("zebra", ["main", "other"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn identifiers_are_lower_case_and_short() {
        assert!(is_identifier("a_b9"));
        assert!(!is_identifier("9a") && !is_identifier("A") && !is_identifier("a-b") && !is_identifier(""));
        assert!(is_identifier(&"a".repeat(64)) && !is_identifier(&"a".repeat(65)));
    }
}
