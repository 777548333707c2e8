//! Makes foreign text harmless to look at: control characters, ANSI sequences and bidirectional overrides become visible
//! escapes (faults.md S18). Must not: hide anything without a trace.

/// Line breaks and tabs stay, every other control or bidirectional character becomes `\u{…}`. For bodies.
pub fn sanitise_text(text: &str) -> String {
    escape(text, |c| matches!(c, '\n' | '\t' | '\r'))
}

/// Every control or bidirectional character becomes `\u{…}`, line breaks too. For headers, reasons and details.
pub fn sanitise_line(text: &str) -> String {
    escape(text, |_| false)
}

/// At most `bytes_max` bytes of `text`, cut at a character boundary.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..char_start(text, bytes_max)]
}

/// The nearest character boundary at or before `at`, at most the length of `text`.
pub(super) fn char_start(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    if !text.chars().any(|c| hidden(c) && !keep(c)) {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) && !keep(c) {
            clean.extend(c.escape_unicode());
        } else {
            clean.push(c);
        }
    }
    clean
}

/// Control characters, and those that reorder or hide the text around them.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_ansi_and_bidi_become_visible() {
        assert_eq!(sanitise_line("a\x1b]0;x\x07\nINFO"), r"a\u{1b}]0;x\u{7}\u{a}INFO");
        assert_eq!(sanitise_text("a\u{202e}b\r\n\tc"), "a\\u{202e}b\r\n\tc");
        assert_eq!(sanitise_text("plain é"), "plain é");
    }

    #[test]
    fn cuts_at_a_character() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 9), "aé");
    }
}
