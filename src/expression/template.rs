//! Strings with `${expression}` holes.

use super::{EvaluationError, Expression, Scope, SyntaxError, compared};
use serde_json::Value;
use std::sync::Arc;

/// A string with `${expression}` holes. `$${` writes a literal `${`.
#[derive(Clone, Debug)]
pub struct Template {
    source: Arc<str>,
    pieces: Arc<[Piece]>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Hole(Expression),
}

impl Template {
    /// Compiles `source`.
    ///
    /// # Errors
    /// An unclosed hole, or a syntax error inside one; offsets count in the template.
    pub fn compile(source: &str) -> Result<Self, SyntaxError> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                text.push_str(&rest[..at]);
                text.push('{');
                rest = &rest[at + 2..];
                continue;
            }
            text.push_str(&rest[..at]);
            let start = source.len() - rest.len() + at + 2;
            let offset = source[..start].chars().count();
            let Some(end) = hole_end(&source[start..]) else {
                return Err(SyntaxError {
                    offset: offset - 2,
                    message: "`${` is never closed by `}`".to_owned(),
                });
            };
            let hole = Expression::compile(&source[start..start + end]).map_err(|error| SyntaxError {
                offset: offset + error.offset,
                ..error
            })?;
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Hole(hole));
            rest = &source[start + end + 1..];
        }
        text.push_str(rest);
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(Self {
            source: source.into(),
            pieces: pieces.into(),
        })
    }

    /// The text it was compiled from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The expressions in its holes.
    pub fn holes(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Text(_) => None,
        })
    }

    /// The value: the text with its holes filled; a template that is one hole and nothing else keeps the type of its value.
    ///
    /// # Errors
    /// The first hole that cannot be evaluated.
    pub fn fill(&self, scope: &Scope) -> Result<Value, EvaluationError> {
        if let [Piece::Hole(hole)] = self.pieces.as_ref() {
            return hole.evaluate(scope);
        }
        let mut filled = String::new();
        for piece in self.pieces.iter() {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Hole(hole) => match hole.evaluate(scope)? {
                    Value::String(text) => filled.push_str(&text),
                    other => filled.push_str(&other.to_string()),
                },
            }
        }
        Ok(Value::String(filled))
    }

    /// As [`Self::fill`], as text.
    ///
    /// # Errors
    /// As [`Self::fill`].
    pub fn fill_text(&self, scope: &Scope) -> Result<String, EvaluationError> {
        Ok(match self.fill(scope)? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    /// For people: a hole that cannot be evaluated shows `?` and the reason, numbers are rounded to three decimals.
    pub fn say(&self, scope: &Scope) -> String {
        let mut said = String::new();
        for piece in self.pieces.iter() {
            match piece {
                Piece::Text(text) => said.push_str(text),
                Piece::Hole(hole) => match hole.evaluate(scope) {
                    Ok(value) => said.push_str(&compared::shown(&value)),
                    Err(error) => {
                        said.push_str("? (");
                        said.push_str(&error.to_string());
                        said.push(')');
                    }
                },
            }
        }
        said
    }
}

/// Byte offset of the `}` that closes a hole; braces inside strings and map literals are skipped.
fn hole_end(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(at),
            (None, '}') => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_keep_types_and_fill_text() {
        let mut scope = Scope::new();
        scope.set("n", &json!(3));
        assert_eq!(Template::compile("${n}").unwrap().fill(&scope).unwrap(), json!(3));
        assert_eq!(
            Template::compile("a-${n}-$${x}").unwrap().fill(&scope).unwrap(),
            json!("a-3-${x}")
        );
        assert_eq!(Template::compile("x ${n").unwrap_err().offset, 2);
    }

    #[test]
    fn what_is_said_to_people_never_fails() {
        let mut scope = Scope::new();
        scope.set("upgrade", &json!({"latency_ms": 12.345_678, "name": "x", "list": [1]}));
        let say = |source: &str| Template::compile(source).unwrap().say(&scope);
        assert_eq!(
            say("HTTP ${upgrade.status}, ${upgrade.latency_ms} ms by ${upgrade.name} ${upgrade.list}"),
            "HTTP ? (there is no `status`), 12.346 ms by x [1]"
        );
        assert_eq!(say("${nobody.x}"), "? (there is no `nobody`)");
    }
}
