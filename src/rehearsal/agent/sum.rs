//! The one thing the rehearsal's agents can do: compute `a` times `b` plus `c` from a sentence.
//! It owns reading the sentence and the arithmetic; nothing here is canned.

use std::sync::LazyLock;

use regex::Regex;

/// Matches `Compute <a> times <b>, add <c>` wherever it stands in the request.
static SENTENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)compute\s+(-?\d{1,18})\s+times\s+(-?\d{1,18})\s*,?\s*(?:and\s+)?add\s+(-?\d{1,18})")
        .expect("the pattern is a constant that a test compiles")
});

/// A computation that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// First factor.
    pub a: i128,
    /// Second factor.
    pub b: i128,
    /// What is added to their product.
    pub c: i128,
}

impl Sum {
    /// Reads the computation out of a request, if it holds one.
    pub fn read(request: &str) -> Option<Self> {
        let found = SENTENCE.captures(request)?;
        let number = |index: usize| found.get(index)?.as_str().parse().ok();
        Some(Self {
            a: number(1)?,
            b: number(2)?,
            c: number(3)?,
        })
    }

    /// `a` times `b` plus `c`. Factors have at most 18 digits, so this fits.
    pub fn result(self) -> i128 {
        self.a * self.b + self.c
    }

    /// The expression as the tool gets it.
    pub fn expression(self) -> String {
        format!("{} * {} + {}", self.a, self.b, self.c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_read_and_computed() {
        let rows = [
            ("Compute 123 times 456, add 789, and state the number.", Some(56_877)),
            ("please compute -3 times 7 and add 1", Some(-20)),
            (
                "Compute 999999999999999999 times 999999999999999999, add 0",
                Some(999_999_999_999_999_998_000_000_000_000_000_001),
            ),
            ("Compute 1 plus 2", None),
            ("hello", None),
        ];
        for (request, expected) in rows {
            assert_eq!(Sum::read(request).map(Sum::result), expected, "{request}");
        }
    }
}
