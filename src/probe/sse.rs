//! The event stream parser (HTML standard, section "server-sent events"): bytes in, events out, bounded. Pure: no IO, no
//! clock. Must not: keep more than one line and one event.

use crate::failure::{Failure, Kind};
use crate::limits::{SSE_EVENT_BYTES_MAX, SSE_LINE_BYTES_MAX};

/// What the parser found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SseItem {
    /// A dispatched event.
    Event {
        /// Its type, `message` by default.
        event: String,
        /// Its data lines joined by line feeds.
        data: String,
        /// The last event id, empty if none.
        id: String,
    },
    /// A comment line; keep-alives are comments.
    Comment,
}

/// Parses one stream. However the bytes are cut into chunks, the items are the same.
#[derive(Clone, Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    event: String,
    data: String,
    has_data: bool,
    last_id: String,
    /// Bytes of the lines since the last blank one.
    pending: usize,
    /// The last byte was a carriage return: a line feed now belongs to it.
    after_return: bool,
    /// The first line, which may start with a byte order mark, is over.
    past_first_line: bool,
}

impl SseParser {
    /// Takes the next bytes and adds what they complete to `items`.
    ///
    /// # Errors
    /// `sse_line_too_long` or `sse_event_too_large`; the items found before it are in `items`.
    pub fn push(&mut self, bytes: &[u8], items: &mut Vec<SseItem>) -> Result<(), Failure> {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let part = &rest[..end.unwrap_or(rest.len())];
            if self.line.len() + part.len() > SSE_LINE_BYTES_MAX {
                return Err(Failure::new(
                    Kind::SseLineTooLong,
                    format!("a line is above the limit of {SSE_LINE_BYTES_MAX} bytes"),
                ));
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { return Ok(()) };
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            items.extend(self.end_line()?);
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<SseItem>, Failure> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if !std::mem::replace(&mut self.past_first_line, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let line = String::from_utf8_lossy(line);
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        if field.is_empty() {
            return Ok(Some(SseItem::Comment));
        }
        self.pending += line.len();
        if self.pending > SSE_EVENT_BYTES_MAX {
            let detail = format!("an event is above the limit of {SSE_EVENT_BYTES_MAX} bytes");
            return Err(Failure::new(Kind::SseEventTooLarge, detail));
        }
        self.field(field, value.strip_prefix(' ').unwrap_or(value));
        Ok(None)
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.last_id),
            // `retry` is for clients that reconnect; other fields are ignored by the standard.
            _ => {}
        }
    }

    /// A blank line: an event without data is none.
    fn dispatch(&mut self) -> Option<SseItem> {
        self.pending = 0;
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data);
        std::mem::take(&mut self.has_data).then(|| SseItem::Event {
            event: if event.is_empty() { "message".to_owned() } else { event },
            data,
            id: self.last_id.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<SseItem>, Option<Kind>) {
        let (mut parser, mut items) = (SseParser::default(), Vec::new());
        for chunk in chunks {
            if let Err(failure) = parser.push(chunk, &mut items) {
                return (items, Some(failure.kind));
            }
        }
        (items, None)
    }

    fn event(event: &str, data: &str, id: &str) -> SseItem {
        SseItem::Event {
            event: event.to_owned(),
            data: data.to_owned(),
            id: id.to_owned(),
        }
    }

    fn check(stream: &str, expected: &[SseItem]) {
        assert_eq!(parse([stream.as_bytes()]), (expected.to_vec(), None), "{stream:?}");
    }

    #[test]
    fn follows_the_standard() {
        check("data: a\n\n", &[event("message", "a", "")]);
        check("data: a\ndata:b\ndata\n\n", &[event("message", "a\nb\n", "")]);
        check("data:  two blanks\r\n\r\n", &[event("message", " two blanks", "")]);
        check(
            "event: x\rid: 7\rdata: a\r\rdata: b\r\r",
            &[event("x", "a", "7"), event("message", "b", "7")],
        );
        check("id: 1\n\ndata: a\n\n", &[event("message", "a", "1")]);
        check("id: 1\0\ndata: a\n\n", &[event("message", "a", "")]);
        check(
            ": ping\n:\ndata: a\nretry: 5\nwhat: ever\n\n",
            &[SseItem::Comment, SseItem::Comment, event("message", "a", "")],
        );
        check("event: x\n\n\n", &[]);
        check("data: no blank line", &[]);
        check("data: a\n", &[]);
        check("\u{feff}data: a\n\n", &[event("message", "a", "")]);
        check("data\n\n", &[event("message", "", "")]);
    }

    #[test]
    fn limits_hold() {
        let long = format!("data: {}\n\n", "x".repeat(SSE_LINE_BYTES_MAX - 6));
        assert_eq!(parse([long.as_bytes()]).1, None);
        let longer = format!("data: a\n\ndata: {}", "x".repeat(SSE_LINE_BYTES_MAX));
        assert_eq!(
            parse([longer.as_bytes()]),
            (vec![event("message", "a", "")], Some(Kind::SseLineTooLong))
        );
        let large = format!("data: {}\n", "x".repeat(1000)).repeat(SSE_EVENT_BYTES_MAX / 1000 + 1);
        assert_eq!(parse([large.as_bytes()]).1, Some(Kind::SseEventTooLarge));
        let comments = ": keep-alive\n".repeat(SSE_EVENT_BYTES_MAX / 10);
        assert_eq!(parse([comments.as_bytes()]).1, None);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same(
            lines in prop::collection::vec(("(data|event|id|retry|x|)", "(:|: |)", "[ -~é\u{feff}]{0,9}", "(\n|\r|\r\n|\n\n|\r\r|\r\n\r\n)"), 0..40),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let stream: String = lines.iter().map(|(field, colon, value, end)| format!("{field}{colon}{value}{end}")).collect();
            let bytes = stream.as_bytes();
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
            places.sort_unstable();
            let chunks = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
            prop_assert_eq!(parse([bytes]), parse(chunks));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(parse([bytes.as_slice()]), parse(bytes.chunks(1)));
        }
    }
}
