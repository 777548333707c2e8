//! Making hostile text inert: what a target said must not colour a terminal, break a line or become Markdown.

use serde_json::Value;
use std::fmt::Write as _;

/// Whether a character commands a terminal, or is not seen.
fn acts(character: char) -> bool {
    let invisible =
        matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    character.is_control() || invisible
}

/// JSON that does nothing where it is shown: what commands a terminal or begins markup stands in it as `\u….` (RFC 8259
/// section 7). Whoever parses it gets the same value.
pub fn json(value: &Value) -> String {
    let mut inert = String::new();
    for character in format!("{value:#}").chars() {
        let markup = matches!(character, '<' | '>' | '&');
        if character != '\n' && (markup || acts(character)) {
            // Writing into a String cannot fail; all of these are of the first plane.
            let _ = write!(inert, "\\u{:04x}", u32::from(character));
        } else {
            inert.push(character);
        }
    }
    inert
}

/// One line without control characters or invisible directions: each becomes a space.
pub(super) fn line(text: &str) -> String {
    let plain = |character: char| if acts(character) { ' ' } else { character };
    text.chars().map(plain).collect::<String>().trim().to_owned()
}

/// A Markdown code span (CommonMark section 6.1): nothing inside is interpreted. The fence is longer than any run of
/// backticks in the text.
pub(super) fn code(text: &str) -> String {
    let text = line(text);
    let mut longest = 0_usize;
    let mut run = 0_usize;
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    // A space keeps backticks at the ends apart from the fence; renderers strip it again.
    let space = if text.is_empty() || text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{space}{text}{space}{fence}")
}

/// Markdown text: every punctuation character that could mean something is escaped (CommonMark section 2.4).
pub(super) fn prose(text: &str) -> String {
    let mut escaped = String::new();
    for character in line(text).chars() {
        if matches!(
            character,
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' | '!' | '$' | '@'
        ) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(line("a\u{1b}[31mred\r\nb\u{202e}c"), "a [31mred  b c");
        assert_eq!(code("HTTP 500"), "`HTTP 500`");
        assert_eq!(code("a `b` ``c"), "```a `b` ``c```");
        assert_eq!(code("`x`"), "`` `x` ``");
        assert_eq!(code(""), "`  `");
        assert_eq!(prose("<script>*x* [a](b)"), "\\<script\\>\\*x\\* \\[a\\](b)");
    }
}
